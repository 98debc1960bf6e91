// Defaults of what is asked of the authentication API.
import type { KubernetesObject } from "../meta/object.ts";
import type { TokenRequest } from "../types/authentication-v1.ts";
import { change, fill } from "./fill.ts";

/** How long a token is good for where nobody says. */
export const defaultTokenSeconds = 3600;

/** `object`: a decoded TokenRequest. */
export function defaultTokenRequest(object: KubernetesObject): KubernetesObject {
  const request = object as unknown as TokenRequest;
  return change(request, "spec", (spec) => fill(spec, { expirationSeconds: defaultTokenSeconds })) as unknown as KubernetesObject;
}

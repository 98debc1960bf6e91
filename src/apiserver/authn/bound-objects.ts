// The objects that service-account tokens depend on (account, pod, node, secret), as they are now, and the audiences that a
// token is good for.
import { type KubernetesObject, parseKey } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { quoteList } from "./quote-list.ts";
import type { TokenClaims } from "./service-account-keys.ts";

export interface BoundObjects {
  /** From the mirror where it has the one with this uid (any, where none is given); otherwise from the store, in case the mirror is behind. */
  find<T extends KubernetesObject>(type: ResourceType<T>, key: string, uid: string | undefined): Promise<T | undefined>;
}

/** Without a client only the reader is asked. */
export function createBoundObjects(reader: AdmissionReader, client?: Pick<Client, "get">): BoundObjects {
  return {
    async find(type, key, uid) {
      const known = reader.informer(type).get(key);
      if (!client || (known && (uid === undefined || known.metadata.uid === uid))) return known;
      try {
        return await client.get(type, parseKey(key));
      } catch (error) {
        if (isStatus(error, "NotFound")) return undefined;
        throw error;
      }
    },
  };
}

/** Which of the audiences asked for the token is good for, each once; those of the API server where it names none. Throws where none is. */
export function grantedAudiences(
  claims: TokenClaims,
  { own, asked }: { readonly own: readonly string[]; readonly asked: readonly string[] },
): readonly string[] {
  const named = typeof claims.aud === "string" ? [claims.aud] : (claims.aud ?? []);
  const good = named.length > 0 ? named : own;
  const granted = [...new Set(asked)].filter((audience) => good.includes(audience));
  if (granted.length > 0) return granted;
  throw new Error(`token audiences ${quoteList(good)} is invalid for the target audiences ${quoteList(asked)}`);
}

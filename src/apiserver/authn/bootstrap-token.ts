// Bootstrap tokens ("abcdef.0123456789abcdef"), with which new nodes ask for their first certificate. Each is a secret
// bootstrap-token-<id> in kube-system; whoever presents one is system:bootstrap:<id> in group system:bootstrappers.
import { timingSafeEqual } from "node:crypto";
import { secrets } from "../../api/resources.generated.ts";
import type { Secret } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { TokenAuthenticator } from "./authenticator.ts";

const tokenForm = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const defaultGroup = "system:bootstrappers";
const extraGroupForm = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

export function createBootstrapTokenAuthenticator(deps: { readonly reader: AdmissionReader; readonly clock: Clock }): TokenAuthenticator {
  return {
    async authenticateToken(token) {
      const [, id, secretPart] = tokenForm.exec(token) ?? [];
      if (id === undefined || secretPart === undefined) return undefined;
      const secret = deps.reader.informer(secrets).get(`kube-system/bootstrap-token-${id}`);
      if (!secret || !matches(secret, id, secretPart) || hasExpired(secret, deps.clock.now())) return undefined;
      const groups = groupsOf(secret);
      return groups ? { user: { name: `system:bootstrap:${id}`, groups } } : undefined;
    },
  };
}

const field = (secret: Secret, name: string): string => Buffer.from(secret.data?.[name] ?? "", "base64").toString();

function matches(secret: Secret, id: string, secretPart: string): boolean {
  const stored = Buffer.from(field(secret, "token-secret"));
  const given = Buffer.from(secretPart);
  return (
    secret.type === "bootstrap.kubernetes.io/token" &&
    secret.metadata.deletionTimestamp === undefined &&
    stored.length === given.length &&
    timingSafeEqual(stored, given) &&
    field(secret, "token-id") === id &&
    field(secret, "usage-bootstrap-authentication") === "true"
  );
}

/** An expiration that is not a time counts as passed. */
function hasExpired(secret: Secret, nowMs: number): boolean {
  const expiration = field(secret, "expiration");
  return expiration !== "" && !(Date.parse(expiration) > nowMs);
}

/** Undefined where one of the extra groups is not allowed: then the token does not count. */
function groupsOf(secret: Secret): readonly string[] | undefined {
  const text = field(secret, "auth-extra-groups");
  const extra = text === "" ? [] : text.split(",");
  if (!extra.every((g) => extraGroupForm.test(g))) return undefined;
  return [defaultGroup, ...[...new Set(extra)].filter((g) => g !== defaultGroup).sort()];
}

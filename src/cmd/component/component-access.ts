// Who may ask a component for its metrics: the API server says who the bearer of a token is (TokenReview) and whether they
// may read the path (SubjectAccessReview). Answers are kept for a while, a bounded number of them.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { StatusError, unauthorized } from "../../api/meta/status-error.ts";
import { subjectaccessreviews, tokenreviews } from "../../api/resources.generated.ts";
import type { TokenReview } from "../../api/types/authentication-v1.ts";
import type { SubjectAccessReview } from "../../api/types/authorization-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Client } from "../../client/client.ts";

export interface ComponentAccess {
  /** Throws StatusError where the request may not be answered. */
  admit(request: IncomingMessage, path: string): Promise<void>;
}

export interface ComponentAccessDeps {
  readonly client: Client;
  readonly clock: Clock;
  /** Paths that everybody may ask for; one that ends in "*" stands for all below. */
  readonly alwaysAllow: readonly string[];
}

interface Caller {
  readonly name: string;
  readonly groups: readonly string[];
}

const anonymous: Caller = { name: "system:anonymous", groups: ["system:unauthenticated"] };
const tokenLifetimeMs = 10_000;
const allowedForMs = 10_000;
const deniedForMs = 10_000;
const maxCached = 500;
const callTimeoutMs = 10_000;

export function createComponentAccess({ client, clock, alwaysAllow }: ComponentAccessDeps): ComponentAccess {
  const callers = new LruMap<string, { readonly caller: Caller | undefined; readonly untilMs: number }>(maxCached);
  const verdicts = new LruMap<string, { readonly allowed: boolean; readonly untilMs: number }>(maxCached);

  const bearerOf = async (token: string): Promise<Caller | undefined> => {
    const key = createHash("sha256").update(token).digest("base64");
    const known = callers.get(key);
    if (known && known.untilMs > clock.monotonic()) return known.caller;
    const review = (await client.create(tokenreviews, { metadata: {}, spec: { token } }, { timeoutMs: callTimeoutMs })) as TokenReview;
    const { authenticated, user } = review.status ?? {};
    const caller = authenticated && user?.username ? { name: user.username, groups: user.groups ?? [] } : undefined;
    callers.set(key, { caller, untilMs: clock.monotonic() + tokenLifetimeMs });
    return caller;
  };

  const mayRead = async (caller: Caller, verb: string, path: string): Promise<boolean> => {
    const key = JSON.stringify([caller.name, caller.groups, verb, path]);
    const known = verdicts.get(key);
    if (known && known.untilMs > clock.monotonic()) return known.allowed;
    const spec = { user: caller.name, groups: caller.groups, nonResourceAttributes: { path, verb } };
    const review = (await client.create(subjectaccessreviews, { metadata: {}, spec }, { timeoutMs: callTimeoutMs })) as SubjectAccessReview;
    const allowed = review.status?.allowed === true;
    verdicts.set(key, { allowed, untilMs: clock.monotonic() + (allowed ? allowedForMs : deniedForMs) });
    return allowed;
  };

  return {
    async admit(request, path) {
      if (alwaysAllow.some((each) => (each.endsWith("*") ? path.startsWith(each.slice(0, -1)) : path === each))) return;
      const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
      const caller = certificateOf(request.socket as TLSSocket) ?? (token === undefined ? anonymous : await bearerOf(token));
      if (!caller) throw unauthorized();
      const verb = (request.method ?? "GET").toLowerCase();
      if (await mayRead(caller, verb, path)) return;
      const message = `forbidden: User ${JSON.stringify(caller.name)} cannot ${verb} path ${JSON.stringify(path)}`;
      throw new StatusError({ code: 403, reason: "Forbidden", message });
    },
  };
}

/** Who a certificate that an accepted authority has signed is for. */
function certificateOf(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  const name = [subject?.CN ?? []].flat()[0];
  return name ? { name, groups: [...[subject.O ?? []].flat(), "system:authenticated"] } : undefined;
}

// What callers may do on the kubelet's server: everything (AlwaysAllow), or what the API server lets them do with the
// subresources of the node (SubjectAccessReview, answers kept for a while). A path is guarded by one subresource or by
// several of which one is enough: nodes/pods, nodes/healthz and nodes/configz stand beside the old nodes/proxy.
import { StatusError } from "../../api/meta/status-error.ts";
import { subjectaccessreviews } from "../../api/resources.generated.ts";
import type { SubjectAccessReview } from "../../api/types/authorization-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Client } from "../../client/client.ts";
import type { Caller } from "./authentication.ts";
import type { ServerMetrics } from "./server-metrics.ts";

export interface AuthorizationOptions {
  /** Default "Webhook". */
  readonly mode?: "AlwaysAllow" | "Webhook";
  /** How long answers are believed. Default 5 min and 30 s. */
  readonly allowedCacheMs?: number;
  readonly deniedCacheMs?: number;
}

export interface AuthorizationDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeName: string;
  readonly metrics: ServerMetrics;
}

/** Throws StatusError with upstream's text where the caller may not. */
export type Authorize = (caller: Caller, method: string, path: string) => Promise<void>;

const maxCached = 1000;
const callTimeoutMs = 10_000;
const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

const isBelow = (path: string, prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`);

const fineGrained = [
  ["/pods", "pods"],
  ["/healthz", "healthz"],
  ["/configz", "configz"],
  ["/runningpods", "pods"],
] as const;

const own = [
  ["/stats", "stats"],
  ["/metrics", "metrics"],
  ["/logs", "log"],
  ["/checkpoint", "checkpoint"],
  ["/statusz", "statusz"],
  ["/flagz", "configz"],
] as const;

/** The node's subresources that guard a path, in the order in which they are tried. */
export function subresourcesOf(path: string): readonly string[] {
  const fine = fineGrained.find(([prefix]) => isBelow(path, prefix))?.[1];
  const one = own.find(([prefix]) => isBelow(path, prefix))?.[1] ?? "proxy";
  return fine === undefined ? [one] : [fine, one];
}

export function createAuthorizer(
  { client, clock, logger, nodeName, metrics }: AuthorizationDependencies,
  { mode = "Webhook", allowedCacheMs = 5 * 60_000, deniedCacheMs = 30_000 }: AuthorizationOptions = {},
): Authorize {
  if (mode === "AlwaysAllow") return async () => undefined;
  const known = new LruMap<string, { readonly allowed: boolean; readonly untilMs: number }>(maxCached);

  const may = async (caller: Caller, verb: string, subresource: string): Promise<boolean> => {
    const key = JSON.stringify([caller, verb, subresource]);
    const cached = known.get(key);
    if (cached && cached.untilMs > clock.monotonic()) return cached.allowed;
    const { name: user, groups, uid, extra } = caller;
    const resourceAttributes = { verb, version: "v1", resource: "nodes", subresource, name: nodeName };
    const spec = { user, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}), resourceAttributes };
    const ask = () => client.create(subjectaccessreviews, { metadata: {}, spec }, { timeoutMs: callTimeoutMs });
    const review = (await metrics.review("authz", ask)) as SubjectAccessReview;
    const allowed = review.status?.allowed === true;
    known.set(key, { allowed, untilMs: clock.monotonic() + (allowed ? allowedCacheMs : deniedCacheMs) });
    return allowed;
  };

  return async (caller, method, path) => {
    const verb = verbs[method] ?? "";
    const subresources = subresourcesOf(path);
    for (const subresource of subresources) {
      const who = `user=${caller.name}, verb=${verb}, resource=nodes, subresource=${subresource}`;
      const allowed = await may(caller, verb, subresource).catch((error: unknown) => {
        logger.error("Asking whether a request may be made failed", { user: caller.name, subresource, error: errorText(error) });
        throw new StatusError({ code: 500, reason: "InternalError", message: `Authorization error (${who})` });
      });
      if (allowed) return;
    }
    const text = `user=${caller.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(" ")}]`;
    throw new StatusError({ code: 403, reason: "Forbidden", message: `Forbidden (${text})\n` });
  };
}

// Who may use the kubelet's server: clients with a certificate of the cluster's CA, and of those the ones the API server
// allows to (SubjectAccessReview on nodes/proxy, nodes/log, nodes/stats, nodes/metrics), as upstream's webhook mode.
import type { TLSSocket } from "node:tls";
import { subjectaccessreviews } from "../../api/resources.generated.ts";
import type { SubjectAccessReview } from "../../api/types/authorization-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";

export interface Caller {
  readonly name: string;
  readonly groups: readonly string[];
}

/** The certificate's common name and organizations; undefined without a certificate the CA has signed. */
export function callerOf(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  const name = [subject?.CN ?? []].flat()[0];
  if (!name) return undefined;
  return { name, groups: [...[subject.O ?? []].flat(), "system:authenticated"] };
}

const allowedForMs = 5 * 60_000;
const deniedForMs = 30_000;
const maxCached = 1000;
const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** The nodes subresource that guards a path. */
export function subresourceOf(path: string): string {
  if (path.startsWith("/stats")) return "stats";
  if (path.startsWith("/metrics")) return "metrics";
  if (path.startsWith("/logs")) return "log";
  if (path.startsWith("/healthz")) return "healthz";
  if (path === "/pods" || path === "/runningpods/") return "pods";
  return "proxy";
}

export function createCallerAuthorizer(deps: { readonly client: Client; readonly clock: Clock; readonly nodeName: string }) {
  const cache = new Map<string, { readonly allowed: boolean; readonly untilMs: number }>();
  return async (caller: Caller, method: string, path: string): Promise<boolean> => {
    const verb = verbs[method] ?? method.toLowerCase();
    const subresource = subresourceOf(path);
    const key = JSON.stringify([caller.name, caller.groups, verb, subresource]);
    const known = cache.get(key);
    if (known && known.untilMs > deps.clock.now()) return known.allowed;
    const review = (await deps.client.create(subjectaccessreviews, {
      metadata: {},
      spec: {
        user: caller.name,
        groups: caller.groups,
        resourceAttributes: { verb, version: "v1", resource: "nodes", subresource, name: deps.nodeName },
      },
    })) as SubjectAccessReview;
    const allowed = review.status?.allowed === true;
    if (cache.size >= maxCached) cache.clear();
    cache.set(key, { allowed, untilMs: deps.clock.now() + (allowed ? allowedForMs : deniedForMs) });
    return allowed;
  };
}

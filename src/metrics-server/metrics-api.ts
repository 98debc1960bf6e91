// metrics.k8s.io/v1beta1 as answers to requests: NodeMetrics and PodMetrics of the nodes and pods that the cluster has now, as
// lists, by name and as tables, with label and field selectors. Which nodes and pods there are is asked for with each request.
import { notFound, StatusError } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Client } from "../client/client.ts";
import { discoveryDocument } from "./discovery.ts";
import type { MetricStore } from "./metric-store.ts";
import { type MetricsObject, nodeMetrics, podMetrics } from "./metrics-objects.ts";
import { metricsTable, wantsTable } from "./metrics-table.ts";
import { labelMatcherOf, selectedFields } from "./selection.ts";

export interface MetricsApiDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly store: MetricStore;
}

export interface MetricsRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** The Accept header. */
  readonly accept: string;
  readonly signal: AbortSignal;
}

export interface MetricsAnswer {
  readonly body: unknown;
  /** Default application/json. */
  readonly contentType?: string;
}

const group = "metrics.k8s.io";
const apiVersion = `${group}/v1beta1`;
const root = `/apis/${apiVersion}/`;
const timeoutMs = 10_000;
const nodeSubject = { group, resource: "nodes" };
const podSubject = { group, resource: "pods" };

interface Target {
  readonly resource: "nodes" | "pods";
  readonly namespace: string;
  readonly name: string | undefined;
}

/** Throws StatusError. */
export async function answerMetrics(deps: MetricsApiDependencies, request: MetricsRequest): Promise<MetricsAnswer> {
  const document = discoveryDocument(request.path, request.accept);
  if (document) return document;
  const target = targetOf(request.path);
  if (!target) throw new StatusError({ code: 404, reason: "NotFound", message: "the server could not find the requested resource" });
  if (request.method !== "GET" || ["1", "true"].includes(request.query.get("watch") ?? ""))
    throw new StatusError({
      code: 405,
      reason: "MethodNotAllowed",
      message: "the server does not allow this method on the requested resource",
    });
  const found = target.resource === "nodes" ? await findNodes(deps, target, request) : await findPods(deps, target, request);
  if (wantsTable(request.accept)) return { body: metricsTable(found, { isList: target.name === undefined }) };
  if (target.name !== undefined) return { body: found[0] };
  const kind = target.resource === "nodes" ? "NodeMetricsList" : "PodMetricsList";
  return { body: { kind, apiVersion, metadata: {}, items: found.map(({ kind: _kind, apiVersion: _version, ...item }) => item) } };
}

function targetOf(path: string): Target | undefined {
  if (!path.startsWith(root)) return undefined;
  const parts = decoded(path.slice(root.length).replace(/\/$/, "").split("/"));
  const [first, second, third, fourth] = parts;
  if (first === "nodes" && parts.length <= 2) return { resource: "nodes", namespace: "", name: second };
  if (first === "pods" && parts.length === 1) return { resource: "pods", namespace: "", name: undefined };
  if (first === "namespaces" && second && third === "pods" && parts.length <= 4)
    return { resource: "pods", namespace: second, name: fourth };
  return undefined;
}

/** Empty where one is no text. */
function decoded(parts: readonly string[]): readonly string[] {
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return [];
  }
}

async function findNodes(deps: MetricsApiDependencies, { name }: Target, request: MetricsRequest): Promise<readonly MetricsObject[]> {
  const { client, store, clock } = deps;
  const call = { signal: request.signal, timeoutMs };
  const of = (node: Node): readonly MetricsObject[] => {
    const usage = store.node(node.metadata.name);
    return usage ? [nodeMetrics(node, usage, clock.now())] : [];
  };
  if (name !== undefined) {
    const found = of(await client.get(nodes, { name }, call).catch(missingAs(notFound(nodeSubject, name))));
    if (found.length === 0) throw notFound(nodeSubject, name);
    return found;
  }
  const matches = labelMatcherOf(request.query);
  const selects = selectedFields(request.query);
  const { items } = await client.list(nodes, call);
  return sorted(items.filter((node) => matches(node.metadata.labels) && selects(node)).flatMap(of));
}

async function findPods(
  deps: MetricsApiDependencies,
  { namespace, name }: Target,
  request: MetricsRequest,
): Promise<readonly MetricsObject[]> {
  const { client, store, clock } = deps;
  const call = { signal: request.signal, timeoutMs };
  const of = (pod: Pod): readonly MetricsObject[] => {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
    const usage = store.pod(pod.spec.nodeName ?? "", key);
    return usage ? [podMetrics(pod, usage, clock.now())] : [];
  };
  if (name !== undefined) {
    const missing = notFound(podSubject, `${namespace}/${name}`);
    const found = of(await client.get(pods, { namespace, name }, call).catch(missingAs(missing)));
    if (found.length === 0) throw missing;
    return found;
  }
  const labelSelector = request.query.get("labelSelector") ?? "";
  const selects = selectedFields(request.query);
  const { items } = await client.list(pods, { namespace, ...call, ...(labelSelector === "" ? {} : { labelSelector }) });
  return sorted(items.filter(selects).flatMap(of));
}

/** The object itself is missing: then its metrics are. */
function missingAs(missing: StatusError): (error: unknown) => never {
  return (error) => {
    throw error instanceof StatusError && error.reason === "NotFound" ? missing : error;
  };
}

function sorted(objects: readonly MetricsObject[]): readonly MetricsObject[] {
  const key = ({ metadata: { namespace = "", name } }: MetricsObject): string => `${namespace}/${name}`;
  return [...objects].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

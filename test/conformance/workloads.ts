// What the tests of workloads share: manifests as short as a person would write them, and what they look at.
import { expect } from "vitest";
import type { KubernetesObject } from "../../src/api/meta/object.ts";
import { isStatus } from "../../src/api/meta/status-error.ts";
import type { ResourceType } from "../../src/api/resource-type.ts";
import { pods } from "../../src/api/resources.generated.ts";
import type { Scale } from "../../src/api/types/autoscaling-v1.ts";
import type { Container, Pod, PodSpec } from "../../src/api/types/core-v1.ts";
import type { WatchEvent } from "../../src/client/client.ts";
import type { SimulatedImage } from "../../src/cri/simulated/programs.ts";
import type { ConformanceCluster } from "./conformance-cluster.ts";

export const image = "example.test/box:1";
export const newImage = "example.test/box:2";
export const missingImage = "example.test/missing:1";
/** No registry has it. */
export const imageNobodyHas: SimulatedImage = { name: missingImage, failures: { pull: 1 } };

export interface TemplateOptions {
  readonly image?: string;
  readonly container?: Partial<Container>;
  readonly spec?: Partial<PodSpec>;
}

export const container = ({ image: of = image, container: more = {} }: TemplateOptions = {}): Container => ({
  name: "main",
  image: of,
  ...more,
});

export const template = (labels: Readonly<Record<string, string>>, options: TemplateOptions = {}) => ({
  metadata: { labels },
  spec: { containers: [container(options)], ...options.spec },
});

/** A controller of pods with these labels. */
export const workload = (labels: Readonly<Record<string, string>>, options: TemplateOptions = {}) => ({
  selector: { matchLabels: labels },
  template: template(labels, options),
});

export const isReady = ({ metadata, status }: Pod): boolean =>
  !metadata.deletionTimestamp && (status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True");

export const imageOf = ({ spec }: Pod): string | undefined => spec.containers[0]?.image;

export const controllerOf = ({ metadata }: KubernetesObject) => metadata.ownerReferences?.find((owner) => owner.controller);

export const selectorOf = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

/** By name. */
export async function podsOf(
  { client }: ConformanceCluster,
  namespace: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<readonly Pod[]> {
  const { items } = await client.list(pods, { namespace, labelSelector: selectorOf(labels) });
  return [...items].sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
}

/** Resolves when exactly so many pods with the labels are there, all of them ready. */
export function readyPods(
  cluster: ConformanceCluster,
  namespace: string,
  { labels = {}, count }: { readonly labels?: Readonly<Record<string, string>>; readonly count: number },
): Promise<readonly Pod[]> {
  return cluster.until(`${count} ready pods in ${namespace}`, async () => {
    const found = await podsOf(cluster, namespace, labels);
    return found.length === count && found.every(isReady) && found;
  });
}

export interface Seen<T> {
  readonly events: readonly WatchEvent<T>[];
  stop(): void;
}

/** Everything that happens to the objects from now on. */
export async function watching<T extends KubernetesObject>(
  { client }: ConformanceCluster,
  type: ResourceType<T>,
  { namespace = "", labelSelector = "" }: { readonly namespace?: string; readonly labelSelector?: string } = {},
): Promise<Seen<T>> {
  const { metadata } = await client.list(type, { namespace, labelSelector });
  const abort = new AbortController();
  const events: WatchEvent<T>[] = [];
  const { resourceVersion = "" } = metadata;
  const batches = await client.watch(type, { namespace, labelSelector, resourceVersion, signal: abort.signal });
  void (async () => {
    for await (const batch of batches) events.push(...batch);
  })().catch(() => undefined); // ends with the abort
  return { events, stop: () => abort.abort() };
}

/** "ADDED web-0" and so on. */
export const namesSeen = (events: readonly WatchEvent<KubernetesObject>[], of: WatchEvent<KubernetesObject>["type"]): string[] =>
  events.flatMap((event) => (event.type === of && event.type !== "BOOKMARK" ? [event.object.metadata.name ?? ""] : []));

/** Reads the scale, writes and patches it; gives back what the object's replicas were after each. */
export async function scaleByAllMeans<T extends KubernetesObject & { readonly spec?: { readonly replicas?: number } }>(
  { client }: ConformanceCluster,
  type: ResourceType<T>,
  at: { readonly namespace: string; readonly name: string },
): Promise<{ readonly read: Scale; readonly replicas: readonly (number | undefined)[] }> {
  const path = `/apis/${type.group}/${type.version}`.replace("/apis//", "/api/");
  const url = `${path}/namespaces/${at.namespace}/${type.resource}/${at.name}/scale`;
  const replicas: (number | undefined)[] = [];
  const read = await untilNoConflict(async () => {
    const found = await client.getSubresource<Scale>(type, { ...at, subresource: "scale" });
    await client.raw("PUT", url, { body: { ...found, spec: { replicas: 2 } } });
    return found;
  });
  replicas.push((await client.get(type, at)).spec?.replicas);
  await expect(client.raw("PUT", url, { body: read })).rejects.toSatisfy((error) => isStatus(error, "Conflict"));
  await client.raw("PATCH", url, { body: { spec: { replicas: 4 } }, contentType: "application/merge-patch+json" });
  replicas.push((await client.get(type, at)).spec?.replicas);
  return { read, replicas };
}

/** Reading, changing and writing, all of it again where a controller has written meanwhile, as clients do. */
export async function untilNoConflict<T>(readAndWrite: () => Promise<T>): Promise<T> {
  try {
    return await readAndWrite();
  } catch (error) {
    if (isStatus(error, "Conflict")) return untilNoConflict(readAndWrite);
    throw error;
  }
}

/** Writes an object changed; resolves with what was written. */
export function rewrite<T extends KubernetesObject>(
  { client }: ConformanceCluster,
  type: ResourceType<T>,
  at: { readonly namespace?: string; readonly name: string },
  change: (current: T) => T,
): Promise<T> {
  return untilNoConflict(async () => client.update(type, change(await client.get(type, at))));
}

/** The same of its status. */
export function rewriteStatus<T extends KubernetesObject>(
  { client }: ConformanceCluster,
  type: ResourceType<T>,
  at: { readonly namespace?: string; readonly name: string },
  change: (current: T) => T,
): Promise<T> {
  return untilNoConflict(async () => client.updateStatus(type, change(await client.get(type, at))));
}

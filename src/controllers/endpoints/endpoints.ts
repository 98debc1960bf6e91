// endpoints-controller: keeps the Endpoints object of every service with a selector, for clients from before EndpointSlices.
// Addresses of the service's first family only, at most a thousand.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { endpoints, pods, services } from "../../api/resources.generated.ts";
import { isPodReady } from "../../api/semantics/pod-status.ts";
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service } from "../../api/types/core-v1.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import { type Controller, type ControllerContext, watch, watchGathering } from "../controller.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { orderedSubsetPorts } from "./port-order.ts";
import {
  addressesOf,
  familiesOf,
  gathered,
  hasEndpoints,
  hasManagedEndpoints,
  headlessLabel,
  hostnameOf,
  isHeadless,
  podsOf,
  servedPorts,
  servicesOf,
} from "./service-pods.ts";

const maxAddresses = 1000;
const overCapacityAnnotation = "endpoints.kubernetes.io/over-capacity";
const managedByLabel = "endpoints.kubernetes.io/managed-by";

export const endpointsController: Controller = {
  name: "endpoints-controller",
  serviceAccount: "endpoint-controller",
  component: "endpoint-controller",
  create(context) {
    const serviceInformer = context.informers.informer(services);
    const podInformer = context.informers.informer(pods);
    const endpointsInformer = context.informers.informer(endpoints);
    const recent = new RecentWrites<Endpoints>(endpointsInformer);
    return {
      watches: [
        watch(serviceInformer, (service) => [keyOf(service)]),
        watchGathering(podInformer, (pod) => servicesOf(pod, serviceInformer), gathered(context, context.options.endpoints?.batchMs)),
        watch(endpointsInformer, (object) => (serviceInformer.get(keyOf(object)) ? [keyOf(object)] : [])),
      ],
      async reconcile(key, { signal }) {
        const service = serviceInformer.get(key);
        const cached = endpointsInformer.get(key);
        const [current] = recent.correct(key, cached ? [cached] : []);
        if (!service) {
          recent.forget(key);
          // Only what we made goes with its service; others make Endpoints of the same name for reasons of their own.
          if (current?.metadata.labels?.[managedByLabel]) await remove(context, current, signal);
          return undefined;
        }
        if (!hasManagedEndpoints(service)) return undefined;
        const written = await write(context, { service, current, subsets: subsetsOf(service, podsOf(service, podInformer)) }, signal);
        if (written) recent.written(key, written);
        return undefined;
      },
    };
  },
};

interface Group {
  readonly ports: readonly EndpointPort[];
  readonly ready: EndpointAddress[];
  readonly notReady: EndpointAddress[];
}

/** The addresses of pods, grouped by the ports at which they serve. */
export function subsetsOf(service: Service, selected: readonly Pod[]): readonly EndpointSubset[] {
  const [family] = familiesOf(service);
  const publishNotReady = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<string, Group>();
  for (const pod of selected) {
    if (!hasEndpoints(pod, { includeTerminating: publishNotReady })) continue;
    const [ip] = addressesOf(pod, family);
    const ports = servedPorts(service, pod).map(({ name, ...port }): EndpointPort => (name === "" ? port : { name, ...port }));
    const isPortless = isHeadless(service) && (service.spec?.ports ?? []).length === 0;
    if (ip === undefined || (ports.length === 0 && !isPortless)) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, ready: [], notReady: [] };
    groups.set(key, group);
    (publishNotReady || isPodReady(pod) ? group.ready : group.notReady).push(addressOf(service, pod, ip));
  }
  return repacked([...groups.values()]);
}

/** Ports that the same addresses serve stand together: a port that several groups have in common is told once. */
function repacked(groups: readonly Group[]): readonly EndpointSubset[] {
  const served = new Map<string, { readonly port: EndpointPort; readonly by: Group[] }>();
  for (const group of groups)
    for (const port of group.ports) {
      const key = JSON.stringify(port);
      const known = served.get(key) ?? { port, by: [] };
      served.set(key, known);
      known.by.push(group);
    }
  const together = new Map<string, { readonly ports: EndpointPort[]; readonly by: readonly Group[] }>();
  for (const { port, by } of served.values()) {
    const key = by.map((group) => groups.indexOf(group)).join(",");
    const known = together.get(key) ?? { ports: [], by };
    together.set(key, known);
    known.ports.push(port);
  }
  const portless = groups.filter(({ ports }) => ports.length === 0).map((group) => ({ ports: [], by: [group] }));
  const merged = [...together.values(), ...portless].map(({ ports, by }) => ({
    ports: orderedSubsetPorts(ports),
    ready: by.flatMap(({ ready }) => ready),
    notReady: by.flatMap(({ notReady }) => notReady),
  }));
  const text = ({ ports }: Group): string => JSON.stringify(ports);
  return merged.sort((a, b) => (text(a) < text(b) ? -1 : 1)).map(subset);
}

function addressOf(service: Service, pod: Pod, ip: string): EndpointAddress {
  const { namespace, name, uid } = pod.metadata;
  const hostname = hostnameOf(pod, service);
  const { nodeName } = pod.spec;
  return { ip, targetRef: { kind: "Pod", namespace, name, uid }, ...(nodeName ? { nodeName } : {}), ...(hostname ? { hostname } : {}) };
}

function subset({ ports, ready, notReady }: Group): EndpointSubset {
  const byIp = (a: EndpointAddress, b: EndpointAddress): number => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0);
  return {
    ...(ready.length > 0 ? { addresses: ready.sort(byIp) } : {}),
    ...(notReady.length > 0 ? { notReadyAddresses: notReady.sort(byIp) } : {}),
    ...(ports.length > 0 ? { ports } : {}),
  };
}

/** At most a thousand addresses, ready ones first; whether any had to go. */
export function truncated(subsets: readonly EndpointSubset[]): {
  readonly subsets: readonly EndpointSubset[];
  readonly isTruncated: boolean;
} {
  const count = (list: readonly EndpointAddress[] | undefined): number => list?.length ?? 0;
  const total = subsets.reduce((sum, { addresses, notReadyAddresses }) => sum + count(addresses) + count(notReadyAddresses), 0);
  if (total <= maxAddresses) return { subsets, isTruncated: false };
  let room = maxAddresses;
  const take = (list: readonly EndpointAddress[] | undefined): readonly EndpointAddress[] => {
    const kept = list?.slice(0, room) ?? [];
    room -= kept.length;
    return kept;
  };
  const ready = subsets.map(({ addresses }) => take(addresses));
  const notReady = subsets.map(({ notReadyAddresses }) => take(notReadyAddresses));
  const kept = subsets.map(({ ports }, i) =>
    subset({ ports: ports ?? [], ready: [...(ready[i] ?? [])], notReady: [...(notReady[i] ?? [])] }),
  );
  return { subsets: kept.filter(({ addresses, notReadyAddresses }) => addresses || notReadyAddresses), isTruncated: true };
}

interface Wanted {
  readonly service: Service;
  readonly current: Endpoints | undefined;
  readonly subsets: readonly EndpointSubset[];
}

async function write(
  { client, recorder }: ControllerContext,
  { service, current, subsets: all }: Wanted,
  signal: AbortSignal,
): Promise<Endpoints | undefined> {
  const { name, namespace } = service.metadata;
  const { subsets, isTruncated } = truncated(all);
  const { [headlessLabel]: _, ...copied } = service.metadata.labels ?? {};
  const labels = { ...copied, ...(isHeadless(service) ? { [headlessLabel]: "" } : {}), [managedByLabel]: "endpoint-controller" };
  const { [overCapacityAnnotation]: _old, ...kept } = current?.metadata.annotations ?? {};
  const annotations = isTruncated ? { ...kept, [overCapacityAnnotation]: "truncated" } : kept;
  const content = subsets.length > 0 ? { subsets } : {};
  try {
    if (!current) return await client.create(endpoints, { metadata: { name, namespace, labels, annotations }, ...content }, { signal });
    const { subsets: before, ...rest } = current;
    const isLabelled = semanticallyEqual(current.metadata.labels, labels) && semanticallyEqual(current.metadata.annotations, annotations);
    if (isLabelled && semanticallyEqual(before, subsets)) return undefined;
    return await client.update(endpoints, { ...rest, metadata: { ...current.metadata, labels, annotations }, ...content }, { signal });
  } catch (error) {
    if (isNamespaceGoing(error)) return undefined;
    const [reason, action] = current ? ["FailedToUpdateEndpoint", "update"] : ["FailedToCreateEndpoint", "create"];
    const text = error instanceof Error ? error.message : String(error);
    const message = current
      ? `Failed to ${action} endpoint ${namespace}/${name}: ${text}`
      : `Failed to ${action} endpoint for service ${namespace}/${name}: ${text}`;
    recorder.record(current ?? service, { type: "Warning", reason, message });
    throw error;
  }
}

async function remove({ client }: ControllerContext, { metadata }: Endpoints, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = metadata;
  try {
    await client.delete(endpoints, { namespace, name }, { signal, body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}

// endpointslice-controller: keeps the EndpointSlices of every service with a selector, for each of its address families.

import { controllerRef, keyOf } from "../../api/meta/object.ts";
import { endpointslices, nodes, pods, services } from "../../api/resources.generated.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import { isPodReady } from "../../api/semantics/pod-status.ts";
import type { Node, Pod, Service } from "../../api/types/core-v1.ts";
import type { Endpoint, EndpointHints, EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { type Controller, type ControllerContext, type Watched, watch, watchGathering } from "../controller.ts";
import { type EndpointGroup, maxEndpointsPerSlice, planSlices } from "./plan-slices.ts";
import { orderedSlicePorts } from "./port-order.ts";
import {
  addressesOf,
  familiesOf,
  gathered,
  hasEndpoints,
  hasManagedEndpoints,
  headlessLabel,
  hostnameOf,
  type IPFamily,
  isHeadless,
  podsOf,
  servedPorts,
  servicesOf,
} from "./service-pods.ts";
import { countSlices, SliceChanges } from "./slice-figures.ts";
import { wantsTopologyHints, withTopologyHints, zoneSharesOf } from "./topology-hints.ts";
import { removeSlice, type SliceWork, writeSlices } from "./write-slices.ts";

const serviceNameLabel = "kubernetes.io/service-name";
const managedByLabel = "endpointslice.kubernetes.io/managed-by";
const manager = "endpointslice-controller.k8s.io";
const zoneLabel = "topology.kubernetes.io/zone";
/** How soon a pod is looked at again whose node is not known yet. */
const missingNodeMs = 5_000;

export const endpointSliceController: Controller = {
  name: "endpointslice-controller",
  create(context) {
    const serviceInformer = context.informers.informer(services);
    const podInformer = context.informers.informer(pods);
    const nodeInformer = context.informers.informer(nodes);
    const sliceInformer = context.informers.informer(endpointslices);
    sliceInformer.addIndex("service", serviceOfSlice);
    const recent = new RecentWrites<EndpointSlice>(sliceInformer);
    const hinted = new Set<string>();
    return {
      watches: [
        watch(serviceInformer, (service) => [keyOf(service)]),
        watchGathering(podInformer, (pod) => servicesOf(pod, serviceInformer), gathered(context, context.options.endpoints?.sliceBatchMs)),
        watch(sliceInformer, serviceOfSlice),
        watchZones(nodeInformer, hinted),
      ],
      async reconcile(key, { signal }) {
        const service = serviceInformer.get(key);
        if (!service) {
          // Its slices are its dependents: the garbage collector takes them.
          recent.forget(key);
          hinted.delete(key);
          return undefined;
        }
        if (!hasManagedEndpoints(service) || service.metadata.deletionTimestamp !== undefined) return undefined;
        const existing = recent
          .correct(key, sliceInformer.byIndex("service", key))
          .filter((slice) => slice.metadata.deletionTimestamp === undefined);
        try {
          const again = await reconcileSlices(context, { key, service, existing, recent, podInformer, nodeInformer, hinted, signal });
          context.metrics?.own.count("endpoint_slice_controller_syncs", "success");
          return again;
        } catch (error) {
          context.metrics?.own.count("endpoint_slice_controller_syncs", "error");
          throw error;
        }
      },
      start: () => showSlices(context, serviceInformer, sliceInformer),
    };
  },
};

const shown = [
  "endpoint_slice_controller_desired_endpoint_slices",
  "endpoint_slice_controller_endpoints_desired",
  "endpoint_slice_controller_num_endpoint_slices",
  "endpoint_slice_controller_services_count_by_traffic_distribution",
] as const;

function showSlices({ metrics, options }: ControllerContext, allServices: Informer<Service>, slices: Informer<EndpointSlice>): Running {
  const own = metrics?.own;
  const hide = own?.beforeScrape(shown, () => {
    const counts = countSlices(own, "endpoint_slice_controller", slices, (slice) => serviceOfSlice(slice).length > 0);
    const perfect = [...counts.values()].reduce(
      (sum, count) => sum + Math.max(1, Math.ceil(count / (options.endpoints?.maxPerSlice ?? maxEndpointsPerSlice))),
      0,
    );
    own.set("endpoint_slice_controller_desired_endpoint_slices", perfect);
    for (const { spec } of allServices.list()) {
      if (spec?.trafficDistribution) {
        own.increase("endpoint_slice_controller_services_count_by_traffic_distribution", spec.trafficDistribution);
      }
    }
  });
  return { stop: async () => hide?.() };
}

/** The key of the service that one of our slices belongs to. */
function serviceOfSlice(slice: EndpointSlice): readonly string[] {
  const { namespace, labels } = slice.metadata;
  const name = labels?.[serviceNameLabel];
  return name && labels?.[managedByLabel] === manager ? [`${namespace}/${name}`] : [];
}

interface Work {
  readonly key: string;
  readonly service: Service;
  readonly existing: readonly EndpointSlice[];
  readonly recent: RecentWrites<EndpointSlice>;
  readonly podInformer: Informer<Pod>;
  readonly nodeInformer: Informer<Node>;
  /** Services that have hints by the topology mode. */
  readonly hinted: Set<string>;
  readonly signal: AbortSignal;
}

/** The zones' parts of the CPU concern the services that have hints by them. */
function watchZones(nodeInformer: Informer<Node>, hinted: ReadonlySet<string>): Watched {
  const zoneText = ({ metadata, status }: Node): string =>
    JSON.stringify([metadata.labels?.[zoneLabel], status?.allocatable?.cpu, findCondition(status?.conditions, "Ready")?.status]);
  return {
    start(enqueue) {
      const tell = (): void => {
        for (const key of hinted) enqueue(key);
      };
      return nodeInformer.addHandler({
        onAdd: tell,
        onUpdate: (node, previous) => {
          if (hinted.size > 0 && zoneText(node) !== zoneText(previous)) tell();
        },
        onDelete: tell,
      });
    },
  };
}

async function reconcileSlices(context: ControllerContext, work: Work): Promise<RequeueAfter | undefined> {
  const { service, existing, podInformer, nodeInformer } = work;
  const families = familiesOf(service);
  const serving = podsOf(service, podInformer).filter((pod) => hasEndpoints(pod, { includeTerminating: true }));
  const nodeOf = (pod: Pod): Node | undefined => (pod.spec.nodeName ? nodeInformer.get(pod.spec.nodeName) : undefined);
  // Without a node that is there, a pod must not lead traffic anywhere, unless the service wants every address.
  const isPlaced = (pod: Pod): boolean => nodeOf(pod) !== undefined || service.spec?.publishNotReadyAddresses === true;
  const placed = serving.filter(isPlaced);
  const slices: SliceWork = { client: context.client, ...work };
  const { name, namespace } = service.metadata;
  const metadata = { generateName: `${name}-`, namespace, labels: labelsFor(service), owner: controllerRef(service, services) };
  const changes = new SliceChanges();
  for (const slice of existing) {
    if (families.includes(slice.addressType as IPFamily)) continue;
    changes.remove([slice]);
    await removeSlice(slices, slice);
  }
  for (const family of families) {
    const own = existing.filter((slice) => slice.addressType === family);
    const groups = endpointGroups(service, placed, { family, nodeOf });
    const plan = planSlices(own, withHints(context, work, { groups, family }), context.options.endpoints?.maxPerSlice);
    changes.plan(plan);
    await writeSlices(slices, plan, { metadata, addressType: family });
  }
  changes.tell(context.metrics?.own, "endpoint_slice_controller");
  if (placed.length === serving.length) return undefined;
  const skipped = serving.filter((pod) => !isPlaced(pod));
  const reasons = skipped.map(
    ({ metadata, spec }) => `skipping Pod ${metadata.name} for Service ${work.key}: Node ${spec.nodeName ?? ""} Not Found`,
  );
  const message = `Error updating Endpoint Slices for Service ${work.key}: ${reasons.length === 1 ? reasons[0] : `[${reasons.join(", ")}]`}`;
  context.recorder.record(service, { type: "Warning", reason: "FailedToUpdateEndpointSlices", message });
  return { requeueAfterMs: missingNodeMs };
}

/** The endpoints with the hints of the topology mode, where the service asks for it; an event tells when that begins and ends. */
function withHints(
  { recorder }: ControllerContext,
  { key, service, nodeInformer, hinted }: Work,
  { groups, family }: { readonly groups: readonly EndpointGroup[]; readonly family: IPFamily },
): readonly EndpointGroup[] {
  const tell = (type: "Normal" | "Warning", reason: string, message: string): void =>
    recorder.record(service, { type, reason, message: `${message}, addressType: ${family}` });
  if (!wantsTopologyHints(service)) {
    if (hinted.delete(key)) tell("Warning", "TopologyAwareHintsDisabled", "Topology Aware Hints has been disabled");
    return groups;
  }
  const hints = withTopologyHints(groups, zoneSharesOf(nodeInformer.list()));
  if (hints.kind === "none") {
    tell("Warning", "TopologyAwareHintsDisabled", hints.message);
    hinted.delete(key);
    return groups;
  }
  if (!hinted.has(key)) tell("Normal", "TopologyAwareHintsEnabled", "Topology Aware Hints has been enabled");
  hinted.add(key);
  return hints.groups;
}

/** The endpoints of the pods, by the ports at which they serve: named ports may differ from pod to pod. */
export function endpointGroups(
  service: Service,
  serving: readonly Pod[],
  { family, nodeOf }: { readonly family: IPFamily; readonly nodeOf: (pod: Pod) => Node | undefined },
): readonly EndpointGroup[] {
  const groups = new Map<string, { readonly ports: EndpointGroup["ports"]; readonly endpoints: Endpoint[] }>();
  for (const pod of serving) {
    const addresses = addressesOf(pod, family);
    if (addresses.length === 0) continue;
    // A pod that has none of the ports' names is there all the same, without ports.
    const ports = servedPorts(service, pod);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports: orderedSlicePorts(ports), endpoints: [] };
    groups.set(key, group);
    group.endpoints.push(endpointOf(service, pod, { addresses, node: nodeOf(pod) }));
  }
  return [...groups.values()];
}

function endpointOf(
  service: Service,
  pod: Pod,
  { addresses, node }: { readonly addresses: readonly string[]; readonly node: Node | undefined },
): Endpoint {
  const serving = isPodReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const zone = node?.metadata.labels?.[zoneLabel];
  const { namespace, name, uid } = pod.metadata;
  const { nodeName } = pod.spec;
  const hostname = hostnameOf(pod, service);
  const hints = ready ? hintsOf(service, { zone, nodeName }) : undefined;
  return {
    addresses,
    conditions: { ready, serving, terminating },
    targetRef: { kind: "Pod", namespace, name, uid },
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
    ...(hostname ? { hostname } : {}),
    ...(hints ? { hints } : {}),
  };
}

/** Where the service asks for near endpoints: for whom this one is near. */
function hintsOf(
  service: Service,
  at: { readonly zone: string | undefined; readonly nodeName: string | undefined },
): EndpointHints | undefined {
  if (wantsTopologyHints(service)) return undefined;
  const distribution = service.spec?.trafficDistribution;
  const byNode = distribution === "PreferSameNode";
  if (!byNode && distribution !== "PreferClose" && distribution !== "PreferSameZone") return undefined;
  const forZones = at.zone ? { forZones: [{ name: at.zone }] } : {};
  const forNodes = byNode && at.nodeName ? { forNodes: [{ name: at.nodeName }] } : {};
  const hints = { ...forZones, ...forNodes };
  return Object.keys(hints).length > 0 ? hints : undefined;
}

function labelsFor(service: Service): Readonly<Record<string, string>> {
  const { [serviceNameLabel]: _name, [managedByLabel]: _manager, [headlessLabel]: _headless, ...labels } = service.metadata.labels ?? {};
  return {
    ...labels,
    [serviceNameLabel]: service.metadata.name,
    [managedByLabel]: manager,
    ...(isHeadless(service) ? { [headlessLabel]: "" } : {}),
  };
}

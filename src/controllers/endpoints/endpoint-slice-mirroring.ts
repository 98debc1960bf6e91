// endpointslicemirroring-controller: copies Endpoints that someone keeps by hand, for a service without a selector, into
// EndpointSlices, which is all that proxies look at. Endpoints with the label that says so are not copied.

import { parseIP } from "../../api/meta/ip.ts";
import { controllerRef, keyOf } from "../../api/meta/object.ts";
import { endpointslices, endpoints as endpointsType, services } from "../../api/resources.generated.ts";
import type { EndpointAddress, EndpointSubset, Endpoints } from "../../api/types/core-v1.ts";
import type { Endpoint, EndpointPort, EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import { type Controller, type ControllerContext, watch, watchGathering } from "../controller.ts";
import { type EndpointGroup, planSlices } from "./plan-slices.ts";
import { orderedSlicePorts } from "./port-order.ts";
import { gathered, type IPFamily } from "./service-pods.ts";
import { countSlices, SliceChanges } from "./slice-figures.ts";
import { removeSlice, type SliceWork, writeSlices } from "./write-slices.ts";

const serviceNameLabel = "kubernetes.io/service-name";
const managedByLabel = "endpointslice.kubernetes.io/managed-by";
const manager = "endpointslicemirroring-controller.k8s.io";
const skipLabel = "endpointslice.kubernetes.io/skip-mirror";
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader";
const notCopied: ReadonlySet<string> = new Set([
  "endpoints.kubernetes.io/last-change-trigger-time",
  "kubectl.kubernetes.io/last-applied-configuration",
]);
const families: readonly IPFamily[] = ["IPv4", "IPv6"];
const defaultMaxPerSubset = 1000;

/** Whether these Endpoints are somebody's own work, meant for proxies. */
export function isMirrored({ metadata }: Endpoints): boolean {
  return metadata.labels?.[skipLabel] !== "true" && metadata.annotations?.[leaderAnnotation] === undefined;
}

/** The endpoints of one family, by the ports of their subsets. */
export function mirroredGroups(
  subsets: readonly EndpointSubset[],
  family: IPFamily,
  maxPerSubset = defaultMaxPerSubset,
): readonly EndpointGroup[] {
  const groups = new Map<string, { readonly ports: readonly EndpointPort[]; readonly endpoints: Endpoint[] }>();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets) {
    const ofFamily = ({ ip }: EndpointAddress): boolean => parseIP(ip)?.family === (family === "IPv4" ? 4 : 6);
    const ready = addresses.filter(ofFamily).map((address) => mirrored(address, true));
    const notReady = notReadyAddresses.filter(ofFamily).map((address) => mirrored(address, false));
    const all = [...ready, ...notReady].slice(0, maxPerSubset);
    if (all.length === 0) continue;
    const slicePorts = ports.map(({ name = "", protocol = "TCP", ...port }): EndpointPort => ({ name, protocol, ...port }));
    const key = JSON.stringify(slicePorts);
    const group = groups.get(key) ?? { ports: orderedSlicePorts(slicePorts), endpoints: [] };
    group.endpoints.push(...all);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function mirrored({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(targetRef ? { targetRef } : {}),
  };
}

export const endpointSliceMirroring: Controller = {
  name: "endpointslice-mirroring-controller",
  serviceAccount: "endpointslicemirroring-controller",
  create(context) {
    const serviceInformer = context.informers.informer(services);
    const endpointsInformer = context.informers.informer(endpointsType);
    const sliceInformer = context.informers.informer(endpointslices);
    sliceInformer.addIndex("mirrored", mirroredKeys);
    const recent = new RecentWrites<EndpointSlice>(sliceInformer);
    return {
      watches: [
        watch(serviceInformer, (service) => [keyOf(service)]),
        watchGathering(endpointsInformer, (object) => [keyOf(object)], gathered(context, context.options.endpoints?.mirroringBatchMs)),
        watch(sliceInformer, mirroredKeys),
      ],
      start: () => showMirrored(context, sliceInformer),
      async reconcile(key, { signal }) {
        const begunMs = context.clock.monotonic();
        const work: SliceWork = { client: context.client, key, recent, signal };
        const existing = recent.correct(key, sliceInformer.byIndex("mirrored", key));
        const service = serviceInformer.get(key);
        const source = endpointsInformer.get(key);
        if (!source || !isMirrored(source) || !service || service.spec?.selector !== undefined) {
          for (const slice of existing) await removeSlice(work, slice);
          if (!service) recent.forget(key);
          return undefined;
        }
        await mirror(context, work, { source, existing });
        tellSkipped(context, source);
        const seconds = (context.clock.monotonic() - begunMs) / 1000;
        context.metrics?.own.observe("endpoint_slice_mirroring_controller_endpoints_sync_duration", seconds);
        return undefined;
      },
    };
  },
};

function mirroredKeys({ metadata: { namespace, labels } }: EndpointSlice): readonly string[] {
  const name = labels?.[serviceNameLabel];
  return name && labels?.[managedByLabel] === manager ? [`${namespace}/${name}`] : [];
}

const shown = ["endpoint_slice_mirroring_controller_endpoints_desired", "endpoint_slice_mirroring_controller_num_endpoint_slices"] as const;

function showMirrored({ metrics }: ControllerContext, slices: Informer<EndpointSlice>): Running {
  const own = metrics?.own;
  const hide = own?.beforeScrape(shown, () => {
    countSlices(own, "endpoint_slice_mirroring_controller", slices, (slice) => mirroredKeys(slice).length > 0);
  });
  return { stop: async () => hide?.() };
}

function tellSkipped({ recorder, metrics, options }: ControllerContext, source: Endpoints): void {
  const maxPerSubset = options.endpoints?.maxMirroredPerSubset ?? defaultMaxPerSubset;
  let all = 0;
  for (const { addresses = [], notReadyAddresses = [] } of source.subsets ?? []) {
    const skipped = addresses.length + notReadyAddresses.length - maxPerSubset;
    if (skipped <= 0) continue;
    all += skipped;
    const message = `A max of ${maxPerSubset} addresses can be mirrored to EndpointSlices per Endpoints subset. ${skipped} addresses were skipped`;
    recorder.record(source, { type: "Warning", reason: "TooManyAddressesToMirror", message });
  }
  metrics?.own.observe("endpoint_slice_mirroring_controller_addresses_skipped_per_sync", all);
}

interface Mirrored {
  readonly source: Endpoints;
  readonly existing: readonly EndpointSlice[];
}

async function mirror({ metrics, options }: ControllerContext, work: SliceWork, { source, existing }: Mirrored): Promise<void> {
  const maxPerSubset = options.endpoints?.maxMirroredPerSubset ?? defaultMaxPerSubset;
  const changes = new SliceChanges();
  const { name, namespace } = source.metadata;
  const metadata = { generateName: `${name}-`, namespace, ...metadataFor(source), owner: controllerRef(source, endpointsType) };
  for (const family of families) {
    const own = existing.filter((slice) => slice.addressType === family);
    const groups = mirroredGroups(source.subsets ?? [], family, maxPerSubset);
    if (groups.length === 0) {
      // Nothing to mirror is mirrored by nothing: no empty slice is kept.
      changes.remove(own);
      for (const slice of own) await removeSlice(work, slice);
      continue;
    }
    const plan = planSlices(own, groups, maxPerSubset);
    changes.plan(plan);
    await writeSlices(work, plan, { metadata, addressType: family });
  }
  changes.tell(metrics?.own, "endpoint_slice_mirroring_controller");
}

function metadataFor({ metadata }: Endpoints): { readonly labels: Record<string, string>; readonly annotations: Record<string, string> } {
  const { [skipLabel]: _, ...labels } = metadata.labels ?? {};
  const annotations = Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([name]) => !notCopied.has(name)));
  return { labels: { ...labels, [serviceNameLabel]: metadata.name, [managedByLabel]: manager }, annotations };
}

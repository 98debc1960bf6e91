// endpointslicemirroring-controller: copies Endpoints that someone keeps by hand, for a service without a selector, into
// EndpointSlices, which is all that proxies look at. Endpoints with the label that says so are not copied.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { parseIP } from "../../api/meta/ip.ts";
import { controllerRef, keyOf, type New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { endpointslices, endpoints as endpointsType, services } from "../../api/resources.generated.ts";
import type { EndpointAddress, EndpointSubset, Endpoints } from "../../api/types/core-v1.ts";
import type { Endpoint, EndpointPort, EndpointSlice } from "../../api/types/discovery-v1.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { type EndpointGroup, planSlices, type SliceContent } from "./plan-slices.ts";
import type { IPFamily } from "./service-pods.ts";

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
const maxPerSubset = 1000;

/** Whether these Endpoints are somebody's own work, meant for proxies. */
export function isMirrored({ metadata }: Endpoints): boolean {
  return metadata.labels?.[skipLabel] !== "true" && metadata.annotations?.[leaderAnnotation] === undefined;
}

/** The endpoints of one family, by the ports of their subsets. */
export function mirroredGroups(subsets: readonly EndpointSubset[], family: IPFamily): readonly EndpointGroup[] {
  const groups = new Map<string, { readonly ports: readonly EndpointPort[]; readonly endpoints: Endpoint[] }>();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets) {
    const ofFamily = ({ ip }: EndpointAddress): boolean => parseIP(ip)?.family === (family === "IPv4" ? 4 : 6);
    const ready = addresses.filter(ofFamily).map((address) => mirrored(address, true));
    const notReady = notReadyAddresses.filter(ofFamily).map((address) => mirrored(address, false));
    const all = [...ready, ...notReady].slice(0, maxPerSubset);
    if (all.length === 0) continue;
    const slicePorts = ports.map(({ name = "", protocol = "TCP", ...port }): EndpointPort => ({ name, protocol, ...port }));
    const key = JSON.stringify(slicePorts);
    const group = groups.get(key) ?? { ports: slicePorts, endpoints: [] };
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

interface Work {
  readonly key: string;
  readonly source: Endpoints;
  readonly recent: RecentWrites<EndpointSlice>;
  readonly signal: AbortSignal;
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
        watch(endpointsInformer, (object) => [keyOf(object)]),
        watch(sliceInformer, mirroredKeys),
      ],
      async reconcile(key, { signal }) {
        const existing = recent.correct(key, sliceInformer.byIndex("mirrored", key));
        const service = serviceInformer.get(key);
        const source = endpointsInformer.get(key);
        if (!source || !isMirrored(source) || !service || service.spec?.selector !== undefined) {
          for (const slice of existing) await remove(context, { key, recent, signal }, slice);
          if (!service) recent.forget(key);
          return undefined;
        }
        await mirror(context, { key, source, recent, signal }, existing);
        return undefined;
      },
    };
  },
};

function mirroredKeys({ metadata: { namespace, labels } }: EndpointSlice): readonly string[] {
  const name = labels?.[serviceNameLabel];
  return name && labels?.[managedByLabel] === manager ? [`${namespace}/${name}`] : [];
}

async function mirror(context: ControllerContext, work: Work, existing: readonly EndpointSlice[]): Promise<void> {
  for (const family of families) {
    const own = existing.filter((slice) => slice.addressType === family);
    const groups = mirroredGroups(work.source.subsets ?? [], family);
    if (groups.length === 0) {
      // Nothing to mirror is mirrored by nothing: no empty slice is kept.
      for (const slice of own) await remove(context, work, slice);
      continue;
    }
    const plan = planSlices(own, groups);
    for (const slice of plan.remove) await remove(context, work, slice);
    for (const { slice, content } of plan.update) await update(context, work, { slice, content });
    for (const slice of plan.unchanged) {
      await update(context, work, { slice, content: { ports: slice.ports ?? [], endpoints: slice.endpoints ?? [] } });
    }
    for (const content of plan.create) await create(context, work, { family, content });
  }
}

function metadataFor({ metadata }: Endpoints): Pick<EndpointSlice["metadata"], "labels" | "annotations"> {
  const { [skipLabel]: _, ...labels } = metadata.labels ?? {};
  const annotations = Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([name]) => !notCopied.has(name)));
  return { labels: { ...labels, [serviceNameLabel]: metadata.name, [managedByLabel]: manager }, annotations };
}

async function create(
  { client }: ControllerContext,
  work: Work,
  { family, content }: { readonly family: IPFamily; readonly content: SliceContent },
): Promise<void> {
  const { key, source, recent, signal } = work;
  const { name, namespace } = source.metadata;
  const metadata = { generateName: `${name}-`, namespace, ...metadataFor(source), ownerReferences: [controllerRef(source, endpointsType)] };
  const slice: New<EndpointSlice> = { metadata, addressType: family, endpoints: content.endpoints, ports: content.ports };
  try {
    recent.written(key, await client.create(endpointslices, slice, { signal }));
  } catch (error) {
    if (!isNamespaceGoing(error)) throw error;
  }
}

async function update(
  { client }: ControllerContext,
  work: Work,
  { slice, content }: { readonly slice: EndpointSlice; readonly content: SliceContent },
): Promise<void> {
  const { key, source, recent, signal } = work;
  const wanted = metadataFor(source);
  const isSame = semanticallyEqual(slice.endpoints, content.endpoints) && semanticallyEqual(slice.ports, content.ports);
  const isLabelled =
    semanticallyEqual(slice.metadata.labels, wanted.labels) && semanticallyEqual(slice.metadata.annotations, wanted.annotations);
  if (isSame && isLabelled) return;
  const changed: EndpointSlice = {
    ...slice,
    metadata: { ...slice.metadata, ...wanted },
    endpoints: content.endpoints,
    ports: content.ports,
  };
  recent.written(key, await client.update(endpointslices, changed, { signal }));
}

async function remove({ client }: ControllerContext, { key, recent, signal }: Omit<Work, "source">, slice: EndpointSlice): Promise<void> {
  const { namespace, name, uid } = slice.metadata;
  try {
    await client.delete(endpointslices, { namespace, name }, { signal, body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
  recent.deleted(key, slice);
}

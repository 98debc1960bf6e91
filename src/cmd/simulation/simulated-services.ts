// How simulated programs find services: by the address or the name of a Service, to one of its ready endpoints. On real nodes
// the kernel and the cluster's DNS do that; here it is looked up when a program connects.
import { endpointslices, services } from "../../api/resources.generated.ts";
import type { Service } from "../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { InformerFactory, Lister } from "../../client/informer.ts";
import type { ResolveAddress } from "../../cri/simulated/network.ts";

const serviceLabel = "kubernetes.io/service-name";

/** `informers` are started by whoever owns them. */
export function serviceResolver(informers: InformerFactory, clusterDomain: string, clock: Pick<Clock, "random">): ResolveAddress {
  const known = informers.informer(services);
  const slices = informers.informer(endpointslices);
  known.addIndex("clusterIP", clusterIPs);
  slices.addIndex("service", serviceOfSlice);
  return (host, port, namespace) => {
    const service = known.byIndex("clusterIP", host)[0] ?? known.get(serviceKey(host, namespace, clusterDomain));
    const servicePort = service?.spec.ports?.find((candidate) => candidate.port === port);
    if (!service || !servicePort) return undefined;
    return endpointOf(slices, service, servicePort.name ?? "", clock);
  };
}

function endpointOf(
  slices: Lister<EndpointSlice>,
  { metadata }: Service,
  portName: string,
  clock: Pick<Clock, "random">,
): { readonly host: string; readonly port: number } | undefined {
  const found = slices.byIndex("service", `${metadata.namespace}/${metadata.name}`).flatMap((slice) => {
    const number = slice.ports?.find((port) => (port.name ?? "") === portName)?.port;
    if (number === undefined) return [];
    return (slice.endpoints ?? []).flatMap(({ addresses, conditions }) =>
      conditions?.ready === false || addresses[0] === undefined ? [] : [{ host: addresses[0], port: number }],
    );
  });
  return found[Math.floor(clock.random() * found.length)];
}

const clusterIPs = ({ spec }: Service): readonly string[] => (spec.clusterIPs ?? []).filter((address) => address !== "None");
const serviceOfSlice = ({ metadata }: EndpointSlice): readonly string[] => {
  const name = metadata.labels?.[serviceLabel];
  return name === undefined ? [] : [`${metadata.namespace}/${name}`];
};

/** "web", "web.shop", "web.shop.svc" and "web.shop.svc.cluster.local", as the cluster's DNS completes them. */
function serviceKey(host: string, namespace: string, clusterDomain: string): string {
  const suffix = `.${clusterDomain}`;
  const short = host.endsWith(suffix) ? host.slice(0, -suffix.length) : host;
  const [name = "", of = namespace] = short.replace(/\.svc$/, "").split(".");
  return `${of}/${name}`;
}

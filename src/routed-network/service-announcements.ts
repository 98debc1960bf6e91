// Which addresses of services a node tells its BGP peers of, as a BGPConfiguration says: the ranges themselves, by every node, for
// services whose traffic any node takes; and single addresses, by the nodes that have endpoints, for those with the traffic policy
// Local, so that their clients keep their addresses. Pure.
import { cidrContains, type ParsedCIDR, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { BGPConfiguration } from "./resources.ts";

export interface AnnouncementInput {
  readonly nodeName: string;
  readonly services: Iterable<Service>;
  /** Of a service, by namespace and name. */
  readonly slicesOf: (key: string) => Iterable<EndpointSlice>;
}

type Ranges = Pick<BGPConfiguration["spec"], "serviceClusterIPs" | "serviceExternalIPs" | "serviceLoadBalancerIPs">;

/** Whether services have to be known at all. */
export const announcesServices = (spec: Ranges | undefined): boolean =>
  [spec?.serviceClusterIPs, spec?.serviceExternalIPs, spec?.serviceLoadBalancerIPs].some((ranges) => (ranges ?? []).length > 0);

/** In canonical form, sorted. */
export function serviceAnnouncements(spec: Ranges, { nodeName, services, slicesOf }: AnnouncementInput): readonly string[] {
  const ranges = {
    cluster: parsed(spec.serviceClusterIPs),
    external: parsed(spec.serviceExternalIPs),
    balancer: parsed(spec.serviceLoadBalancerIPs),
  };
  // A range of one address is that address', wherever its endpoints are.
  const wide = Object.values(ranges)
    .flat()
    .filter(({ prefixLength, network }) => prefixLength < network.length * 8);
  const told = new Set(wide.map(({ canonical }) => canonical));
  for (const service of services) {
    const { spec: wanted, metadata, status } = service;
    const key = `${metadata.namespace ?? ""}/${metadata.name}`;
    const isLocal = wanted.externalTrafficPolicy === "Local";
    const given = [
      ...inside(wanted.clusterIPs ?? [], ranges.cluster),
      ...inside(wanted.externalIPs ?? [], ranges.external),
      ...inside(
        (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []),
        ranges.balancer,
      ),
    ];
    const single = given.filter(({ range }) => isLocal || !wide.includes(range));
    if (single.length === 0 || (isLocal && !hasEndpointHere(slicesOf(key), nodeName))) continue;
    for (const { address } of single) told.add(`${address}/${address.includes(":") ? 128 : 32}`);
  }
  return [...told].sort();
}

const parsed = (ranges: readonly { readonly cidr?: string }[] | undefined): readonly ParsedCIDR[] =>
  (ranges ?? []).flatMap(({ cidr }) => parseCIDR(cidr ?? "") ?? []);

function inside(
  texts: readonly string[],
  ranges: readonly ParsedCIDR[],
): readonly { readonly address: string; readonly range: ParsedCIDR }[] {
  return texts.flatMap((text) => {
    const ip = parseIP(text);
    const range = ip && ranges.find((each) => cidrContains(each, ip));
    return range ? [{ address: ip.canonical, range }] : [];
  });
}

const hasEndpointHere = (slices: Iterable<EndpointSlice>, nodeName: string): boolean =>
  [...slices].some(({ endpoints }) => (endpoints ?? []).some((e) => e.nodeName === nodeName && (e.conditions?.ready ?? true)));

// What the rules need to know of a service, for each of its ports and one address family: the addresses it answers at, its
// traffic policies, who may come and whether a client keeps its endpoint. Every address is parsed: what the API server holds
// is text that ends up in packet rules.
import { cidrContains, type ParsedCIDR, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";

export type Protocol = "tcp" | "udp" | "sctp";

export interface ServicePortInfo {
  readonly namespace: string;
  readonly service: string;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly nodePort: number | undefined;
  readonly clusterIP: string;
  readonly externalIPs: readonly string[];
  /** Those that packets for the load balancer still carry when they reach a node. */
  readonly loadBalancerIPs: readonly string[];
  /** Empty: everybody. None contains another. */
  readonly sourceRanges: readonly ParsedCIDR[];
  /** For how long a client stays with its endpoint; undefined without session affinity. */
  readonly affinitySeconds: number | undefined;
  /** Traffic from outside goes to endpoints of this node only. */
  readonly externalLocal: boolean;
  readonly internalLocal: boolean;
}

/** Upstream's label for services that another proxy serves. */
export const proxyNameLabel = "service.kubernetes.io/service-proxy-name";

/** Whether the service is served by packet rules at all: neither headless, nor a name, nor another proxy's. */
export function isProxied({ spec, metadata }: Service): boolean {
  const { clusterIP, type } = spec;
  return (
    clusterIP !== undefined && clusterIP !== "" && clusterIP !== "None" && type !== "ExternalName" && !metadata.labels?.[proxyNameLabel]
  );
}

/** The ports of a service in one family; none where it has no address of that family. */
export function servicePortsOf(service: Service, family: IpFamily): readonly ServicePortInfo[] {
  if (!isProxied(service)) return [];
  const { spec, metadata, status } = service;
  const clusterIP = addressesOf(spec.clusterIPs ?? [spec.clusterIP ?? ""], family)[0];
  if (clusterIP === undefined) return [];
  const externalIPs = addressesOf(spec.externalIPs ?? [], family);
  const ingress = status?.loadBalancer?.ingress ?? [];
  const loadBalancerIPs = addressesOf(
    ingress.flatMap(({ ip, ipMode }) => (ip && (ipMode ?? "VIP") === "VIP" ? [ip] : [])),
    family,
  );
  const shared = {
    namespace: metadata.namespace ?? "",
    service: metadata.name,
    ...{ clusterIP, externalIPs, loadBalancerIPs },
    sourceRanges: sourceRangesOf(spec.loadBalancerSourceRanges ?? [], family),
    affinitySeconds: spec.sessionAffinity === "ClientIP" ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800) : undefined,
    externalLocal: isExternalLocal(service),
    internalLocal: spec.internalTrafficPolicy === "Local",
  };
  return (spec.ports ?? []).map(({ name, protocol, port, nodePort }) => ({
    ...shared,
    portName: name ?? "",
    protocol: (protocol ?? "TCP").toLowerCase() as Protocol,
    port,
    nodePort: nodePort || undefined,
  }));
}

/** Whether the port is reachable by anything else than its cluster address. */
export function isExternallyAccessible({ nodePort, externalIPs, loadBalancerIPs }: ServicePortInfo): boolean {
  return nodePort !== undefined || externalIPs.length > 0 || loadBalancerIPs.length > 0;
}

/** The port at which load balancers ask whether this node has endpoints; undefined where nobody asks. */
export function healthCheckPortOf({ spec }: Service): number | undefined {
  return spec.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local" ? spec.healthCheckNodePort || undefined : undefined;
}

function isExternalLocal({ spec }: Service): boolean {
  const isExternal = spec.type === "LoadBalancer" || spec.type === "NodePort" || (spec.externalIPs ?? []).length > 0;
  return isExternal && spec.externalTrafficPolicy === "Local";
}

const canonicalIPv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;

/** In canonical form and of the family; texts that are no address are left out. */
export function addressesOf(texts: readonly string[], family: IpFamily): readonly string[] {
  const wanted = family === "IPv4" ? 4 : 6;
  return texts.flatMap((text) => {
    // Nearly always so, and tens of thousands of times at the start.
    if (wanted === 4 && canonicalIPv4.test(text)) return [text];
    const ip = parseIP(text);
    return ip && ip.family === wanted ? [ip.bytes.length === 4 ? ip.bytes.join(".") : ip.canonical] : [];
  });
}

function sourceRangesOf(texts: readonly string[], family: IpFamily): readonly ParsedCIDR[] {
  const length = family === "IPv4" ? 4 : 16;
  // Validation lets blanks around a range pass.
  const ranges = texts.flatMap((text) => parseCIDR(text.trim()) ?? []).filter(({ network }) => network.length === length);
  if (ranges.some(({ prefixLength }) => prefixLength === 0)) return [];
  return outermost(ranges);
}

/** Ranges without those that lie within another: a packet filter's set refuses overlaps. */
export function outermost(ranges: readonly ParsedCIDR[]): readonly ParsedCIDR[] {
  const byWidth = [...ranges].sort((a, b) => a.prefixLength - b.prefixLength);
  const kept: ParsedCIDR[] = [];
  for (const range of byWidth) {
    const start = parseIP(range.canonical.slice(0, range.canonical.indexOf("/")));
    if (start && !kept.some((wider) => cidrContains(wider, start))) kept.push(range);
  }
  return kept;
}

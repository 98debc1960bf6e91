// The records of a name in the cluster's domain, by the Kubernetes DNS specification 1.1.0 and, where that is silent, as
// CoreDNS answers (with pods "insecure"): decided from services and EndpointSlices alone, without state.
import { parseIP } from "../api/meta/ip.ts";
import type { Service, ServicePort } from "../api/types/core-v1.ts";
import type { Endpoint, EndpointPort, EndpointSlice } from "../api/types/discovery-v1.ts";
import { addressLabel, type ClusterName, parseClusterName, type ServicePart } from "./cluster-names.ts";
import { type } from "./wire.ts";

/** What is in the cluster at this moment. */
export interface ClusterView {
  hasNamespace(name: string): boolean;
  service(namespace: string, name: string): Service | undefined;
  slicesOf(namespace: string, service: string): readonly EndpointSlice[];
  servicesAt(clusterIP: string): readonly Service[];
  slicesAt(address: string): readonly EndpointSlice[];
}

export type ClusterRecord =
  | { readonly type: "A" | "AAAA"; readonly address: string }
  | { readonly type: "NS" | "PTR"; readonly target: string }
  | { readonly type: "TXT"; readonly text: string }
  | { readonly type: "SRV"; readonly target: string; readonly port: number; readonly weight: number };

export type Resolution =
  | { readonly kind: "records"; readonly records: readonly ClusterRecord[]; readonly extra?: readonly NamedRecord[] }
  /** The start of authority is the answer. */
  | { readonly kind: "authority" }
  /** Another name, with or without a final dot. */
  | { readonly kind: "alias"; readonly target: string }
  /** There is no such name. */
  | { readonly kind: "none" };

export interface NamedRecord {
  readonly name: string;
  readonly record: ClusterRecord;
}

export interface ClusterDomain {
  /** "cluster.local". */
  readonly domain: string;
  /** Addresses of this DNS service itself. */
  readonly serverAddresses: readonly string[];
}

const specificationVersion = "1.1.0";

const none: Resolution = { kind: "none" };
/** The name is there, but has nothing of the type. */
const nothing: Resolution = { kind: "records", records: [] };

/** `labels`: of the name below the domain, in lower case. */
export function resolveClusterName(labels: readonly string[], recordType: number, view: ClusterView, at: ClusterDomain): Resolution {
  const name = parseClusterName(labels);
  switch (name.kind) {
    case "apex":
      if (recordType === type.SOA) return { kind: "authority" };
      return recordType === type.NS ? nameServers(at) : nothing;
    case "inner":
      return nothing;
    case "version":
      return recordType === type.TXT ? { kind: "records", records: [{ type: "TXT", text: specificationVersion }] } : nothing;
    case "name-server":
      return { kind: "records", records: addressRecords(at.serverAddresses, recordType) };
    case "namespace":
      return view.hasNamespace(name.namespace) ? nothing : none;
    case "pod":
      if (name.address === undefined || !view.hasNamespace(name.namespace)) return none;
      return { kind: "records", records: addressRecords([name.address], recordType) };
    case "service":
      return resolveService(name, recordType, view, at);
    case "none":
      return none;
  }
}

/** Names of the services and endpoints with an address; empty where there is none. */
export function namesOfAddress(address: string, view: ClusterView, { domain }: ClusterDomain): readonly string[] {
  const names = view.servicesAt(address).map(({ metadata }) => `${metadata.name}.${metadata.namespace}.svc.${domain}`);
  if (names.length > 0) return names;
  const found = new Set<string>();
  for (const { metadata, endpoints } of view.slicesAt(address)) {
    const service = metadata.labels?.["kubernetes.io/service-name"];
    for (const endpoint of endpoints ?? [])
      if (isReady(endpoint) && endpoint.addresses.includes(address))
        found.add(`${hostnameOf(endpoint, address)}.${service}.${metadata.namespace}.svc.${domain}`);
  }
  return [...found];
}

function nameServers({ domain, serverAddresses }: ClusterDomain): Resolution {
  if (serverAddresses.length === 0) return nothing;
  const name = `ns.dns.${domain}`;
  const extra = [type.A, type.AAAA].flatMap((t) => addressRecords(serverAddresses, t)).map((record) => ({ name, record }));
  return { kind: "records", records: [{ type: "NS", target: name }], extra };
}

function resolveService(
  { namespace, service: serviceName, below }: Extract<ClusterName, { kind: "service" }>,
  recordType: number,
  view: ClusterView,
  { domain }: ClusterDomain,
): Resolution {
  const service = view.service(namespace, serviceName);
  if (!service) return none;
  const { type: serviceType, externalName = "", clusterIP } = service.spec ?? {};
  if (serviceType === "ExternalName") {
    // An address written there is no name to go on with.
    const isAlias = below.kind === "itself" && externalName !== "" && parseIP(externalName) === undefined;
    return isAlias ? { kind: "alias", target: externalName } : none;
  }
  const name = `${serviceName}.${namespace}.svc.${domain}`;
  const slices = view.slicesOf(namespace, serviceName);
  if (below.kind === "endpoint") return addressesOrNone(endpointAddresses(slices, below.hostname), recordType);
  if (clusterIP === "None") return resolveHeadless(slices, below, { name, recordType });
  return clusterIP ? resolveClusterIP(service, below, { name, recordType }) : none;
}

interface Asked {
  /** Of the service. */
  readonly name: string;
  readonly recordType: number;
}

function resolveClusterIP(service: Service, below: ServicePart, { name, recordType }: Asked): Resolution {
  const { clusterIP = "", clusterIPs = [clusterIP], ports = [] } = service.spec ?? {};
  const matching = ports.filter((port) => matchesPart(port, below));
  if (below.kind !== "itself" && matching.length === 0) return none;
  if (recordType !== type.SRV || below.kind === "protocol")
    return below.kind === "itself" ? { kind: "records", records: addressRecords(clusterIPs, recordType) } : nothing;
  const weight = weightOf(matching.length);
  return {
    kind: "records",
    records: matching.map(({ port }) => ({ type: "SRV", target: name, port, weight })),
    extra: namedAddresses(name, matching.length > 0 ? clusterIPs : []),
  };
}

function resolveHeadless(slices: readonly EndpointSlice[], below: ServicePart, { name, recordType }: Asked): Resolution {
  if (below.kind === "itself" && recordType !== type.SRV) return addressesOrNone(endpointAddresses(slices), recordType);
  const targets = new Map<string, { readonly hostname: string; readonly port: number }>();
  const addresses = new Map<string, Set<string>>();
  let exists = below.kind === "itself" && endpointAddresses(slices).length > 0;
  for (const { endpoints, ports } of slices) {
    const matching = (ports ?? []).filter((port) => matchesPart(port, below));
    const ready = matching.length > 0 ? (endpoints ?? []).filter(isReady) : [];
    for (const endpoint of ready) {
      exists = true;
      for (const address of endpoint.addresses) {
        const hostname = hostnameOf(endpoint, address);
        for (const { port } of matching) if (port !== undefined) targets.set(`${hostname}:${port}`, { hostname, port });
        addresses.set(hostname, (addresses.get(hostname) ?? new Set()).add(address));
      }
    }
  }
  if (!exists) return none;
  if (recordType !== type.SRV || below.kind === "protocol") return nothing;
  const weight = weightOf(targets.size);
  return {
    kind: "records",
    records: [...targets.values()].map(({ hostname, port }) => ({ type: "SRV", target: `${hostname}.${name}`, port, weight })),
    extra: targets.size === 0 ? [] : [...addresses].flatMap(([hostname, own]) => namedAddresses(`${hostname}.${name}`, [...own])),
  };
}

/** All targets are alike: together they weigh what one of them does. */
function weightOf(targets: number): number {
  return Math.floor(100 / Math.max(1, targets));
}

function matchesPart({ name = "", protocol = "TCP" }: ServicePort | EndpointPort, part: ServicePart): boolean {
  switch (part.kind) {
    case "itself":
      return true;
    case "endpoint":
      return false;
    case "protocol":
      return name !== "" && protocol.toLowerCase() === part.protocol;
    case "port":
      return name !== "" && name.toLowerCase() === part.port && protocol.toLowerCase() === part.protocol;
  }
}

function endpointAddresses(slices: readonly EndpointSlice[], hostname?: string): readonly string[] {
  const found = new Set<string>();
  for (const { endpoints, addressType } of slices) {
    if (addressType === "FQDN") continue;
    for (const endpoint of endpoints ?? []) {
      if (!isReady(endpoint)) continue;
      for (const address of endpoint.addresses)
        if (hostname === undefined || hostnameOf(endpoint, address) === hostname) found.add(address);
    }
  }
  return [...found];
}

/** Unknown counts as ready; services that publish addresses that are not ready have them marked ready. */
function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false;
}

function hostnameOf({ hostname }: Endpoint, address: string): string {
  return hostname ? hostname.toLowerCase() : addressLabel(address);
}

function addressesOrNone(addresses: readonly string[], recordType: number): Resolution {
  return addresses.length === 0 ? none : { kind: "records", records: addressRecords(addresses, recordType) };
}

function addressRecords(addresses: readonly string[], recordType: number): readonly ClusterRecord[] {
  if (recordType === type.A) return addresses.filter((a) => !a.includes(":")).map((address) => ({ type: "A", address }));
  if (recordType === type.AAAA) return addresses.filter((a) => a.includes(":")).map((address) => ({ type: "AAAA", address }));
  return [];
}

function namedAddresses(name: string, addresses: readonly string[]): readonly NamedRecord[] {
  return [type.A, type.AAAA].flatMap((t) => addressRecords(addresses, t)).map((record) => ({ name, record }));
}

// Names in the proxy's tables: upstream's for the fixed ones, and for a service's own chains upstream's pattern, a hash and
// then what it is about, such as "service-ULMVA6XW-ns1/svc1/tcp/p80".
import { hashedName } from "../linux/packet-rules/hashed-name.ts";
import type { Hook } from "../linux/packet-rules/rule-set.ts";
import type { Protocol, ServicePortInfo } from "./service-port.ts";

export const chainNames = {
  services: "services",
  serviceEndpointsCheck: "service-endpoints-check",
  nodePortEndpointsCheck: "nodeport-endpoints-check",
  reject: "reject-chain",
  clusterIpsCheck: "cluster-ips-check",
  firewallCheck: "firewall-check",
  masquerading: "masquerading",
} as const;

export const containerNames = {
  serviceIps: "service-ips",
  serviceNodePorts: "service-nodeports",
  nodePortIps: "nodeport-ips",
  clusterIps: "cluster-ips",
  noEndpointServices: "no-endpoint-services",
  noEndpointNodePorts: "no-endpoint-nodeports",
  firewallIps: "firewall-ips",
  hairpinConnections: "hairpin-connections",
} as const;

/** Endpoints by cluster, external or load balancer's address and port, and by node port; a map for each protocol. */
export const endpointsName = (protocol: Protocol): string => `service-endpoints-${protocol}`;
export const nodePortEndpointsName = (protocol: Protocol): string => `nodeport-endpoints-${protocol}`;

const dstnat = -100;
const srcnat = 100;

/** Upstream's base chains. The firewall goes before translation, everything else of a filter after it. */
export const hooks = {
  "filter-prerouting-pre-dnat": { type: "filter", hook: "prerouting", priority: dstnat - 10 },
  "filter-output-pre-dnat": { type: "filter", hook: "output", priority: dstnat - 10 },
  "filter-input": { type: "filter", hook: "input", priority: 0 },
  "filter-forward": { type: "filter", hook: "forward", priority: 0 },
  "filter-output": { type: "filter", hook: "output", priority: 0 },
  "nat-prerouting": { type: "nat", hook: "prerouting", priority: dstnat },
  "nat-output": { type: "nat", hook: "output", priority: dstnat },
  "nat-postrouting": { type: "nat", hook: "postrouting", priority: srcnat },
} as const satisfies Readonly<Record<string, Hook>>;

export type BaseChainName = keyof typeof hooks;

type PortChainKind = "service" | "local" | "external" | "firewall";
type EndpointNameKind = "endpoint" | "affinity";

export function portChainName(kind: PortChainKind, port: ServicePortInfo): string {
  return `${kind}-${hashedName(portText(port))}`;
}

/** Of an endpoint's chain, or the set of clients that stay with it. */
export function endpointName(
  kind: EndpointNameKind,
  port: ServicePortInfo,
  endpoint: { readonly address: string; readonly port: number },
): string {
  return `${kind}-${hashedName(`${portText(port)}__${endpoint.address.replaceAll(":", ".")}/${endpoint.port}`)}`;
}

export const isAffinitySet = (name: string): boolean => name.startsWith("affinity-");

const portText = ({ namespace, service, protocol, portName }: ServicePortInfo): string => `${namespace}/${service}/${protocol}/${portName}`;

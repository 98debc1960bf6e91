// What a service holds that no other may: its addresses and its node ports, and the keys in the store that say so. An address
// is held by an IPAddress object of that name, as upstream has it; a node port by a key of its own, written with the service
// in one transaction, so that several API servers on one store never give the same twice and nothing is left behind.
import { formatIP, parseIP } from "../../api/meta/ip.ts";
import type { New } from "../../api/meta/object.ts";
import { ipaddresses } from "../../api/resources.generated.ts";
import type { Service, ServiceSpec } from "../../api/types/core-v1.ts";
import type { IPAddress } from "../../api/types/networking-v1.ts";
import { recordUpdate } from "./field-management.ts";
import { withSystemFields } from "./object-meta.ts";

export const familyLabel = "ipaddress.kubernetes.io/ip-family";
export const managedByLabel = "ipaddress.kubernetes.io/managed-by";
export const allocatorName = "ipallocator.k8s.io";

export const usesNodePorts = ({ type }: ServiceSpec): boolean => type === "NodePort" || type === "LoadBalancer";

export const needsHealthCheck = ({ type, externalTrafficPolicy }: ServiceSpec): boolean =>
  type === "LoadBalancer" && externalTrafficPolicy === "Local";

/** Cluster addresses, in the service's spelling. */
export function addressesOf({ spec }: Service): readonly string[] {
  const addresses = spec?.clusterIPs ?? (spec?.clusterIP ? [spec.clusterIP] : []);
  return spec?.type === "ExternalName" ? [] : addresses.filter((address) => address !== "None");
}

/** With that of the health check; one may be there several times, for several protocols. */
export function nodePortsOf({ spec }: Service): readonly number[] {
  if (!spec || !usesNodePorts(spec)) return [];
  const ports = (spec.ports ?? []).map((port) => port.nodePort ?? 0);
  return [...ports, needsHealthCheck(spec) ? (spec.healthCheckNodePort ?? 0) : 0].filter((port) => port > 0);
}

/** Where the keys of node ports lie, after the store's prefix. */
export const nodePortsPath = "ranges/servicenodeports/";

/** Whose a node port is, as its key holds it. */
export function nodePortHolder({ metadata }: Service): Uint8Array {
  return Buffer.from(JSON.stringify({ namespace: metadata.namespace ?? "", name: metadata.name }));
}

/** The name of an address's object. */
export function ipAddressName(address: string): string {
  const ip = parseIP(address);
  return ip ? formatIP(ip.bytes) : address;
}

/** The object that holds an address for a service, as the allocator writes it. */
export function ipAddressFor(service: Service, address: string): New<IPAddress> {
  const { namespace = "", name } = service.metadata;
  const labels = { [familyLabel]: parseIP(address)?.family === 6 ? "IPv6" : "IPv4", [managedByLabel]: allocatorName };
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "IPAddress",
    metadata: { name: ipAddressName(address), labels },
    spec: { parentRef: { group: "", resource: "services", namespace, name } },
  };
}

/** The same with what the API server gives every object. */
export function newIPAddress(service: Service, address: string, nowMs: number): IPAddress {
  const object = withSystemFields(ipAddressFor(service, address) as IPAddress, nowMs);
  return recordUpdate({ type: ipaddresses }, undefined, object, { manager: "kube-apiserver", subresource: "", nowMs }) as IPAddress;
}

/** Whether an address's object names this service. */
export function isHeldBy({ spec }: IPAddress, { metadata }: Service): boolean {
  const { group = "", resource, namespace = "", name } = spec?.parentRef ?? {};
  return group === "" && resource === "services" && namespace === (metadata.namespace ?? "") && name === metadata.name;
}

// What of a service matters to its load balancer. Pure.
import type { LoadBalancerIngress, Service } from "../api/types/core-v1.ts";
import type { IPFamily } from "./address-pool.ts";

/** Services that name this class are ours, and those that name none. */
const loadBalancerClass = "coracle/load-balancer";

const cleanupFinalizer = "service.kubernetes.io/load-balancer-cleanup";

/** Whether it is to have a load balancer, and one of ours. */
export function wantsBalancer({ spec, metadata }: Service): boolean {
  if (spec?.type !== "LoadBalancer" || metadata.deletionTimestamp !== undefined) return false;
  return spec.loadBalancerClass === undefined || spec.loadBalancerClass === loadBalancerClass;
}

/** A class of another: what is on the service is that one's too. */
export function isOfOther({ spec }: Service): boolean {
  return spec?.loadBalancerClass !== undefined && spec.loadBalancerClass !== loadBalancerClass;
}

export function hasFinalizer({ metadata }: Service): boolean {
  return metadata.finalizers?.includes(cleanupFinalizer) ?? false;
}

export function withFinalizer(service: Service, present: boolean): Service {
  const others = (service.metadata.finalizers ?? []).filter((finalizer) => finalizer !== cleanupFinalizer);
  return { ...service, metadata: { ...service.metadata, finalizers: present ? [...others, cleanupFinalizer] : others } };
}

export function familiesOf({ spec }: Service): readonly IPFamily[] {
  const families = (spec?.ipFamilies ?? []).filter((family): family is IPFamily => family === "IPv4" || family === "IPv6");
  return families.length > 0 ? families : ["IPv4"];
}

/** "TCP/80": what two services on the same address cannot both have. */
export function portsOf({ spec }: Service): readonly string[] {
  return (spec?.ports ?? []).map(({ port, protocol = "TCP" }) => `${protocol}/${port}`);
}

export function nodePortsOf({ spec }: Service): readonly string[] {
  const ports = (spec?.ports ?? []).flatMap(({ nodePort, protocol = "TCP" }) => (nodePort ? [`${protocol}/${nodePort}`] : []));
  return spec?.healthCheckNodePort ? [...ports, `TCP/${spec.healthCheckNodePort}`] : ports;
}

export function addressesOf({ status }: Service): readonly string[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
}

export function isLocal({ spec }: Service): boolean {
  return spec?.externalTrafficPolicy === "Local";
}

/** The proxies of all nodes take what is sent to these addresses. */
export function ingressOf(addresses: readonly string[]): readonly LoadBalancerIngress[] {
  return addresses.map((ip) => ({ ip, ipMode: "VIP" }));
}

export function familyOf(address: string): IPFamily {
  return address.includes(":") ? "IPv6" : "IPv4";
}

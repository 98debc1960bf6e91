// What EndpointSlices and Endpoints have in common: which pods serve a Service, at which ports and addresses, and which
// Services a pod concerns.

import { parseIP } from "../../api/meta/ip.ts";
import { keyOf } from "../../api/meta/object.ts";
import { labelsMatcher } from "../../api/meta/selectors.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { Pod, Service, ServicePort } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import type { ControllerContext } from "../controller.ts";

export const headlessLabel = "service.kubernetes.io/headless";

export type IPFamily = "IPv4" | "IPv6";

export interface ServedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: "SCTP" | "TCP" | "UDP";
  readonly appProtocol?: string;
}

/** Services without a selector are looked after by someone else; those that are names for a host have no endpoints. */
export function hasManagedEndpoints(service: Service): boolean {
  return service.spec?.type !== "ExternalName" && service.spec?.selector !== undefined;
}

export function isHeadless(service: Service): boolean {
  return service.spec?.clusterIP === "None";
}

/** The families a service has; one from before dual-stack has that of its address. */
export function familiesOf(service: Service): readonly IPFamily[] {
  const families = service.spec?.ipFamilies as readonly IPFamily[] | undefined;
  if (families && families.length > 0) return families;
  return [service.spec?.clusterIP?.includes(":") ? "IPv6" : "IPv4"];
}

/** The pods that a service selects. */
export function podsOf(service: Service, informer: Informer<Pod>): readonly Pod[] {
  const matcher = labelsMatcher(service.spec?.selector);
  return informer.inNamespace(service.metadata.namespace).filter((pod) => matcher.matches(pod.metadata.labels));
}

/** Keys of the services that select a pod. */
export function servicesOf(pod: Pod, informer: Informer<Service>): readonly string[] {
  return informer
    .inNamespace(pod.metadata.namespace)
    .filter((service) => hasManagedEndpoints(service) && labelsMatcher(service.spec?.selector).matches(pod.metadata.labels))
    .map(keyOf);
}

/** A pod has endpoints from when it has an address until its containers have ended. */
export function hasEndpoints(pod: Pod, options: { readonly includeTerminating: boolean }): boolean {
  if (isPodTerminal(pod) || addressesOf(pod).length === 0) return false;
  return options.includeTerminating || pod.metadata.deletionTimestamp === undefined;
}

export function addressesOf(pod: Pod, family?: IPFamily): readonly string[] {
  const { podIPs, podIP } = pod.status ?? {};
  const all = podIPs?.map(({ ip }) => ip) ?? (podIP ? [podIP] : []);
  return all.flatMap((text) => {
    const ip = text === undefined ? undefined : parseIP(text);
    return ip && (family === undefined || ip.family === (family === "IPv4" ? 4 : 6)) ? [ip.canonical] : [];
  });
}

/** Where a pod serves the ports of a service. Ports whose name no container of the pod has are left out. */
export function servedPorts(service: Service, pod: Pod): readonly ServedPort[] {
  return (service.spec?.ports ?? []).flatMap((servicePort) => {
    const port = targetPort(servicePort, pod);
    const { name = "", protocol = "TCP", appProtocol } = servicePort;
    return port === undefined ? [] : [{ name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) }];
  });
}

function targetPort({ targetPort: target, port, protocol = "TCP" }: ServicePort, pod: Pod): number | undefined {
  if (target === undefined || target === 0 || target === "") return port;
  if (typeof target === "number") return target;
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === "Always");
  for (const container of [...pod.spec.containers, ...sidecars]) {
    const found = container.ports?.find((candidate) => candidate.name === target && (candidate.protocol ?? "TCP") === protocol);
    if (found) return found.containerPort;
  }
  return undefined;
}

/** The name under which a pod is found below a headless service's; undefined for pods without one. */
export function hostnameOf(pod: Pod, service: Service): string | undefined {
  const { hostname, subdomain } = pod.spec;
  return hostname && subdomain === service.metadata.name ? hostname : undefined;
}

/** Tells keys after the time for which changes are gathered; undefined where they are told at once. */
export function gathered({ enqueue }: Pick<ControllerContext, "enqueue">, batchMs = 0): ((key: string) => void) | undefined {
  return batchMs > 0 ? (key) => enqueue(key, batchMs) : undefined;
}

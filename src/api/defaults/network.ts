// Defaults of services, endpoints, endpoint slices and network policies. What depends on the cluster (addresses, families)
// is given by the allocators of the API server.
import type { Endpoints, Service, ServicePort, ServiceStatus } from "../types/core-v1.ts";
import type { EndpointSlice } from "../types/discovery-v1.ts";
import type { IngressClass, NetworkPolicy } from "../types/networking-v1.ts";
import { change, changeEach, fill } from "./fill.ts";

const clientIpTimeoutSeconds = 10_800;

function defaultServicePort(port: ServicePort): ServicePort {
  const p = fill(port, { protocol: "TCP" });
  const target = p.targetPort;
  return target === undefined || target === 0 || target === "" ? { ...p, targetPort: p.port } : p;
}

/** The address of a load balancer takes traffic itself unless it says otherwise. */
const defaultLoadBalancer = (status: ServiceStatus): ServiceStatus =>
  change(status, "loadBalancer", (balancer) =>
    changeEach(balancer, "ingress", (point) => (point.ip ? fill(point, { ipMode: "VIP" }) : point)),
  );

export function defaultService(given: Service): Service {
  const service = given.spec?.type === "LoadBalancer" ? change(given, "status", defaultLoadBalancer) : given;
  return change(service, "spec", (given) => {
    let spec = fill(given, { sessionAffinity: "None", type: "ClusterIP" });
    if (spec.sessionAffinity === "None" && spec.sessionAffinityConfig) {
      const { sessionAffinityConfig: _unused, ...rest } = spec;
      spec = rest;
    }
    if (spec.sessionAffinity === "ClientIP") {
      const timeoutSeconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? clientIpTimeoutSeconds;
      if (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined)
        spec = { ...spec, sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
    }
    spec = changeEach(spec, "ports", defaultServicePort);
    if (spec.type !== "ExternalName") spec = fill(spec, { internalTrafficPolicy: "Cluster" });
    const external =
      spec.type === "NodePort" || spec.type === "LoadBalancer" || (spec.type === "ClusterIP" && (spec.externalIPs?.length ?? 0) > 0);
    if (external) spec = fill(spec, { externalTrafficPolicy: "Cluster" });
    if (spec.type === "LoadBalancer") spec = fill(spec, { allocateLoadBalancerNodePorts: true });
    return spec;
  });
}

export const defaultEndpoints = (endpoints: Endpoints): Endpoints =>
  changeEach(endpoints, "subsets", (subset) => changeEach(subset, "ports", (port) => fill(port, { protocol: "TCP" })));

export const defaultEndpointSlice = (slice: EndpointSlice): EndpointSlice =>
  changeEach(slice, "ports", (port) => fill(port, { name: "", protocol: "TCP" }));

export function defaultNetworkPolicy(policy: NetworkPolicy): NetworkPolicy {
  return change(policy, "spec", (given) => {
    let spec = given;
    if (spec.policyTypes === undefined) {
      spec = { ...spec, policyTypes: (spec.egress?.length ?? 0) > 0 ? ["Ingress", "Egress"] : ["Ingress"] };
    }
    spec = changeEach(spec, "ingress", (rule) => changeEach(rule, "ports", (port) => fill(port, { protocol: "TCP" })));
    return changeEach(spec, "egress", (rule) => changeEach(rule, "ports", (port) => fill(port, { protocol: "TCP" })));
  });
}

export const defaultIngressClass = (ingressClass: IngressClass): IngressClass =>
  change(ingressClass, "spec", (spec) => change(spec, "parameters", (parameters) => fill(parameters, { scope: "Cluster" })));

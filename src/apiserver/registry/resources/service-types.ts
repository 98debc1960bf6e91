// What an update of a service's type takes away: fields that mean nothing to the new type, were filled in by the server
// before, and that the client did not change in the same request. What it did change is left for validation to refuse.
import { mapShared } from "../../../api/defaults/fill.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import type { Service, ServiceSpec } from "../../../api/types/core-v1.ts";

type Spec = ServiceSpec;

/** The updated service without what only its old type needed. */
export function withoutFieldsOfOldType(service: Service, old: Service): Service {
  const before = old.spec ?? {};
  let spec = service.spec ?? {};
  const drop = (field: keyof Spec): void => {
    const { [field]: _, ...rest } = spec;
    spec = rest;
  };
  const same = (field: keyof Spec): boolean => semanticallyEqual(spec[field], before[field]);
  /** The old type needed it, the new one does not. */
  const ends = (needed: (spec: Spec) => boolean): boolean => needed(before) && !needed(spec);

  if (ends(hasAddress)) {
    if (same("clusterIP") && same("clusterIPs")) {
      drop("clusterIP");
      drop("clusterIPs");
    }
    if (same("ipFamilies")) drop("ipFamilies");
    if (same("ipFamilyPolicy")) drop("ipFamilyPolicy");
  }
  if (ends(hasNodePorts) && addsNoNodePorts(spec, before)) spec = withoutNodePorts(spec);
  if (ends(hasHealthCheckPort) && same("healthCheckNodePort")) drop("healthCheckNodePort");
  if (ends(isLoadBalancer)) {
    if (spec.allocateLoadBalancerNodePorts !== undefined && same("allocateLoadBalancerNodePorts")) drop("allocateLoadBalancerNodePorts");
    if (same("loadBalancerClass")) drop("loadBalancerClass");
  }
  if (ends(isExternallyAccessible) && same("externalTrafficPolicy")) drop("externalTrafficPolicy");
  const changed = { ...service, spec };
  return isLoadBalancer(spec) ? changed : { ...changed, status: { ...service.status, loadBalancer: {} } };
}

const hasAddress = ({ type }: Spec): boolean => type !== "ExternalName";
const isLoadBalancer = ({ type }: Spec): boolean => type === "LoadBalancer";
const hasNodePorts = (spec: Spec): boolean => spec.type === "NodePort" || isLoadBalancer(spec);
const hasHealthCheckPort = (spec: Spec): boolean => isLoadBalancer(spec) && spec.externalTrafficPolicy === "Local";

/** Reachable from outside: by node ports, a load balancer or addresses of its own. */
export const isExternallyAccessible = (spec: Spec): boolean =>
  hasNodePorts(spec) || (spec.type === "ClusterIP" && (spec.externalIPs ?? []).length > 0);

function addsNoNodePorts(spec: Spec, before: Spec): boolean {
  const known = new Set((before.ports ?? []).map((port) => port.nodePort));
  return (spec.ports ?? []).every(({ nodePort }) => !nodePort || known.has(nodePort));
}

function withoutNodePorts(spec: Spec): Spec {
  if (!spec.ports) return spec;
  const ports = mapShared(spec.ports, (port) => {
    if (port.nodePort === undefined) return port;
    const { nodePort: _, ...rest } = port;
    return rest;
  });
  return { ...spec, ports };
}

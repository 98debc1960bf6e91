// Services as they lie in a store that older servers have written to: with one cluster IP and no list of them, without families,
// or with a policy for internal traffic that their type has no use for. They are read as if they had been written now.
import { parseIP } from "../../../api/meta/ip.ts";
import type { Service, ServiceSpec } from "../../../api/types/core-v1.ts";

/** A name outside the cluster has no traffic within it; what is no policy at all is left to be refused. */
export function withoutInternalTraffic(service: Service): Service {
  const policy: string | undefined = service.spec?.internalTrafficPolicy;
  if (service.spec?.type !== "ExternalName" || (policy !== "Cluster" && policy !== "Local")) return service;
  const { internalTrafficPolicy: _, ...spec } = service.spec;
  return { ...service, spec };
}

/** The same service where nothing is missing. Of a headless one the families are not known here: they are the cluster's. */
export function completedService(service: Service): Service {
  const { spec } = service;
  if (!spec) return service;
  if (spec.type === "ExternalName") return withoutInternalTraffic(service);
  const clusterIPs = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : undefined);
  if (clusterIPs === undefined) return service;
  const families = spec.ipFamilies || spec.clusterIP === "None" ? {} : familiesOf(clusterIPs);
  return spec.clusterIPs && Object.keys(families).length === 0 ? service : { ...service, spec: { ...spec, clusterIPs, ...families } };
}

function familiesOf(clusterIPs: readonly string[]): Pick<ServiceSpec, "ipFamilies" | "ipFamilyPolicy"> {
  const ipFamilies = clusterIPs.map((address) => (parseIP(address)?.family === 6 ? "IPv6" : "IPv4"));
  return { ipFamilies, ipFamilyPolicy: ipFamilies.length === 1 ? "SingleStack" : "RequireDualStack" };
}

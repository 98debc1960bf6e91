// What the server warns of in a service: fields without effect, deprecated ones, and addresses in odd forms.

import { cidrWarnings, ipWarnings } from "../../../api/meta/ip.ts";
import type { Service, ServiceSpec } from "../../../api/types/core-v1.ts";
import { appendAll } from "../../../base/append-all.ts";

const oldTopologyKey = "service.kubernetes.io/topology-aware-hints";
const topologyKey = "service.kubernetes.io/topology-mode";

export function serviceWarnings({ metadata, spec = {} }: Service): readonly string[] {
  const warnings: string[] = [];
  if (metadata.annotations?.[oldTopologyKey] !== undefined)
    warnings.push(`annotation ${oldTopologyKey} is deprecated, please use ${topologyKey} instead`);
  const { type, clusterIP = "", clusterIPs = [], externalIPs = [], loadBalancerIP = "" } = spec;
  const headless = type === "ClusterIP" && clusterIP === "None";
  if (clusterIP !== "" && clusterIP !== "None")
    appendAll(
      warnings,
      clusterIPs.flatMap((ip, i) => ipWarnings(`spec.clusterIPs[${i}]`, ip)),
    );
  if (headless) appendAll(warnings, ignoredWhenHeadless(spec));
  appendAll(
    warnings,
    externalIPs.flatMap((ip, i) => ipWarnings(`spec.externalIPs[${i}]`, ip)),
  );
  if (externalIPs.length > 0 && !headless && type !== "ExternalName")
    warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  if (loadBalancerIP !== "") appendAll(warnings, ipWarnings("spec.loadBalancerIP", loadBalancerIP));
  appendAll(
    warnings,
    (spec.loadBalancerSourceRanges ?? []).flatMap((cidr, i) => cidrWarnings(`spec.loadBalancerSourceRanges[${i}]`, cidr)),
  );
  if (type === "ExternalName" && externalIPs.length > 0) warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  if (type !== "ExternalName" && spec.externalName) warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  if (spec.trafficDistribution === "PreferClose")
    warnings.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  return warnings;
}

function ignoredWhenHeadless({ loadBalancerIP, externalIPs = [], sessionAffinity }: ServiceSpec): string[] {
  return [
    ...(loadBalancerIP ? ["spec.loadBalancerIP is ignored for headless services"] : []),
    ...(externalIPs.length > 0 ? ["spec.externalIPs is ignored for headless services"] : []),
    ...(sessionAffinity !== "None" ? ["spec.SessionAffinity is ignored for headless services"] : []),
  ];
}

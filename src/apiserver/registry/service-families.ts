// Which IP families a service uses: filled in from what it says, its cluster IPs and the families the cluster has, before
// addresses are allocated. Headless services without selector may use families the cluster has not.

import { semanticallyEqual } from "../../api/meta/equality.ts";
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import { parseIP } from "../../api/meta/ip.ts";
import type { Service, ServiceSpec } from "../../api/types/core-v1.ts";

export interface FamilyChoice {
  readonly service: Service;
  readonly errors: readonly FieldError[];
}

const familyNames: Readonly<Record<number, string>> = { 4: "IPv4", 6: "IPv6" };

/** The service with ipFamilyPolicy and ipFamilies; `configured` are the cluster's families, the first is the default. */
export function withIpFamilies(service: Service, configured: readonly string[]): FamilyChoice {
  const spec = service.spec ?? {};
  if (spec.type === "ExternalName") return { service, errors: [] };
  const headless = isHeadless(spec);
  const unbound = headless && Object.keys(spec.selector ?? {}).length === 0;
  const families = familiesSaid(spec);
  const policy = spec.ipFamilyPolicy ?? defaultPolicy(spec, families, unbound);
  const errors = unbound ? [] : [...unsupportedAddresses(spec, configured), ...unsupportedFamilies(spec.ipFamilies ?? [], configured)];
  if (policy === "RequireDualStack" && configured.length < 2 && !unbound)
    errors.push(invalidValue("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services"));
  const wanted = families.length > 0 ? [...families] : [configured[0] ?? "IPv4"];
  const second = wanted[0] === "IPv4" ? "IPv6" : "IPv4";
  const takesTwo = policy === "RequireDualStack" || (policy === "PreferDualStack" && (configured.includes(second) || unbound));
  if (wanted.length === 1 && takesTwo) wanted.push(second);
  return { service: { ...service, spec: { ...spec, ipFamilyPolicy: policy, ipFamilies: wanted } }, errors };
}

export const isHeadless = ({ clusterIP, clusterIPs }: ServiceSpec): boolean => clusterIP === "None" || clusterIPs?.[0] === "None";

function defaultPolicy(spec: ServiceSpec, families: readonly string[], unbound: boolean): NonNullable<ServiceSpec["ipFamilyPolicy"]> {
  const two = families.length > 1 || (spec.clusterIPs ?? []).length > 1;
  return two || (unbound && families.length === 0) ? "RequireDualStack" : "SingleStack";
}

/** clusterIP and the first of clusterIPs are one value: a client that knows only the first field changes both. */
export function withBothAddressFields(service: Service, old: Service | undefined): Service {
  const { clusterIP = "", clusterIPs = [], ...spec } = service.spec ?? {};
  const before = old?.spec;
  const kept = before !== undefined && semanticallyEqual(clusterIPs, before.clusterIPs ?? []);
  if (!before || before.clusterIP === undefined) {
    if (clusterIP === "" || clusterIPs.length > 0) return service;
    return { ...service, spec: { ...spec, clusterIP, clusterIPs: [clusterIP] } };
  }
  if (clusterIP === before.clusterIP || !kept) return service;
  if (clusterIP === "") return { ...service, spec };
  return { ...service, spec: { ...spec, clusterIP, clusterIPs: [clusterIP] } };
}

/** The families named, or those of the addresses named. */
function familiesSaid(spec: ServiceSpec): readonly string[] {
  if (spec.ipFamilies && spec.ipFamilies.length > 0) return spec.ipFamilies;
  const found = (spec.clusterIPs ?? []).map((address) => familyNames[parseIP(address)?.family ?? 0]);
  return found.filter((family) => family !== undefined);
}

/** An address whose family nobody named tells more than its family. */
function unsupportedAddresses({ clusterIPs = [], ipFamilies = [] }: ServiceSpec, configured: readonly string[]): FieldError[] {
  return clusterIPs.flatMap((address, i) => {
    const family = familyNames[parseIP(address)?.family ?? 0];
    if (i < ipFamilies.length || family === undefined || configured.includes(family)) return [];
    return [invalidValue(`spec.clusterIPs[${i}]`, clusterIPs, `${family} is not configured on this cluster`)];
  });
}

function unsupportedFamilies(families: readonly string[], configured: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, family] of families.entries())
    if (!configured.includes(family)) errors.push(invalidValue(`spec.ipFamilies[${i}]`, family, "not configured on this cluster"));
  return errors;
}

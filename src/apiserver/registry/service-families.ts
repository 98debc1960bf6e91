// Which IP families a service uses: filled in from what it says, its cluster IPs and the families the cluster has, before
// addresses are allocated. Headless services without selector may use families the cluster has not.
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
  const errors = unbound ? [] : unsupportedFamilies(families, configured);
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

/** The families named, or those of the addresses named. */
function familiesSaid(spec: ServiceSpec): readonly string[] {
  if (spec.ipFamilies && spec.ipFamilies.length > 0) return spec.ipFamilies;
  const found = (spec.clusterIPs ?? []).map((address) => familyNames[parseIP(address)?.family ?? 0]);
  return found.filter((family) => family !== undefined);
}

function unsupportedFamilies(families: readonly string[], configured: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, family] of families.entries())
    if (!configured.includes(family)) errors.push(invalidValue(`spec.ipFamilies[${i}]`, family, "not configured on this cluster"));
  return errors;
}

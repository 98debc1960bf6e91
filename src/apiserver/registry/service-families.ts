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

/**
 * The service with ipFamilyPolicy and ipFamilies; `configured` are the cluster's families, the first is the default. `old`: what
 * it was, where it is updated.
 */
export function withIpFamilies(sent: Service, configured: readonly string[], old?: Service): FamilyChoice {
  if (sent.spec?.type === "ExternalName") return { service: sent, errors: [] };
  const isUnbound = isHeadless(sent.spec ?? {}) && Object.keys(sent.spec?.selector ?? {}).length === 0;
  const policy = sent.spec?.ipFamilyPolicy ?? old?.spec?.ipFamilyPolicy ?? (isUnbound ? "RequireDualStack" : "SingleStack");
  const service = policy === "SingleStack" && old ? withoutSecond(sent, old) : sent;
  const spec = service.spec ?? {};
  const wrong = policy === "SingleStack" ? tooManyFamilies(spec) : releasedUnasked(spec, policy, old?.spec);
  if (wrong.length > 0) return { service, errors: wrong };
  return chosenFamilies(service, { configured, policy, unbound: isUnbound });
}

interface FamilyRules {
  readonly configured: readonly string[];
  readonly policy: NonNullable<ServiceSpec["ipFamilyPolicy"]>;
  readonly unbound: boolean;
}

function chosenFamilies(service: Service, { configured, policy, unbound }: FamilyRules): FamilyChoice {
  const spec = service.spec ?? {};
  const families = familiesSaid(spec);
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

/** Who asks for one family, and changes neither addresses nor families, gives up the second. */
function withoutSecond(service: Service, old: Service): Service {
  const { clusterIPs, ipFamilies } = service.spec ?? {};
  const isKept = (now: readonly string[] | undefined, before: readonly string[] | undefined): now is readonly string[] =>
    now !== undefined && now.length > 1 && semanticallyEqual(now, before ?? []);
  return {
    ...service,
    spec: {
      ...service.spec,
      ...(isKept(clusterIPs, old.spec?.clusterIPs) ? { clusterIPs: clusterIPs.slice(0, 1) } : {}),
      ...(isKept(ipFamilies, old.spec?.ipFamilies) ? { ipFamilies: ipFamilies.slice(0, 1) } : {}),
    },
  };
}

function tooManyFamilies({ clusterIPs = [], ipFamilies = [] }: ServiceSpec): FieldError[] {
  const refuse = (what: string): FieldError =>
    invalidValue(
      "spec.ipFamilyPolicy",
      "SingleStack",
      `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`,
    );
  return [...(clusterIPs.length === 2 ? [refuse("cluster IPs")] : []), ...(ipFamilies.length === 2 ? [refuse("IP families")] : [])];
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
  if (clusterIP === before.clusterIP && clusterIPs.length === 0 && before.clusterIPs)
    return { ...service, spec: { ...spec, clusterIP, clusterIPs: before.clusterIPs } };
  if (clusterIP === before.clusterIP || !kept) return service;
  if (clusterIP === "") return { ...service, spec };
  return { ...service, spec: { ...spec, clusterIP, clusterIPs: [clusterIP] } };
}

/** Giving up the second family takes more than leaving its address or its name out. */
function releasedUnasked({ clusterIPs = [], ipFamilies = [] }: ServiceSpec, policy: string, before: ServiceSpec | undefined): FieldError[] {
  const isReduced = (now: readonly string[], old: readonly string[] | undefined): boolean =>
    now.length > 0 && now.length < (old?.length ?? 0);
  const refuse = (what: string): FieldError =>
    invalidValue("spec.ipFamilyPolicy", policy, `must be 'SingleStack' to release the secondary ${what}`);
  return [
    ...(isReduced(clusterIPs, before?.clusterIPs) ? [refuse("cluster IP")] : []),
    ...(isReduced(ipFamilies, before?.ipFamilies) ? [refuse("IP family")] : []),
  ];
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

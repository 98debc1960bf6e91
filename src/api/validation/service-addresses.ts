// The cluster addresses of a service: clusterIP and clusterIPs must agree, there is at most one of each family, and once
// given they stay.
import { duplicate, type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { parseIP } from "../meta/ip.ts";
import type { ServiceSpec } from "../types/core-v1.ts";
import { checkLegacyIP } from "./addresses.ts";

/** Without an address of its own. */
export const isHeadless = ({ clusterIPs = [] }: ServiceSpec): boolean => clusterIPs.length === 1 && clusterIPs[0] === "None";

const isIPv6 = (ip: string): boolean => parseIP(ip)?.family === 6;
const families = ["IPv4", "IPv6"];
const familyPolicies = ["PreferDualStack", "RequireDualStack", "SingleStack"];

export function validateClusterAddresses(errors: FieldError[], spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (spec.type === "ExternalName") return;
  const { clusterIP = "", clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  if (clusterIP === "") {
    if (clusterIPs.length > 0) errors.push(invalidValue("spec.clusterIPs", clusterIPs, "must be empty when `clusterIP` is not specified"));
  } else if (clusterIPs.length === 0) errors.push(required("spec.clusterIPs"));
  else if (clusterIPs[0] !== clusterIP) errors.push(invalidValue("spec.clusterIPs", clusterIPs, "first value must match `clusterIP`"));
  for (const [i, family] of ipFamilies.entries()) {
    if (!families.includes(family)) errors.push(notSupported(`spec.ipFamilies[${i}]`, family, families));
    if (ipFamilies.indexOf(family) < i) errors.push(duplicate(`spec.ipFamilies[${i}]`, family));
  }
  if (ipFamilyPolicy !== undefined && !familyPolicies.includes(ipFamilyPolicy))
    errors.push(notSupported("spec.ipFamilyPolicy", ipFamilyPolicy, familyPolicies));
  if (validateIPs(errors, clusterIPs, old?.clusterIPs)) validateFamilies(errors, spec);
}

/** Whether all are addresses, or the first and only one is "None". */
function validateIPs(errors: FieldError[], clusterIPs: readonly string[], existing: readonly string[] | undefined): boolean {
  let valid = true;
  for (const [i, ip] of clusterIPs.entries()) {
    if (i === 0 && ip === "None") {
      if (clusterIPs.length === 1) continue;
      valid = false;
      errors.push(invalidValue("spec.clusterIPs", clusterIPs, "'None' must be the first and only value"));
      continue;
    }
    const found = errors.length;
    checkLegacyIP(errors, `spec.clusterIPs[${i}]`, ip, existing);
    if (errors.length > found) valid = false;
  }
  if (clusterIPs.length > 2) errors.push(invalidValue("spec.clusterIPs", clusterIPs, "may only hold up to 2 values"));
  return valid;
}

function validateFamilies(errors: FieldError[], spec: ServiceSpec): void {
  const { clusterIPs = [], ipFamilies = [] } = spec;
  const sixes = clusterIPs.filter(isIPv6).length;
  if (clusterIPs.length > 1 && (sixes === 0 || sixes === clusterIPs.length))
    errors.push(invalidValue("spec.clusterIPs", clusterIPs, "may specify no more than one IP for each IP family"));
  if (isHeadless(spec)) return;
  for (const [i, ip] of clusterIPs.entries()) {
    const family = ipFamilies[i];
    if (family === "IPv4" && isIPv6(ip))
      errors.push(invalidValue(`spec.clusterIPs[${i}]`, ip, `expected an IPv4 value as indicated by \`ipFamilies[${i}]\``));
    if (family === "IPv6" && !isIPv6(ip))
      errors.push(invalidValue(`spec.clusterIPs[${i}]`, ip, `expected an IPv6 value as indicated by \`ipFamilies[${i}]\``));
  }
}

const fixed = "may not change once set";

/** A second address may be added or released; the first stays while the service is not an external name. */
export function validateAddressChanges(errors: FieldError[], spec: ServiceSpec, before: ServiceSpec): void {
  if (spec.type === "ExternalName" || before.type === "ExternalName") return;
  validateAddressChange(errors, spec, before);
  if (!isHeadless(spec) && !isHeadless(before)) validateFamilyChange(errors, spec, before);
}

function validateAddressChange(errors: FieldError[], spec: ServiceSpec, before: ServiceSpec): void {
  if (isHeadless(spec) && isHeadless(before)) return;
  const [old, ips] = [before.clusterIPs ?? [], spec.clusterIPs ?? []];
  if (old.length === ips.length) {
    for (const [i, ip] of old.entries()) if (ip !== ips[i]) errors.push(invalidValue(`spec.clusterIPs[${i}]`, ips, fixed));
    return;
  }
  if (old.length > ips.length && ips.length === 0)
    errors.push(invalidValue("spec.clusterIPs[0]", spec.clusterIPs ?? null, "primary clusterIP can not be unset"));
  if (old.length > 0 && ips.length > 0 && ips[0] !== old[0]) errors.push(invalidValue("spec.clusterIPs[0]", ips, fixed));
  if (old.length > ips.length && ips.length === 1) checkReleased(errors, spec, "clusterIP");
}

function validateFamilyChange(errors: FieldError[], spec: ServiceSpec, before: ServiceSpec): void {
  const [old, list] = [before.ipFamilies ?? [], spec.ipFamilies ?? []];
  if (old.length === list.length) {
    for (const [i, family] of old.entries()) if (family !== list[i]) errors.push(invalidValue("spec.ipFamilies[0]", list, fixed));
    return;
  }
  if (old.length > list.length && (spec.clusterIPs ?? []).length === 0)
    errors.push(invalidValue("spec.ipFamilies[0]", spec.ipFamilies ?? null, "primary ipFamily can not be unset"));
  // Upstream shows the addresses here, not the families.
  if (old.length > 0 && list.length > 0 && list[0] !== old[0])
    errors.push(invalidValue("spec.ipFamilies[0]", spec.clusterIPs ?? null, fixed));
  if (old.length > list.length && list.length === 1) checkReleased(errors, spec, "ipFamily");
}

function checkReleased(errors: FieldError[], { ipFamilyPolicy }: ServiceSpec, what: string): void {
  if (ipFamilyPolicy === "SingleStack") return;
  const detail = `must be set to 'SingleStack' when releasing the secondary ${what}`;
  errors.push(invalidValue("spec.ipFamilyPolicy", ipFamilyPolicy ?? null, detail));
}

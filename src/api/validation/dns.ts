// Names and name resolution of pods: host names, DNS policy and configuration, entries of /etc/hosts.
import { type FieldError, forbiddenField, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { isLegacyIP } from "../meta/ip.ts";
import { byteLength, isDNS1123Subdomain, isDNS1123SubdomainWithUnderscore } from "../meta/names.ts";
import type { HostAlias, PodDNSConfig, PodSpec } from "../types/core-v1.ts";
import { addProblems } from "./rules.ts";

const maxNameservers = 3;
const maxSearchPaths = 32;
const maxSearchCharacters = 2048;
const maxHostnameBytes = 64;

export const dnsPolicies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

export function validateDNSConfig(errors: FieldError[], field: string, { dnsPolicy, dnsConfig }: PodSpec): void {
  if (dnsPolicy === "None") {
    if (!dnsConfig) errors.push(required(field, "must provide `dnsConfig` when `dnsPolicy` is None"));
    else if ((dnsConfig.nameservers ?? []).length === 0)
      errors.push(required(`${field}.nameservers`, "must provide at least one DNS nameserver when `dnsPolicy` is None"));
    else validateConfig(errors, field, dnsConfig);
  } else if (dnsConfig) validateConfig(errors, field, dnsConfig);
}

function validateConfig(errors: FieldError[], field: string, { nameservers = [], searches = [], options = [] }: PodDNSConfig): void {
  if (nameservers.length > maxNameservers)
    errors.push(invalidValue(`${field}.nameservers`, nameservers, `must not have more than ${maxNameservers} nameservers`));
  for (const [i, server] of nameservers.entries()) addProblems(errors, `${field}.nameservers[${i}]`, server, isLegacyIP(server, true));
  const path = `${field}.searches`;
  if (searches.length > maxSearchPaths) errors.push(invalidValue(path, searches, `must not have more than ${maxSearchPaths} search paths`));
  if (byteLength(searches.join(" ")) > maxSearchCharacters)
    errors.push(
      invalidValue(path, searches, `must not have more than ${maxSearchCharacters} characters (including spaces) in the search list`),
    );
  for (const [i, search] of searches.entries()) {
    if (search === ".") continue;
    const name = search.endsWith(".") ? search.slice(0, -1) : search;
    addProblems(errors, `${path}[${i}]`, name, isDNS1123SubdomainWithUnderscore(name));
  }
  for (const [i, { name }] of options.entries()) if (!name) errors.push(required(`${field}.options[${i}]`, "must not be empty"));
}

/** The host name that replaces the one made of the pod's own. */
export function validateHostnameOverride(errors: FieldError[], field: string, spec: PodSpec): void {
  const { hostnameOverride: name } = spec;
  if (name === undefined) return;
  if (spec.setHostnameAsFQDN) errors.push(forbiddenField(field, "may not be specified when setHostnameAsFQDN is true"));
  if (spec.hostNetwork) errors.push(forbiddenField(field, "may not be specified when hostNetwork is true"));
  if (byteLength(name) > maxHostnameBytes) errors.push(tooLong(field, maxHostnameBytes));
  addProblems(errors, field, name, isDNS1123Subdomain(name));
}

export function validateHostAliases(errors: FieldError[], field: string, aliases: readonly HostAlias[]): void {
  for (const [i, { ip = "", hostnames = [] }] of aliases.entries()) {
    addProblems(errors, `${field}[${i}].ip`, ip, isLegacyIP(ip, true));
    for (const [j, name] of hostnames.entries()) addProblems(errors, `${field}[${i}].hostnames[${j}]`, name, isDNS1123Subdomain(name));
  }
}

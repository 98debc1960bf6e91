// Validation of network policies, service address ranges and addresses.
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { cidrContains, formatIP, isValidCIDR, parseCIDR, parseIP } from "../meta/ip.ts";
import { isDNS1123Subdomain, isInRange, isPathSegmentName, isPortName, isPortNumber } from "../meta/names.ts";
import type {
  IPAddress,
  IPBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  ParentReference,
  ServiceCIDR,
} from "../types/networking-v1.ts";
import { checkLegacyCIDR } from "./addresses.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { addProblems, checkImmutable, checkName } from "./rules.ts";

interface Existing {
  readonly invalidSelectorValues: boolean;
  readonly cidrs: readonly string[];
}

export function validateNetworkPolicy({ spec }: NetworkPolicy, old?: NetworkPolicy): FieldError[] {
  const errors: FieldError[] = [];
  const existing = existingIn(old);
  validateLabelSelector(errors, "spec.podSelector", spec?.podSelector, { allowInvalidValues: existing.invalidSelectorValues });
  for (const [i, { ports, from }] of (spec?.ingress ?? []).entries()) validateRule(errors, `spec.ingress[${i}]`, ports, { from, existing });
  for (const [i, { ports, to }] of (spec?.egress ?? []).entries()) validateRule(errors, `spec.egress[${i}]`, ports, { to, existing });
  validateTypes(errors, "spec.policyTypes", spec?.policyTypes ?? []);
  return errors;
}

/** What the old version has is let pass: it may be older than the rules. */
function existingIn(old: NetworkPolicy | undefined): Existing {
  const errors: FieldError[] = [];
  validateLabelSelector(errors, "", old?.spec?.podSelector);
  const peers = [...(old?.spec?.ingress ?? []).flatMap(({ from = [] }) => from), ...(old?.spec?.egress ?? []).flatMap(({ to = [] }) => to)];
  const cidrs = peers.flatMap(({ ipBlock }) => (ipBlock ? [ipBlock.cidr, ...(ipBlock.except ?? [])] : []));
  return { invalidSelectorValues: errors.length > 0, cidrs };
}

interface RulePeers {
  readonly from?: readonly NetworkPolicyPeer[] | undefined;
  readonly to?: readonly NetworkPolicyPeer[] | undefined;
  readonly existing: Existing;
}

function validateRule(
  errors: FieldError[],
  field: string,
  ports: readonly NetworkPolicyPort[] = [],
  { from, to, existing }: RulePeers,
): void {
  for (const [i, port] of ports.entries()) validatePort(errors, `${field}.ports[${i}]`, port);
  for (const [i, peer] of (from ?? []).entries()) validatePeer(errors, `${field}.from[${i}]`, peer, existing);
  for (const [i, peer] of (to ?? []).entries()) validatePeer(errors, `${field}.to[${i}]`, peer, existing);
}

const protocols = ["TCP", "UDP", "SCTP"];

function validatePort(errors: FieldError[], field: string, { protocol, port, endPort }: NetworkPolicyPort): void {
  if (protocol !== undefined && !protocols.includes(protocol)) errors.push(notSupported(`${field}.protocol`, protocol, protocols));
  const refuseEnd = (value: number, detail: string): void => void errors.push(invalidValue(`${field}.endPort`, value, detail));
  if (port === undefined) {
    if (endPort !== undefined) refuseEnd(endPort, "may not be specified when `port` is not specified");
  } else if (typeof port === "number") {
    addProblems(errors, `${field}.port`, port, isPortNumber(port));
    if (endPort === undefined) return;
    if (endPort < port) refuseEnd(port, "must be greater than or equal to `port`");
    addProblems(errors, `${field}.endPort`, endPort, isInRange(endPort, 1, 65535));
  } else {
    if (endPort !== undefined) refuseEnd(endPort, "may not be specified when `port` is non-numeric");
    addProblems(errors, `${field}.port`, port, isPortName(port));
  }
}

function validatePeer(
  errors: FieldError[],
  field: string,
  { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer,
  existing: Existing,
): void {
  const options = { allowInvalidValues: existing.invalidSelectorValues };
  validateLabelSelector(errors, `${field}.podSelector`, podSelector, options);
  validateLabelSelector(errors, `${field}.namespaceSelector`, namespaceSelector, options);
  if (ipBlock) validateBlock(errors, `${field}.ipBlock`, ipBlock, existing.cidrs);
  if (!podSelector && !namespaceSelector && !ipBlock) errors.push(required(field, "must specify a peer"));
  else if (ipBlock && (podSelector || namespaceSelector))
    errors.push(forbiddenField(field, "may not specify both ipBlock and another peer"));
}

function validateBlock(errors: FieldError[], field: string, { cidr, except = [] }: IPBlock, existing: readonly string[]): void {
  if (!cidr) {
    errors.push(required(`${field}.cidr`));
    return;
  }
  checkLegacyCIDR(errors, `${field}.cidr`, cidr, existing);
  const block = parseCIDR(cidr);
  if (!block) return;
  for (const [i, text] of except.entries()) {
    const at = `${field}.except[${i}]`;
    checkLegacyCIDR(errors, at, text, existing);
    const hole = parseCIDR(text);
    const first = hole && parseIP(formatIP(hole.network));
    if (hole && first && (!cidrContains(block, first) || block.prefixLength >= hole.prefixLength))
      errors.push(invalidValue(at, text, "must be a strict subset of `cidr`"));
  }
}

const policyTypes = ["Ingress", "Egress"];

function validateTypes(errors: FieldError[], field: string, types: readonly string[]): void {
  if (types.length > policyTypes.length) {
    errors.push(invalidValue(field, types, "may not specify more than two policyTypes"));
    return;
  }
  for (const [i, type] of types.entries()) if (!policyTypes.includes(type)) errors.push(notSupported(`${field}[${i}]`, type, policyTypes));
}

export function validateIPAddress({ spec }: IPAddress, old?: IPAddress): FieldError[] {
  const errors: FieldError[] = [];
  const parent = spec?.parentRef;
  if (parent) validateParent(errors, parent);
  else errors.push(required("spec.parentRef"));
  if (old) checkImmutable(errors, "spec.parentRef", parent, old.spec?.parentRef, parent && internalParent(parent));
  return errors;
}

function validateParent(errors: FieldError[], { group, resource, name, namespace }: ParentReference): void {
  if (group) addProblems(errors, "spec.parentRef.group", group, isDNS1123Subdomain(group));
  checkName(errors, "spec.parentRef.resource", resource, isPathSegmentName);
  checkName(errors, "spec.parentRef.name", name, isPathSegmentName);
  if (namespace) addProblems(errors, "spec.parentRef.namespace", namespace, isPathSegmentName(namespace));
}

/** As upstream's internal type shows it. */
const internalParent = ({ group = "", resource = "", namespace = "", name = "" }: Partial<ParentReference>): unknown => ({
  Group: group,
  Resource: resource,
  Namespace: namespace,
  Name: name,
});

export function validateServiceCIDR({ spec }: ServiceCIDR, old?: ServiceCIDR): FieldError[] {
  const errors: FieldError[] = [];
  const cidrs = spec?.cidrs ?? [];
  if (!old) validateRanges(errors, "spec.cidrs", cidrs);
  else {
    const before = old.spec?.cidrs ?? [];
    const refuse = (field: string, value: unknown): void => void errors.push(invalidValue(field, value, "field is immutable"));
    if (before.length === cidrs.length) {
      for (const [i, cidr] of before.entries()) if (cidr !== cidrs[i]) refuse(`spec.cidrs[${i}]`, cidrs[i]);
    } else if (before.length === 1 && cidrs.length === 2) {
      // A second range makes the cluster dual-stack.
      if (cidrs[0] !== before[0]) refuse("spec.cidrs[0]", cidrs[0]);
      validateRanges(errors, "spec.cidrs", cidrs);
    } else refuse("spec.cidrs", spec?.cidrs ?? null);
  }
  return errors;
}

function validateRanges(errors: FieldError[], field: string, cidrs: readonly string[]): void {
  if (cidrs.length === 0) errors.push(required(field, "at least one CIDR required"));
  else if (cidrs.length > 2) errors.push(invalidValue(field, { CIDRs: cidrs }, "may only hold up to 2 values"));
  else {
    for (const [i, cidr] of cidrs.entries()) addProblems(errors, `${field}[${i}]`, cidr, isValidCIDR(cidr));
    const [first, second] = cidrs.map((cidr) => parseCIDR(cidr)?.ip.family);
    if (first !== undefined && first === second)
      errors.push(invalidValue(field, cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"));
  }
}

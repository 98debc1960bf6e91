// Validation of namespaces and nodes.
import { duplicate, FieldError, forbiddenField, invalidValue, type FieldError as Problem } from "../meta/field-error.ts";
import { parseCIDR } from "../meta/ip.ts";
import { isLabelValue, isQualifiedName } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import type { Namespace, Node, NodeSpec, Taint } from "../types/core-v1.ts";
import { checkLegacyCIDR } from "./addresses.ts";
import { isIntegerResource } from "./resource-names.ts";
import { isFractional } from "./resources.ts";
import { addProblems, checkSupported } from "./rules.ts";

const standardFinalizers = ["kubernetes", "orphan", "foregroundDeletion"];

export function validateNamespace({ spec }: Namespace): Problem[] {
  const errors: Problem[] = [];
  for (const finalizer of spec?.finalizers ?? []) {
    addProblems(errors, "spec.finalizers", finalizer, isQualifiedName(finalizer));
    if (!finalizer.includes("/") && !standardFinalizers.includes(finalizer))
      errors.push(invalidValue("spec.finalizers", finalizer, "name is neither a standard finalizer name nor is it fully qualified"));
  }
  return errors;
}

export function validateNamespaceStatus({ metadata, status }: Namespace): Problem[] {
  const phase = status?.phase ?? "";
  const deleted = metadata.deletionTimestamp !== undefined;
  const expected = deleted ? "Terminating" : "Active";
  if (phase === expected) return [];
  const detail = `may only be '${expected}' if \`deletionTimestamp\` is ${deleted ? "not empty" : "empty"}`;
  return [invalidValue("status.Phase", phase, detail)];
}

export function validateNode(node: Node): Problem[] {
  const errors: Problem[] = [];
  validateTaints(errors, "metadata.taints", node.spec?.taints ?? []);
  validateAmounts(errors, node);
  validateDeclaredFeatures(errors, node.status?.declaredFeatures ?? []);
  validateRanges(errors, node.spec?.podCIDRs ?? []);
  return errors;
}

/** What an update of the node itself or of its status must keep to. */
export function validateNodeUpdate(node: Node, old: Node): Problem[] {
  const errors: Problem[] = [];
  validateAmounts(errors, node);
  validateDeclaredFeatures(errors, node.status?.declaredFeatures ?? []);
  validateNodeAddresses(errors, node);
  validateFixedFields(errors, node.spec ?? {}, old.spec ?? {});
  validateTaints(errors, "metadata.taints", node.spec?.taints ?? []);
  if ((node.spec?.externalID ?? "") !== (old.spec?.externalID ?? "")) errors.push(forbiddenField("spec.externalID", "may not be updated"));
  return errors;
}

function validateTaints(errors: Problem[], field: string, taints: readonly Taint[]): void {
  const seen = new Set<string>();
  for (const [i, { key, value = "", effect, timeAdded }] of taints.entries()) {
    const at = `${field}[${i}]`;
    addProblems(errors, `${at}.key`, key, isQualifiedName(key));
    const problems = isLabelValue(value);
    if (problems.length > 0) errors.push(invalidValue(`${at}.value`, value, problems.join(";")));
    checkSupported(errors, `${at}.effect`, effect, ["NoSchedule", "PreferNoSchedule", "NoExecute"], "required");
    const identity = `${effect}/${key}`;
    // Upstream shows its internal type.
    const shown = { Key: key, Value: value, Effect: effect, TimeAdded: timeAdded ?? null };
    if (seen.has(identity)) errors.push(new FieldError("FieldValueDuplicate", at, shown, "taints must be unique by key and effect pair"));
    seen.add(identity);
  }
}

function validateAmounts(errors: Problem[], { status }: Node): void {
  for (const list of ["capacity", "allocatable"] as const)
    for (const [name, text] of Object.entries(status?.[list] ?? {})) {
      const amount = parseQuantity(text);
      const field = `status.${list}.${name}`;
      if (amount.sign < 0) errors.push(invalidValue(field, String(amount), "must be greater than or equal to 0"));
      if (isIntegerResource(name) && isFractional(amount)) errors.push(invalidValue(field, String(amount), "must be an integer"));
    }
}

const featureForm = /^[A-Z][a-zA-Z0-9]*(\/[a-zA-Z0-9]+)*$/;

function validateDeclaredFeatures(errors: Problem[], features: readonly string[]): void {
  for (const [i, feature] of features.entries()) {
    const at = `status.declaredFeatures[${i}]`;
    const quoted = JSON.stringify(feature);
    if (feature.length > 253) errors.push(invalidValue(at, feature, `invalid feature name ${quoted}: must be no more than 253 characters`));
    else if (!featureForm.test(feature))
      errors.push(
        invalidValue(
          at,
          feature,
          `invalid feature name ${quoted}: must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes`,
        ),
      );
    const next = features[i + 1];
    if (next === undefined) continue;
    if (feature === next) errors.push(duplicate(`status.declaredFeatures[${i + 1}]`, next));
    else if (feature > next) errors.push(invalidValue(`status.declaredFeatures[${i + 1}]`, next, "list must be sorted alphabetically"));
  }
}

function validateRanges(errors: Problem[], cidrs: readonly string[]): void {
  for (const [i, cidr] of cidrs.entries()) checkLegacyCIDR(errors, `spec.podCIDRs[${i}]`, cidr);
  if (cidrs.length < 2) return;
  const unreadable = cidrs.findIndex((cidr) => parseCIDR(cidr) === undefined);
  if (unreadable >= 0) {
    const why = `invalid CIDR[${unreadable}]: <nil> (invalid CIDR address: ${cidrs[unreadable]})`;
    errors.push(
      new FieldError("InternalError", "spec.podCIDRs", "", `invalid PodCIDRs. failed to check with dual stack with error:${why}`),
    );
  }
  const families = new Set(unreadable >= 0 ? [] : cidrs.map((cidr) => parseCIDR(cidr)?.ip.family));
  if (families.size < 2 || cidrs.length > 2)
    errors.push(invalidValue("spec.podCIDRs", cidrs, "may specify no more than one CIDR for each IP family"));
}

function validateNodeAddresses(errors: Problem[], { status }: Node): void {
  const seen = new Set<string>();
  for (const [i, { type, address }] of (status?.addresses ?? []).entries()) {
    const identity = `${type}/${address}`;
    if (seen.has(identity)) errors.push(duplicate(`status.addresses[${i}]`, { Type: type, Address: address }));
    seen.add(identity);
  }
}

/** Fields that are set once. */
function validateFixedFields(errors: Problem[], spec: NodeSpec, old: NodeSpec): void {
  const [cidrs, before] = [spec.podCIDRs ?? [], old.podCIDRs ?? []];
  const forbid = (field: string, name: string): void =>
    void errors.push(forbiddenField(field, `node updates may not change ${name} except from "" to valid`));
  if (before.length > 0) {
    if (before.length !== cidrs.length) forbid("spec.podCIDRs", "podCIDR");
    else for (const [i, cidr] of before.entries()) if (cidr !== cidrs[i]) forbid("spec.podCIDRs", "podCIDR");
  }
  if (old.providerID && old.providerID !== spec.providerID) forbid("spec.providerID", "providerID");
}

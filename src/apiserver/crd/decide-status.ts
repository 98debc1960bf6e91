// What the status of a CustomResourceDefinition has to say: which of its names are accepted, whether it is established, and
// whether a group that belongs to the community has been approved. Pure; names, reasons and messages are upstream's.

import { semanticallyEqual } from "../../api/meta/equality.ts";
import { invalidValue } from "../../api/meta/field-error.ts";
import { findCondition, isConditionTrue, withCondition, withoutCondition } from "../../api/semantics/conditions.ts";
import { unsupportedKeyword, validateStructural } from "../../api/structural/structural-rules.ts";
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionStatus,
} from "../../api/types/apiextensions-v1.ts";
import { isUnreadableCABundle } from "../../api/validation/definition-allowances.ts";
import { appendAll } from "../../base/append-all.ts";
import { formatTime } from "../../base/clock.ts";
import type { NamesInUse } from "./accepted-names.ts";

export const instanceCleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

type Condition = CustomResourceDefinitionCondition;

/** The status as it should be; undefined where it is so. `taken`: the names of the other definitions of the group. */
export function decideStatus(
  definition: CustomResourceDefinition,
  taken: NamesInUse,
  nowMs: number,
): CustomResourceDefinitionStatus | undefined {
  const { status } = definition;
  const { acceptedNames, condition } = acceptNames(definition, taken);
  let conditions = changed(status?.conditions ?? [], condition, nowMs);
  conditions = changed(conditions, establishedCondition(definition, conditions, condition.status === "True"), nowMs);
  const approval = approvalCondition(definition);
  if (approval) conditions = changed(conditions, approval, nowMs);
  const violations = nonStructuralCondition(definition);
  if (violations) conditions = changed(conditions, violations, nowMs);
  else if (findCondition(conditions, "NonStructuralSchema")) conditions = withoutCondition(conditions, "NonStructuralSchema");
  const wanted = { ...status, acceptedNames, conditions };
  const same = semanticallyEqual(status?.acceptedNames, acceptedNames) && conditions === status?.conditions;
  return same ? undefined : wanted;
}

/** The conditions with this one; the same list where it says so already. The time changes with the status only. */
function changed(conditions: readonly Condition[], wanted: Condition, nowMs: number): readonly Condition[] {
  const known = findCondition(conditions, wanted.type);
  if (known?.status === wanted.status && known.reason === wanted.reason && known.message === wanted.message) return conditions;
  const lastTransitionTime = (known?.status === wanted.status ? known.lastTransitionTime : undefined) ?? formatTime(nowMs);
  const { type, status, ...why } = wanted;
  return withCondition(conditions, { lastTransitionTime, ...why, status, type });
}

function establishedCondition({ spec }: CustomResourceDefinition, conditions: readonly Condition[], namesAccepted: boolean): Condition {
  const known = findCondition(conditions, "Established");
  // Once established, it stays so: objects may exist.
  if (known?.status === "True") return known;
  if (namesAccepted && isUnreadableCABundle(spec.conversion?.webhook?.clientConfig?.caBundle)) return invalidCABundle;
  return namesAccepted
    ? { type: "Established", status: "True", reason: "InitialNamesAccepted", message: "the initial names have been accepted" }
    : (known ?? { type: "Established", status: "False", reason: "NotAccepted", message: "not all names are accepted" });
}

const invalidCABundle: Condition = {
  type: "Established",
  status: "False",
  reason: "InvalidCABundle",
  message: "The conversion webhook CABundle is invalid",
};

interface Acceptance {
  readonly acceptedNames: CustomResourceDefinitionNames;
  readonly condition: Condition;
}

/** Takes over each requested name that no other definition of the group has; the last conflict is the one that is told. */
function acceptNames(definition: CustomResourceDefinition, { hasResource, hasKind }: NamesInUse): Acceptance {
  const wanted = definition.spec.names;
  const accepted: CustomResourceDefinitionNames = definition.status?.acceptedNames ?? { plural: "", kind: "" };
  let names: CustomResourceDefinitionNames = accepted;
  let conflict: Condition | undefined;
  const refuse = (reason: string, texts: readonly string[]): void => {
    const message = texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
    conflict = { type: "NamesAccepted", status: "False", reason, message };
  };
  const take = (field: "plural" | "singular" | "kind" | "listKind", isTaken: (name: string) => boolean, reason: string): void => {
    const name = wanted[field] ?? "";
    if (name !== (accepted[field] ?? "") && isTaken(name)) refuse(reason, [inUse(name)]);
    else if (wanted[field] !== undefined) names = { ...names, [field]: name };
  };
  take("plural", hasResource, "PluralConflict");
  take("singular", hasResource, "SingularConflict");
  const taken = (wanted.shortNames ?? []).filter((name) => !accepted.shortNames?.includes(name) && hasResource(name));
  if (taken.length > 0) refuse("ShortNamesConflict", taken.map(inUse));
  else names = withList(names, "shortNames", wanted.shortNames);
  take("kind", hasKind, "KindConflict");
  take("listKind", hasKind, "ListKindConflict");
  names = withList(names, "categories", wanted.categories);
  const condition = conflict ?? { type: "NamesAccepted", status: "True", reason: "NoConflicts", message: "no conflicts found" };
  return { acceptedNames: names, condition };
}

const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`;

function withList(
  names: CustomResourceDefinitionNames,
  field: "shortNames" | "categories",
  list: readonly string[] | undefined,
): CustomResourceDefinitionNames {
  const { [field]: _, ...rest } = names;
  return list ? { ...rest, [field]: list } : rest;
}

export const approvalAnnotation = "api-approved.kubernetes.io";
const approvalHelp = "https://github.com/kubernetes/enhancements/pull/1111";

/** Whether a group is the community's own, in which not everyone may define kinds. */
export function isProtectedGroup(group: string): boolean {
  return /(^|\.)(k8s|kubernetes)\.io$/.test(group);
}

function approvalCondition({ spec, metadata }: CustomResourceDefinition): Condition | undefined {
  if (!isProtectedGroup(spec.group)) return undefined;
  const type = "KubernetesAPIApprovalPolicyConformant";
  const annotation = metadata.annotations?.[approvalAnnotation] ?? "";
  const quoted = JSON.stringify(approvalAnnotation);
  if (annotation === "") {
    const message = `protected groups must have approval annotation ${quoted}, see ${approvalHelp}`;
    return { type, status: "False", reason: "MissingAnnotation", message };
  }
  if (annotation.startsWith("unapproved"))
    return { type, status: "False", reason: "UnapprovedAnnotation", message: `not approved: ${JSON.stringify(annotation)}` };
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/]+/i.test(annotation))
    return { type, status: "True", reason: "ApprovedAnnotation", message: `approved in ${annotation}` };
  const message = `protected groups must have approval annotation ${quoted} with either a URL or a reason starting with "unapproved", see ${approvalHelp}`;
  return { type, status: "False", reason: "InvalidAnnotation", message };
}

/** Definitions of the time before schemas had to be structural. */
function nonStructuralCondition({ spec }: CustomResourceDefinition): Condition | undefined {
  const type = "NonStructuralSchema";
  const messages: string[] = spec.preserveUnknownFields ? [invalidValue("spec.preserveUnknownFields", true, "must be false").message] : [];
  for (const [i, { name, schema }] of spec.versions.entries()) {
    const { openAPIV3Schema } = schema ?? {};
    if (!openAPIV3Schema) continue;
    const unreadable = unsupportedKeyword(openAPIV3Schema);
    if (unreadable !== undefined) {
      const message = `failed to check validation schema for version ${name}: ${unreadable}`;
      return { type, status: "Unknown", reason: "StructuralError", message };
    }
    const errors = validateStructural(openAPIV3Schema, `spec.versions[${i}].schema.openAPIV3Schema`);
    appendAll(
      messages,
      errors.map(({ message }) => message),
    );
  }
  if (messages.length === 0) return undefined;
  const told = [...new Set(messages)];
  return { type, status: "True", reason: "Violations", message: told.length === 1 ? (told[0] ?? "") : `[${told.join(", ")}]` };
}

/** Whether the definition's resource is served. */
export function isServed({ status }: CustomResourceDefinition): boolean {
  return isConditionTrue(status?.conditions, "Established") || isConditionTrue(status?.conditions, "NamesAccepted");
}

/** A status that tells how far the deletion of a definition's objects has come; undefined where it tells so already. */
export function withTermination(
  { status }: CustomResourceDefinition,
  why: { readonly active: boolean; readonly reason: string; readonly message: string },
  nowMs: number,
): CustomResourceDefinitionStatus | undefined {
  const { active, reason, message } = why;
  const before = status?.conditions ?? [];
  const conditions = changed(before, { type: "Terminating", status: active ? "True" : "False", reason, message }, nowMs);
  return conditions === before ? undefined : { ...status, conditions };
}

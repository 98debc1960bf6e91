// Objects as upstream's internal types show them: Go field names in the order of the Go types, absent lists and pointers as
// null. Messages that carry a value or a difference of internal objects are written with this.
import { escapeMarkup } from "../meta/field-error.ts";
import { parseQuantity } from "../meta/quantity.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { PodSpec } from "../types/core-v1.ts";
import type { LabelSelector } from "../types/meta-v1.ts";
import { internalFields } from "./internal-types.ts";

type Json = Readonly<Record<string, unknown>>;

const zeroes: Readonly<Record<string, unknown>> = { s: "", n: 0, b: false, q: "0", i: 0 };

/** The internal form of a value of an internal type: "PodSpec", "SecurityContext". */
export function internalForm(type: string, value: unknown): unknown {
  if (value === undefined || value === null) return absentForm(type);
  switch (type.charAt(0)) {
    case "?":
      return internalForm(type.slice(1), value);
    case "[":
      return (value as readonly unknown[]).map((item) => internalForm(type.slice(1), item));
    case "{":
      return mapForm(type.slice(1), value as Json);
    case "q":
      return parseQuantity(value as string | number).toString();
    case "j":
      return orderedSelector(value);
    default:
      return structForm(type, value);
  }
}

/** Fields of metadata in the order in which Go writes them. */
const metadataOrder = [
  "name",
  "generateName",
  "namespace",
  "selfLink",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
  "ownerReferences",
  "finalizers",
  "managedFields",
];

const entryOrders: Readonly<Record<string, readonly string[]>> = {
  ownerReferences: ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"],
  managedFields: ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"],
};

const inOrder = (value: Json, order: readonly string[]): Json =>
  Object.fromEntries(order.filter((field) => value[field] !== undefined).map((field) => [field, value[field]]));

/** Metadata as Go writes it. */
export function metadataForm(metadata: Json): Json {
  const form: Record<string, unknown> = {};
  for (const field of metadataOrder) {
    const value = metadata[field];
    if (value === undefined || value === null) continue;
    const order = entryOrders[field];
    if (field === "labels" || field === "annotations") form[field] = mapForm("s", value as Json);
    else form[field] = order ? (value as readonly Json[]).map((entry) => inOrder(entry, order)) : value;
  }
  return form;
}

/** A label selector as Go writes it; any other value as it is. */
function orderedSelector(value: unknown): unknown {
  const { matchLabels, matchExpressions, ...rest } = value as LabelSelector;
  if (!matchLabels && !matchExpressions) return value;
  return {
    ...rest,
    ...(matchLabels ? { matchLabels: mapForm("s", matchLabels) } : {}),
    ...(matchExpressions ? { matchExpressions: matchExpressions.map(({ key, operator, ...more }) => ({ key, operator, ...more })) } : {}),
  };
}

/** The same as text with an indent of one space: the input of differences. */
export const internalText = (type: string, value: unknown): string => escapeMarkup(JSON.stringify(internalForm(type, value), null, 1));

function absentForm(type: string): unknown {
  if (/^[?[{j]/.test(type)) return null;
  return type in zeroes ? zeroes[type] : structForm(type, {});
}

function mapForm(type: string, value: Json): Json {
  const sorted = Object.keys(value).sort();
  return Object.fromEntries(sorted.map((key) => [key, internalForm(type, value[key])]));
}

function structForm(type: string, value: unknown): unknown {
  const fields = internalFields(type);
  if (!fields) return value;
  const source = type === "PodSpec" ? regroupedPodSpec(value as PodSpec) : (value as Json);
  const form: Record<string, unknown> = {};
  for (const field of fields) {
    if (field.type === "m") Object.assign(form, metadataForm((source.metadata ?? {}) as Json));
    else form[field.name] = internalForm(field.type, source[field.json] ?? sentEmptyOf(source, field.json));
  }
  return form;
}

/** A pod spec with the fields that the internal type keeps elsewhere: host namespaces in the security context. */
function regroupedPodSpec(spec: PodSpec): Json {
  const { hostNetwork, hostPID, hostIPC, hostUsers, shareProcessNamespace } = spec;
  const securityContext = { hostNetwork, hostPID, hostIPC, hostUsers, shareProcessNamespace, ...spec.securityContext };
  return { ...spec, securityContext, serviceAccountName: spec.serviceAccountName || spec.serviceAccount };
}

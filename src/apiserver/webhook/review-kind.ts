// Whether an answer is the review that was asked for: of another kind, version, or with fields of another type it cannot be read,
// and the words of the failure are those of Go's decoder. Who may do what hangs on these answers: nothing is guessed of one that
// is malformed.
import { goKind } from "../../api/encode/type-meta.ts";
import { builtInResources } from "../../api/resources.generated.ts";

export interface ExpectedReview {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** All versions in which there is such a review. */
  readonly versions: readonly string[];
  /** Where upstream's client knows its kinds from: part of the text. */
  readonly scheme: string;
  /** Which other kinds that client knows. */
  readonly knows?: (apiVersion: string, kind: string) => boolean;
}

/** Of clients that know all built-in kinds. */
export const knowsBuiltIns = (apiVersion: string, kind: string): boolean =>
  builtInResources.some((r) => r.kind === kind && apiVersion === (r.group === "" ? r.version : `${r.group}/${r.version}`));

/** Why an answer is not of the kind; what says nothing of its kind passes. */
export function reviewKindProblem(value: unknown, expected: ExpectedReview): string | undefined {
  const { group, version, kind, scheme } = expected;
  const answered = (value ?? {}) as { readonly apiVersion?: string | null; readonly kind?: string | null };
  const ofKind = answered.kind || kind;
  const ofVersion = answered.apiVersion || `${group}/${version}`;
  if (ofKind === kind && ofVersion === `${group}/${version}`) return undefined;
  if (ofVersion.split("/").length > 2) return `unexpected GroupVersion string: ${ofVersion}`;
  if (!isKnown(ofVersion, ofKind, expected))
    return `no kind ${JSON.stringify(ofKind)} is registered for version ${JSON.stringify(ofVersion)} in scheme ${JSON.stringify(scheme)}`;
  const short = ofVersion.slice(ofVersion.indexOf("/") + 1);
  return `converting (${short}.${ofKind}) to (${version}.${kind}): unknown conversion`;
}

function isKnown(apiVersion: string, ofKind: string, { group, kind, versions, knows }: ExpectedReview): boolean {
  if (apiVersion === "v1" && ofKind === "Status") return true;
  if (ofKind === kind && versions.some((v) => apiVersion === `${group}/${v}`)) return true;
  return knows?.(apiVersion, ofKind) ?? false;
}

/** What Go calls the type of a field: of a plain value, of lists and maps of text, of bytes, of an object or a list of objects. */
export type FieldType =
  | readonly [json: "string" | "boolean" | "int32" | "int64", go: string]
  | "texts"
  | "map"
  | "bytes"
  /** Of objects that are read later. */
  | "list"
  /** A map of lists, whose type has this name. */
  | { readonly textLists: string }
  | { readonly items: Nested }
  | Nested;

export type FieldTypes = Readonly<Record<string, FieldType>>;

export interface Nested {
  readonly struct: string;
  readonly go: string;
  readonly fields: FieldTypes;
}

/** The first field whose value is of another type; null is nothing everywhere. */
export function fieldTypeProblem(value: unknown, { struct, fields }: Nested, path = ""): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [name, given] of Object.entries(value)) {
    const type = fields[name];
    if (!type || given === null || given === undefined) continue;
    const at = path === "" ? name : `${path}.${name}`;
    const problem = problemOf(given, type, { struct, at });
    if (problem !== undefined) return problem;
  }
  return undefined;
}

interface Field {
  readonly struct: string;
  readonly at: string;
}

function problemOf(given: unknown, type: FieldType, field: Field): string | undefined {
  const wrong = (go: string): string => cannotUnmarshal(given, field, go);
  if (type === "texts") return Array.isArray(given) ? firstNoText(given, field) : wrong("[]string");
  if (type === "map") return isObject(given) ? firstNoText(Object.values(given), field) : wrong("map[string]string");
  if (type === "list") return Array.isArray(given) ? undefined : wrong("[]runtime.RawExtension");
  if (type === "bytes") return bytesProblem(given, field);
  if ("textLists" in type) return textListsProblem(given, type.textLists, field);
  if ("items" in type) return itemsProblem(given, type.items, field);
  if ("struct" in type) return isObject(given) ? fieldTypeProblem(given, type, field.at) : wrong(type.go);
  const [json, go] = type;
  if (json === "int32" || json === "int64") return isInteger(given, json) ? undefined : wrong(go);
  return typeof given === json ? undefined : wrong(go);
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);

function cannotUnmarshal(given: unknown, { struct, at }: Field, go: string): string {
  const what = typeof given === "number" && /^u?int\d+$/.test(go) ? `number ${given}` : goKind(given);
  return `json: cannot unmarshal ${what} into Go struct field ${struct}.${at} of type ${go}`;
}

const largestInt32 = 2 ** 31;

function isInteger(value: unknown, size: "int32" | "int64"): boolean {
  if (!Number.isInteger(value)) return false;
  return size === "int64" || ((value as number) < largestInt32 && (value as number) >= -largestInt32);
}

function firstNoText(values: readonly unknown[], field: Field): string | undefined {
  const other = values.find((v) => typeof v !== "string" && v !== null);
  return other === undefined ? undefined : cannotUnmarshal(other, field, "string");
}

function itemsProblem(given: unknown, items: Nested, field: Field): string | undefined {
  if (!Array.isArray(given)) return cannotUnmarshal(given, field, `[]${items.go}`);
  for (const item of given as readonly unknown[]) {
    if (item === null) continue;
    const problem = isObject(item) ? fieldTypeProblem(item, items, field.at) : cannotUnmarshal(item, field, items.go);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function textListsProblem(given: unknown, go: string, field: Field): string | undefined {
  if (!isObject(given)) return cannotUnmarshal(given, field, `map[string]${go}`);
  for (const list of Object.values(given) as readonly unknown[]) {
    if (list === null) continue;
    const problem = Array.isArray(list) ? firstNoText(list, field) : cannotUnmarshal(list, field, go);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Bytes are base64, or a list of numbers. */
function bytesProblem(given: unknown, field: Field): string | undefined {
  if (typeof given === "string") return undefined;
  if (!Array.isArray(given)) return cannotUnmarshal(given, field, "[]uint8");
  const other = (given as readonly unknown[]).find(
    (v) => v !== null && !(Number.isInteger(v) && (v as number) >= 0 && (v as number) <= 0xff),
  );
  return other === undefined ? undefined : cannotUnmarshal(other, field, "uint8");
}

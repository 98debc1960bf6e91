// Whether an answer is the review that was asked for: of another kind, version, or with fields of another type it cannot be read,
// and the words of the failure are those of Go's decoder.
import { goKind } from "../../api/encode/type-meta.ts";

export interface ExpectedReview {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** All versions in which there is such a review. */
  readonly versions: readonly string[];
  /** Where upstream's client knows its kinds from: part of the text. */
  readonly scheme: string;
}

/** Why an answer is not of the kind; what says nothing of its kind passes. */
export function reviewKindProblem(value: unknown, expected: ExpectedReview): string | undefined {
  const { group, version, kind, versions, scheme } = expected;
  const answered = (value ?? {}) as { readonly apiVersion?: string | null; readonly kind?: string | null };
  const ofKind = answered.kind || kind;
  const ofVersion = answered.apiVersion || `${group}/${version}`;
  if (ofKind === kind && ofVersion === `${group}/${version}`) return undefined;
  const isKnown = (ofKind === kind && versions.some((v) => ofVersion === `${group}/${v}`)) || (ofVersion === "v1" && ofKind === "Status");
  if (!isKnown)
    return `no kind ${JSON.stringify(ofKind)} is registered for version ${JSON.stringify(ofVersion)} in scheme ${JSON.stringify(scheme)}`;
  const short = ofVersion.slice(ofVersion.indexOf("/") + 1);
  return `converting (${short}.${ofKind}) to (${version}.${kind}): unknown conversion`;
}

/** Names of JSON's types, of lists and maps of text, or of an object's fields. */
export type FieldTypes = Readonly<Record<string, readonly [json: "string" | "boolean" | "number", go: string] | "texts" | "map" | Nested>>;

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
    const wrong = (of: unknown, go: string): string =>
      `json: cannot unmarshal ${goKind(of)} into Go struct field ${struct}.${at} of type ${go}`;
    const problem = problemOf(given, type, wrong, at);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function problemOf(given: unknown, type: FieldTypes[string], wrong: (of: unknown, go: string) => string, at: string): string | undefined {
  const isObject = typeof given === "object" && !Array.isArray(given);
  const firstNoText = (values: readonly unknown[]): string | undefined => {
    const other = values.find((v) => typeof v !== "string" && v !== null);
    return other === undefined ? undefined : wrong(other, "string");
  };
  if (type === "texts") return Array.isArray(given) ? firstNoText(given) : wrong(given, "[]string");
  if (type === "map") return isObject ? firstNoText(Object.values(given as object)) : wrong(given, "map[string]string");
  if ("struct" in type) return isObject ? fieldTypeProblem(given, type, at) : wrong(given, type.go);
  const [json, go] = type;
  return typeof given === json ? undefined : wrong(given, go);
}

// What a parsed body says of its kind, and why it does not, in the words of Go's decoder.
import { JsonNumber, withPlainNumbers } from "./json-text.ts";

const jsonParseError = "couldn't get version/kind; json parse error: json:";

/** What Go's JSON calls a value. */
export const goKind = (value: unknown): string =>
  Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : value instanceof JsonNumber ? "number" : typeof value;

/** Why a body does not say what it is; undefined where it may. */
export function typeProblem(value: unknown): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value) || value instanceof JsonNumber) {
    const target = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
    return `${jsonParseError} cannot unmarshal ${goKind(withPlainNumbers(value))} into Go value of type ${target}`;
  }
  for (const field of ["apiVersion", "kind"] as const) {
    const given = (value as Readonly<Record<string, unknown>>)[field];
    if (given === undefined || given === null || typeof given === "string") continue;
    return `${jsonParseError} cannot unmarshal ${goKind(withPlainNumbers(given))} into Go struct field .${field} of type string`;
  }
  return undefined;
}

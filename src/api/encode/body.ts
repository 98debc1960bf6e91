// The body of a request that carries an object: parsed, with the apiVersion and kind it claims. What is no object at all is
// refused as upstream refuses it, quoting the beginning of the body.
import { byteLength } from "../meta/names.ts";
import { badRequest, type StatusError } from "../meta/status-error.ts";
import { JsonNumber, JsonSyntaxError, type ParsedText, parseJson } from "./json-text.ts";
import { parseYaml, YamlSyntaxError } from "./yaml-text.ts";

export interface ObjectBody extends ParsedText {
  /** "" when the body does not say: it is then of the kind that the request is for. */
  readonly apiVersion: string;
  readonly kind: string;
}

/** Reads a body; `mustBe` is the kind that the request is for, as messages name it. Throws a 400. */
export function parseObjectBody(text: string, mustBe: string, format: "json" | "yaml" = "json"): ObjectBody {
  let parsed: ParsedText;
  try {
    parsed = format === "yaml" ? parseYaml(text) : parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof YamlSyntaxError) throw unrecognized(text, mustBe, error.message);
    throw error;
  }
  const { value } = parsed;
  if (value === null) return { ...parsed, apiVersion: "", kind: "" };
  if (typeof value !== "object" || Array.isArray(value) || value instanceof JsonNumber) {
    const type = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
    throw unrecognized(text, mustBe, `json: cannot unmarshal ${goKind(value)} into Go value of type ${type}`);
  }
  const claim = (field: "apiVersion" | "kind"): string => {
    const claimed = (value as Readonly<Record<string, unknown>>)[field] ?? "";
    if (typeof claimed === "string") return claimed;
    throw unrecognized(text, mustBe, `json: cannot unmarshal ${goKind(claimed)} into Go struct field .${field} of type string`);
  };
  return { ...parsed, apiVersion: claim("apiVersion"), kind: claim("kind") };
}

function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (value instanceof JsonNumber) return "number";
  return typeof value === "boolean" ? "bool" : typeof value;
}

function unrecognized(text: string, mustBe: string, problem: string): StatusError {
  return badRequest(
    `the object provided is unrecognized (must be of type ${mustBe}): couldn't get version/kind; json parse error: ${problem} (${summary(text)})`,
  );
}

const shownBytes = 30;

/** The beginning of a body: as it is when it looks like JSON, in hexadecimal when it does not. */
function summary(text: string): string {
  if (text === "") return "<empty>";
  const shown = text.startsWith("{") ? text.slice(0, shownBytes) : hex(text);
  return byteLength(text) > shownBytes ? `${shown} ...` : shown;
}

function hex(text: string): string {
  const bytes = new TextEncoder().encode(text.slice(0, shownBytes)).slice(0, shownBytes);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

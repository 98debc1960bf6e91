// Objects and patches out of request bodies: read (parse-body.ts), checked to be of the kind the path is about (expected-kind.ts), and
// decoded by its schema. Unknown and repeated fields are refused, warned of or ignored as ?fieldValidation= says. In-process
// bodies are values.
import { cannotBeHandled, type Decoded, DecodeError, decodeObject, strictProblem } from "../../api/encode/decode.ts";
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import { typeProblem } from "../../api/encode/type-meta.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { asSent } from "../../api/meta/sent-empty.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { PatchContent } from "../http/negotiate.ts";
import { addWarning } from "../http/warnings.ts";
import type { RequestContext } from "../request.ts";
import { checkKind, type ExpectedKind, type Sent, schemaOf, textOf, unrecognized } from "./expected-kind.ts";
import { withSentOwners } from "./field-management.ts";
import { orCborProblem, type ParsedBody, parseBody, readBytes, utf8 } from "./parse-body.ts";
import type { FieldValidation } from "./request-options.ts";
import { strictProblems } from "./strict-problems.ts";

/** Reads and decodes an object. Throws 400, 413, 415. */
export async function readObject(context: RequestContext, expected: ExpectedKind, validation: FieldValidation): Promise<KubernetesObject> {
  const { body } = context.request;
  const warn = (text: string): void => addWarning(context.warnings, text);
  const parsed =
    body.kind === "value"
      ? { value: body.value, duplicates: [] }
      : await parseBody(context.request, await readBytes(context, body), expected);
  const object = decodeAs(parsed, expected, validation, warn);
  const { auditBody } = context;
  if (auditBody) auditBody.value = asSent(auditBody.whole && expected.defaults ? expected.defaults(object as never) : object);
  return object;
}

/** Decodes a parsed body as an object of a kind. */
export function decodeAs(
  { value, duplicates, text, sent: bytes, unknown: found }: ParsedBody,
  expected: ExpectedKind,
  validation: FieldValidation,
  warn: (text: string) => void,
): KubernetesObject {
  const apiVersion = apiVersionOf(expected);
  const sent = (value ?? {}) as Sent;
  const problem = typeProblem(value);
  if (problem !== undefined) throw unrecognized(expected.kind, problem, bytes ?? textOf(value));
  checkKind(sent, expected, apiVersion, bytes);
  const { object, unknown } = decoded(expected, value ?? {}, apiVersion);
  const unreadable = expected.unreadable?.(object as never);
  if (unreadable !== undefined) throw cannotBeHandled(expected, expected.kind, unreadable);
  const problems = found ?? strictProblems({ duplicates, unknown, text: expected.decode ? undefined : text });
  if (problems.length > 0 && validation === "Strict") throw cannotBeHandled(expected, expected.kind, strictProblem(yamlAsOne(problems)));
  if (validation === "Warn") problems.forEach(warn);
  const whole = object as unknown as KubernetesObject;
  const named = expected.decode !== undefined || (whole.kind === expected.kind && whole.apiVersion === apiVersion);
  if (named && whole.metadata !== undefined) return withSentOwners(whole, value);
  const { metadata, ...rest } = whole;
  if (expected.decode) return { ...rest, metadata: {} as ObjectMeta };
  return { ...rest, kind: expected.kind, apiVersion, metadata: (metadata ?? {}) as ObjectMeta };
}

/** The parser's words are one error with a line for each repeated key; in warnings each is one of its own. */
function yamlAsOne(problems: readonly string[]): readonly string[] {
  const isYaml = (problem: string): boolean => /^line \d+: key /.test(problem);
  const lines = problems.filter(isYaml).map((problem) => `  ${problem}`);
  if (lines.length === 0) return problems;
  return [["yaml: unmarshal errors:", ...lines].join("\n"), ...problems.filter((problem) => !isYaml(problem))];
}

function decoded(expected: ExpectedKind, value: unknown, apiVersion: string): Decoded {
  const schema = schemaOf(expected, apiVersion);
  if (!schema && !expected.decode) return { object: withPlainNumbers(value) as Readonly<Record<string, unknown>>, unknown: [] };
  try {
    return schema ? decodeObject(schema, value) : decodeCustom(expected, value, apiVersion);
  } catch (error) {
    if (error instanceof DecodeError) throw cannotBeHandled(expected, expected.kind, error.message);
    throw error;
  }
}

/** What was sent without a kind is of the expected one. */
function decodeCustom({ kind, decode }: ExpectedKind, value: unknown, apiVersion: string): Decoded {
  const { kind: sentKind, apiVersion: sentVersion, ...rest } = value as Sent & Readonly<Record<string, unknown>>;
  const object = { apiVersion: sentVersion || apiVersion, kind: sentKind || kind, ...rest };
  return decode ? decode(object) : { object, unknown: [] };
}

/** A patch as sent: text, or (in-process) a value. */
export async function readPatchBody(context: RequestContext, content: PatchContent): Promise<PatchBody> {
  const patch = await readPatch(context, content);
  if (context.auditBody?.whole) context.auditBody.value = "text" in patch ? parsedIfJson(patch.text) : patch.value;
  return patch;
}

export type PatchBody = { readonly text: string } | { readonly value: unknown };

function parsedIfJson(text: string): unknown {
  try {
    return withPlainNumbers(parseJson(text).value);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    // The patch will be refused, or is an apply in YAML.
    return text;
  }
}

async function readPatch(context: RequestContext, content: PatchContent): Promise<PatchBody> {
  const { body, cbor } = context.request;
  if (body.kind === "value") return typeof body.value === "string" ? { text: body.value } : { value: body.value };
  const bytes = await readBytes(context, body);
  if (content !== "apply in CBOR" || !cbor) return { text: utf8.decode(bytes) };
  return {
    value: orCborProblem(
      () => cbor.read(bytes, undefined),
      cbor,
      (problem) => badRequest(`error decoding YAML: ${problem}`),
    ).value,
  };
}

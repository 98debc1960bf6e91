// The bytes of a body as values: JSON, YAML, protobuf or CBOR, by its content type. What is wrong is said as upstream says it.
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { cannotBeHandled } from "../../api/encode/decode.ts";
import { JsonNumber, JsonSyntaxError, type ParsedText, parseJson } from "../../api/encode/json-text.ts";
import { readEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { decodeMessage } from "../../api/encode/protobuf/message.ts";
import { sortedKeys } from "../../api/encode/sorted-keys.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import { schemaOfKind } from "../../api/schema/schema.ts";
import { WireError } from "../../base/protobuf/wire.ts";
import { largeBodyBytes } from "../flow-control/large-bodies.ts";
import { negotiateInput } from "../http/negotiate.ts";
import type { ApiRequest, RequestContext } from "../request.ts";
import { checkKind, type ExpectedKind, type Sent, schemaOf, unrecognized } from "./expected-kind.ts";

/** The largest body: upstream's limit for objects. */
const maxBodyBytes = 3 * 1024 * 1024;

/** A byte order mark is a character like others, and none that JSON may begin with. */
export const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

const nothing = new Uint8Array();

/** A body that came over the wire. */
export type SentBody = Exclude<ApiRequest["body"], { kind: "value" }>;

/** Throws 413. */
export async function readBytes(context: RequestContext, body: SentBody): Promise<Uint8Array> {
  const bytes = body.kind === "none" ? nothing : await body.read(maxBodyBytes);
  context.bodyBytes = bytes.length;
  if (bytes.length > largeBodyBytes) await context.largeBodyTurn?.();
  return bytes;
}

/** `sent`: the body itself, which messages quote. `unknown`: what strict validation says, where the reader has found it out. */
export type ParsedBody = ParsedText & { readonly sent?: Uint8Array; readonly unknown?: readonly string[] };

export async function parseBody(request: ApiRequest, bytes: Uint8Array, expected: ExpectedKind): Promise<ParsedBody> {
  const encoding = negotiateInput(request);
  if (encoding === "protobuf") return parseProtobufBody(bytes, expected);
  if (encoding === "cbor" && request.cbor) return parseCborBody(bytes, expected, request.cbor);
  const text = utf8.decode(bytes);
  if (encoding === "yaml") return { ...(await parseYamlBody(text, expected.kind)), sent: bytes };
  try {
    return { ...parseJson(text), sent: bytes };
  } catch (error) {
    if (error instanceof JsonSyntaxError)
      throw unrecognized(expected.kind, `couldn't get version/kind; json parse error: ${error.message}`, bytes);
    throw error;
  }
}

export async function parseYamlBody(text: string, kind: string): Promise<ParsedText> {
  // The YAML parser is loaded when the first YAML arrives.
  const { parseYaml, YamlSyntaxError } = await import("../../api/encode/yaml-text.ts");
  try {
    const { value, duplicates } = parseYaml(text);
    // Upstream makes JSON of it before it is read, by way of maps.
    return { value: sortedKeys(value), duplicates };
  } catch (error) {
    if (error instanceof YamlSyntaxError) throw unrecognized(kind, error.message, Buffer.from(text));
    throw error;
  }
}

const notProtobuf =
  "object *unstructured.Unstructured does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message";

/** A protobuf body as the values its JSON would have. */
function parseProtobufBody(bytes: Uint8Array, expected: ExpectedKind): ParsedText {
  const { message, ...type } = orWireProblem(
    () => readEnvelope(bytes),
    (problem) => unrecognized(expected.kind, problem, bytes),
  );
  const apiVersion = apiVersionOf(expected);
  checkKind(type, expected, apiVersion);
  const schema = schemaOf(expected, apiVersion);
  if (!schema) throw cannotBeHandled(expected, expected.kind, notProtobuf);
  const fields = orWireProblem(
    () => decodeMessage(schema, message),
    (problem) => cannotBeHandled(expected, expected.kind, problem),
  );
  return { value: { ...fields, ...type }, duplicates: [] };
}

export function orWireProblem<T>(read: () => T, refusal: (problem: string) => Error): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError) throw refusal(error.message);
    throw error;
  }
}

export const undetermined = "unable to determine group/version/kind: ";

/** A CBOR body as the values its JSON would have. Built-in kinds are read by the schema of what the body says it is. */
function parseCborBody(bytes: Uint8Array, expected: ExpectedKind, cbor: CborCodec): ParsedBody {
  const readType = (): ReturnType<CborCodec["readType"]> =>
    orCborProblem(
      () => cbor.readType(bytes),
      cbor,
      (problem) => unrecognized(expected.kind, undetermined + problem, bytes),
    );
  const apiVersion = apiVersionOf(expected);
  const sent = expected.decode ? undefined : toldType(readType());
  const kind = sent?.kind || expected.kind;
  const version = sent?.apiVersion || apiVersion;
  const schema = kind === expected.kind && version === apiVersion ? schemaOf(expected, apiVersion) : schemaOfKind(version, kind);
  const { value, unknown } = orCborProblem(
    () => cbor.read(bytes, expected.decode ? undefined : schema),
    cbor,
    (problem) => {
      if (expected.decode) readType();
      return cannotBeHandled({ version: version.slice(version.indexOf("/") + 1), kind }, expected.kind, problem);
    },
  );
  if (expected.decode) checkToldType(value, expected, bytes);
  const typed = sent && value !== null ? { ...(value as object), ...sent } : value;
  return { value: typed, duplicates: [], sent: bytes, unknown: unknown === undefined ? [] : [unknown] };
}

/** A version that is none says nothing, nor does a kind beside it. */
function toldType({ apiVersion = "", kind = "" }: ReturnType<CborCodec["readType"]>): {
  readonly apiVersion: string;
  readonly kind: string;
} {
  return apiVersion.split("/").length > 2 ? { apiVersion: "", kind: "" } : { apiVersion, kind };
}

/** Custom objects have to say what they are. */
function checkToldType(value: unknown, expected: ExpectedKind, bytes: Uint8Array): void {
  const { apiVersion, kind } = (value ?? {}) as Sent;
  const told = toldType({ apiVersion: stringOr(apiVersion), kind: stringOr(kind) });
  if (told.kind === "") throw unrecognized(expected.kind, `Object 'Kind' is missing in '${diagnosticText(value)}'`, bytes);
  if (told.apiVersion === "")
    throw cannotBeHandled({ version: "", kind: told.kind }, expected.kind, `Object 'apiVersion' is missing in '${diagnosticText(value)}'`);
}

const stringOr = (value: unknown): string => (typeof value === "string" ? value : "");

/** A value in CBOR's diagnostic notation. */
function diagnosticText(value: unknown): string {
  if (value instanceof JsonNumber) return value.text;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(diagnosticText).join(", ")}]`;
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${diagnosticText(item)}`);
  return `{${entries.join(", ")}}`;
}

export function orCborProblem<T>(read: () => T, cbor: CborCodec, refusal: (problem: string) => Error): T {
  try {
    return read();
  } catch (error) {
    if (cbor.isProblem(error)) throw refusal(error.message);
    throw error;
  }
}

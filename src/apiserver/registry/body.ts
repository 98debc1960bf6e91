// Request bodies: read, parsed (JSON, YAML or protobuf), checked to be of the kind the path is about, and decoded by its schema.
// Unknown and repeated fields are refused, warned of or ignored as ?fieldValidation= says. In-process bodies are values.

import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import {
  cannotBeHandled,
  type Decoded,
  DecodeError,
  decodeObject,
  duplicateField,
  strictProblem,
  unknownField,
} from "../../api/encode/decode.ts";
import { inTextOrder, JsonNumber, JsonSyntaxError, type ParsedText, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import { readEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { decodeMessage } from "../../api/encode/protobuf/message.ts";
import { sortedKeys } from "../../api/encode/sorted-keys.ts";
import { typeProblem } from "../../api/encode/type-meta.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { asSent } from "../../api/meta/sent-empty.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import type { GroupVersionKind } from "../../api/resource-type.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind } from "../../api/schema/schema.ts";
import type { DeleteOptions, ObjectMeta } from "../../api/types/meta-v1.ts";
import { WireError } from "../../base/protobuf/wire.ts";
import { negotiateInput, type PatchContent } from "../http/negotiate.ts";
import { addWarning } from "../http/warnings.ts";
import type { ApiRequest, RequestContext } from "../request.ts";
import { withSentOwners } from "./field-management.ts";
import { checkDeleteOptions, deleteOptionsOf, type FieldValidation } from "./request-options.ts";

/** The largest body: upstream's limit for objects. */
const maxBodyBytes = 3 * 1024 * 1024;
/** A byte order mark is a character like others, and none that JSON may begin with. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** What a body has to be. */
export interface ExpectedKind extends GroupVersionKind {
  /** Absent for custom resources, which have `decode`. */
  readonly schema?: string | undefined;
  /** Throws DecodeError. */
  readonly decode?: ((value: unknown) => Decoded) | undefined;
  /** Fills in what the server would, for those who are told of what was sent. */
  readonly defaults?: ((object: never) => KubernetesObject) | undefined;
  /** Why what was decoded cannot be read as fields of other versions of the kind. */
  readonly unreadable?: ((object: never) => string | undefined) | undefined;
  /** Other versions of the kind that are read alike ("policy/v1beta1" for evictions). */
  readonly alsoVersions?: readonly string[];
}

/** Reads and decodes an object. Throws 400, 413, 415. */
export async function readObject(context: RequestContext, expected: ExpectedKind, validation: FieldValidation): Promise<KubernetesObject> {
  const { body } = context.request;
  const warn = (text: string): void => addWarning(context.warnings, text);
  const parsed = body.kind === "value" ? { value: body.value, duplicates: [] } : await parseSent(context, body, expected);
  const object = decodeAs(parsed, expected, validation, warn);
  const { auditBody } = context;
  if (auditBody) auditBody.value = asSent(auditBody.whole && expected.defaults ? expected.defaults(object as never) : object);
  return object;
}

const nothing = new Uint8Array();

async function parseSent(
  context: RequestContext,
  body: Exclude<ApiRequest["body"], { kind: "value" }>,
  expected: ExpectedKind,
): Promise<ParsedBody> {
  const bytes = body.kind === "none" ? nothing : await body.read(maxBodyBytes);
  context.bodyBytes = bytes.length;
  return parseBody(context.request, bytes, expected);
}

/** `sent`: the body itself, which messages quote. `unknown`: what strict validation says, where the reader has found it out. */
type ParsedBody = ParsedText & { readonly sent?: Uint8Array; readonly unknown?: readonly string[] };

async function parseBody(request: ApiRequest, bytes: Uint8Array, expected: ExpectedKind): Promise<ParsedBody> {
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

async function parseYamlBody(text: string, kind: string): Promise<ParsedText> {
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
  const apiVersion = versionOf(expected);
  checkKind(type, expected, apiVersion);
  const schema = schemaOf(expected, apiVersion);
  if (!schema) throw cannotBeHandled(expected, expected.kind, notProtobuf);
  const fields = orWireProblem(
    () => decodeMessage(schema, message),
    (problem) => cannotBeHandled(expected, expected.kind, problem),
  );
  return { value: { ...fields, ...type }, duplicates: [] };
}

function orWireProblem<T>(read: () => T, refusal: (problem: string) => Error): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError) throw refusal(error.message);
    throw error;
  }
}

const undetermined = "unable to determine group/version/kind: ";

/** A CBOR body as the values its JSON would have. Built-in kinds are read by the schema of what the body says it is. */
function parseCborBody(bytes: Uint8Array, expected: ExpectedKind, cbor: CborCodec): ParsedBody {
  const readType = (): ReturnType<CborCodec["readType"]> =>
    orCborProblem(
      () => cbor.readType(bytes),
      cbor,
      (problem) => unrecognized(expected.kind, undetermined + problem, bytes),
    );
  const apiVersion = versionOf(expected);
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

function orCborProblem<T>(read: () => T, cbor: CborCodec, refusal: (problem: string) => Error): T {
  try {
    return read();
  } catch (error) {
    if (cbor.isProblem(error)) throw refusal(error.message);
    throw error;
  }
}

function readCborDeleteOptions(bytes: Uint8Array, cbor: CborCodec): unknown {
  const { kind = "" } = orCborProblem(
    () => cbor.readType(bytes),
    cbor,
    (problem) => badRequest(undetermined + problem),
  );
  // Another kind is for the caller to refuse.
  const schema = kind === "" || kind === "DeleteOptions" ? builtInSchemas.get("meta-v1.DeleteOptions") : undefined;
  return orCborProblem(() => cbor.read(bytes, schema), cbor, badRequest).value;
}

const summaryBytes = 30;

function unrecognized(kind: string, problem: string, bytes: Uint8Array): Error {
  const head = Buffer.from(bytes.subarray(0, summaryBytes));
  const more = bytes.length > summaryBytes ? " ..." : "";
  const summary = bytes.length === 0 ? "<empty>" : bytes[0] === "{".charCodeAt(0) ? head.toString() : head.toString("hex");
  return badRequest(`the object provided is unrecognized (must be of type ${kind}): ${problem} (${summary}${more})`);
}

interface Sent {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
}

/** Decodes a parsed body as an object of a kind. */
export function decodeAs(
  { value, duplicates, text, sent: bytes, unknown: found }: ParsedBody,
  expected: ExpectedKind,
  validation: FieldValidation,
  warn: (text: string) => void,
): KubernetesObject {
  const apiVersion = versionOf(expected);
  const sent = (value ?? {}) as Sent;
  const problem = typeProblem(value);
  if (problem !== undefined) throw unrecognized(expected.kind, problem, bytes ?? textOf(value));
  checkKind(sent, expected, apiVersion, bytes);
  const { object, unknown } = decoded(expected, value ?? {}, apiVersion);
  const unreadable = expected.unreadable?.(object as never);
  if (unreadable !== undefined) throw cannotBeHandled(expected, expected.kind, unreadable);
  const problems = found ?? strictProblems(duplicates, unknown, expected.decode ? undefined : text);
  if (problems.length > 0 && validation === "Strict") throw cannotBeHandled(expected, expected.kind, strictProblem(yamlAsOne(problems)));
  if (validation === "Warn") problems.forEach(warn);
  const whole = object as unknown as KubernetesObject;
  const named = expected.decode !== undefined || (whole.kind === expected.kind && whole.apiVersion === apiVersion);
  if (named && whole.metadata !== undefined) return withSentOwners(whole, value);
  const { metadata, ...rest } = whole;
  if (expected.decode) return { ...rest, metadata: {} as ObjectMeta };
  return { ...rest, kind: expected.kind, apiVersion, metadata: (metadata ?? {}) as ObjectMeta };
}

/**
 * Of built-in kinds in JSON, problems come as Go's decoder meets them: in the order of the text, and nothing is looked for in a
 * field that is not known. Repeated fields of YAML and of custom objects are found by a pass of their own, before the rest.
 */
function strictProblems(duplicates: readonly string[], unknown: readonly string[], text: string | undefined): readonly string[] {
  if (text === undefined || duplicates.length === 0 || unknown.length === 0)
    return [...duplicates.map(repeatedField), ...unknown.map(unknownField)];
  const isWithin = (path: string): boolean => unknown.some((outer) => path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`));
  return inTextOrder(text, new Set(unknown))
    .filter(({ path }) => !isWithin(path))
    .map(({ path, repeated }) => (repeated ? duplicateField(path) : unknownField(path)));
}

/** Repeated keys of YAML are told in the words of its parser. */
const repeatedField = (found: string): string => (/^line \d+: key /.test(found) ? found : duplicateField(found));

/** The parser's words are one error with a line for each repeated key; in warnings each is one of its own. */
function yamlAsOne(problems: readonly string[]): readonly string[] {
  const isYaml = (problem: string): boolean => /^line \d+: key /.test(problem);
  const lines = problems.filter(isYaml).map((problem) => `  ${problem}`);
  if (lines.length === 0) return problems;
  return [["yaml: unmarshal errors:", ...lines].join("\n"), ...problems.filter((problem) => !isYaml(problem))];
}

const versionOf = ({ group, version }: ExpectedKind): string => (group === "" ? version : `${group}/${version}`);

function schemaOf({ schema, kind }: ExpectedKind, apiVersion: string): ObjectSchema | undefined {
  return schema === undefined ? schemaOfKind(apiVersion, kind) : builtInSchemas.get(schema);
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

const textOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(withPlainNumbers(value)));

function checkKind(sent: Sent, expected: ExpectedKind, apiVersion: string, bytes?: Uint8Array): void {
  const kind = typeof sent.kind === "string" && sent.kind !== "" ? sent.kind : expected.kind;
  const sentVersion = typeof sent.apiVersion === "string" && sent.apiVersion !== "" ? sent.apiVersion : apiVersion;
  if (sentVersion.split("/").length > 2)
    throw unrecognized(expected.kind, `unexpected GroupVersion string: ${sentVersion}`, bytes ?? textOf(sent));
  if (expected.decode && bytes && !sent.kind)
    throw unrecognized(expected.kind, `Object 'Kind' is missing in '${utf8.decode(bytes)}'`, bytes);
  if (expected.decode && sentVersion !== apiVersion)
    throw badRequest(`the API version in the data (${sentVersion}) does not match the expected API version (${apiVersion})`);
  // Another kind is refused by validation where it is a custom one.
  if (expected.decode) return;
  if (kind === expected.kind && (sentVersion === apiVersion || expected.alsoVersions?.includes(sentVersion))) return;
  const version = sentVersion.slice(sentVersion.indexOf("/") + 1);
  const problem = bytes && problemAsSent(sent, sentVersion, kind);
  throw cannotBeHandled({ version, kind }, expected.kind, problem ?? otherKindProblem({ apiVersion: sentVersion, kind }, expected));
}

/** What is read as the kind that it says it is may be wrong as such. */
function problemAsSent(sent: Sent, apiVersion: string, kind: string): string | undefined {
  const schema = schemaOfKind(apiVersion, kind);
  if (!schema) return undefined;
  try {
    decodeObject(schema, sent);
    return undefined;
  } catch (error) {
    if (error instanceof DecodeError) return error.message;
    throw error;
  }
}

/** Why an object of another kind or version cannot be taken for one of the expected. */
export function otherKindProblem(
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
  expected: ExpectedKind,
): string {
  const known = schemaOfKind(apiVersion, kind) !== undefined || (apiVersion === "v1" && kind === "List");
  const internal = expected.group === "" ? "core" : (expected.group.split(".")[0] ?? "");
  return known
    ? `converting (${apiVersion.slice(apiVersion.indexOf("/") + 1)}.${kind}) to (${internal}.${expected.kind}): unknown conversion`
    : `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/api/legacyscheme/scheme.go:30"`;
}

/** Kinds that every scheme knows. */
const unversionedKinds: ReadonlySet<string> = new Set(["Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList"]);

const metaScheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";

/** DeleteOptions: of the body where there is one, else of the query. */
export async function readDeleteOptions(context: RequestContext): Promise<DeleteOptions> {
  const { request } = context;
  const value = await readDeleteBody(context);
  if (value === undefined || value === null) return checkDeleteOptions(deleteOptionsOf(request.query));
  checkOptionsKind(value);
  try {
    const { object } = decodeObject(builtInSchemas.get("meta-v1.DeleteOptions"), value);
    // As upstream has it in its memory.
    if (context.auditBody) context.auditBody.value = { ...object, kind: "DeleteOptions", apiVersion: "meta.k8s.io/__internal" };
    return checkDeleteOptions(object as DeleteOptions);
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(error.message);
    throw error;
  }
}

/** Throws where the body does not say that it is DeleteOptions of some version; nothing said is DeleteOptions of the meta API. */
function checkOptionsKind(value: unknown): void {
  const problem = typeProblem(value);
  if (problem !== undefined) throw badRequest(problem);
  const { kind = "", apiVersion = "" } = value as { readonly kind?: string; readonly apiVersion?: string };
  if (apiVersion.split("/").length > 2) throw badRequest(`unexpected GroupVersion string: ${apiVersion}`);
  if (kind === "" || kind === "DeleteOptions") return;
  if (apiVersion === "v1" && unversionedKinds.has(kind))
    throw badRequest(`converting (v1.${kind}) to (v1.DeleteOptions): unknown conversion`);
  const version = apiVersion === "" ? "meta.k8s.io/v1" : apiVersion;
  throw badRequest(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme "${metaScheme}"`);
}

async function readDeleteBody(context: RequestContext): Promise<unknown> {
  const { request } = context;
  const { body } = request;
  if (body.kind === "value") return body.value;
  const bytes = body.kind === "none" ? nothing : await body.read(maxBodyBytes);
  context.bodyBytes = bytes.length;
  if (bytes.length === 0) return undefined;
  const encoding = negotiateInput(request);
  if (encoding === "protobuf") return readProtobufDeleteOptions(bytes);
  if (encoding === "cbor" && request.cbor) return readCborDeleteOptions(bytes, request.cbor);
  const text = utf8.decode(bytes);
  if (encoding === "yaml") return (await parseYamlBody(text, "DeleteOptions")).value;
  try {
    return parseJson(text).value;
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw badRequest(`couldn't get version/kind; json parse error: ${error.message}`);
    throw error;
  }
}

function readProtobufDeleteOptions(bytes: Uint8Array): unknown {
  return orWireProblem(() => {
    const { message, apiVersion, kind } = readEnvelope(bytes);
    // A kind that was not sent is the expected one; another is for the caller to refuse.
    const type = { ...(apiVersion === "" ? {} : { apiVersion }), ...(kind === "" ? {} : { kind }) };
    const isOptions = kind === "" || kind === "DeleteOptions";
    return isOptions ? { ...decodeMessage(builtInSchemas.get("meta-v1.DeleteOptions"), message), ...type } : type;
  }, badRequest);
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
  const bytes = body.kind === "none" ? nothing : await body.read(maxBodyBytes);
  context.bodyBytes = bytes.length;
  if (content !== "apply in CBOR" || !cbor) return { text: utf8.decode(bytes) };
  return {
    value: orCborProblem(
      () => cbor.read(bytes, undefined),
      cbor,
      (problem) => badRequest(`error decoding YAML: ${problem}`),
    ).value,
  };
}

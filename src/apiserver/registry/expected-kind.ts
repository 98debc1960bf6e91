// What kind a body has to be, and whether what it says of itself is that: in upstream's words where it is not.
import { cannotBeHandled, type Decoded, DecodeError, decodeObject } from "../../api/encode/decode.ts";
import { withPlainNumbers } from "../../api/encode/json-text.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import type { GroupVersionKind } from "../../api/resource-type.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind } from "../../api/schema/schema.ts";

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

export interface Sent {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
}

/** A group that is empty may be written or left out: "/v1" is "v1". */
export const withoutEmptyGroup = (apiVersion: string): string => apiVersion.replace(/^\/(?=[^/]+$)/, "");

export function schemaOf({ schema, kind }: ExpectedKind, apiVersion: string): ObjectSchema | undefined {
  return schema === undefined ? schemaOfKind(apiVersion, kind) : builtInSchemas.get(schema);
}

export function checkKind(sent: Sent, expected: ExpectedKind, apiVersion: string, bytes?: Uint8Array): void {
  const kind = typeof sent.kind === "string" && sent.kind !== "" ? sent.kind : expected.kind;
  const sentVersion = typeof sent.apiVersion === "string" && sent.apiVersion !== "" ? withoutEmptyGroup(sent.apiVersion) : apiVersion;
  if (sentVersion.split("/").length > 2)
    throw unrecognized(expected.kind, `unexpected GroupVersion string: ${sentVersion}`, bytes ?? textOf(sent));
  if (expected.decode && bytes && !sent.kind)
    throw unrecognized(expected.kind, `Object 'Kind' is missing in '${Buffer.from(bytes).toString()}'`, bytes);
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

export const textOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(withPlainNumbers(value)));

const summaryBytes = 30;

export function unrecognized(kind: string, problem: string, bytes: Uint8Array): Error {
  const head = Buffer.from(bytes.subarray(0, summaryBytes));
  const more = bytes.length > summaryBytes ? " ..." : "";
  const summary = bytes.length === 0 ? "<empty>" : bytes[0] === "{".charCodeAt(0) ? head.toString() : head.toString("hex");
  return badRequest(`the object provided is unrecognized (must be of type ${kind}): ${problem} (${summary}${more})`);
}

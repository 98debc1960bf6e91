// DeleteOptions as a request has them: in its body, in any encoding, or in its query.
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import { DecodeError, decodeObject } from "../../api/encode/decode.ts";
import { JsonSyntaxError, parseJson } from "../../api/encode/json-text.ts";
import { readEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { decodeMessage } from "../../api/encode/protobuf/message.ts";
import { typeProblem } from "../../api/encode/type-meta.ts";
import { badRequest } from "../../api/meta/status-error.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { DeleteOptions } from "../../api/types/meta-v1.ts";
import { negotiateInput } from "../http/negotiate.ts";
import type { RequestContext } from "../request.ts";
import { orCborProblem, orWireProblem, parseYamlBody, readBytes, undetermined, utf8 } from "./parse-body.ts";
import { checkDeleteOptions, deleteOptionsOf } from "./request-options.ts";

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
  const bytes = await readBytes(context, body);
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

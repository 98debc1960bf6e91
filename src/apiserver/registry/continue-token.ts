// The continue token of a limited list, in upstream's form: base64url JSON with the revision of the first page and the key
// from which to go on, below the prefix that is listed. A revision of -1 goes on in the present state.
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import { badRequest } from "../../api/meta/status-error.ts";

export interface ContinueToken {
  readonly revision: number;
  /** First key of the rest, relative to the listed prefix. */
  readonly start: string;
}

const tokenVersion = "meta.k8s.io/v1";

export function encodeContinue({ revision, start }: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: tokenVersion, rv: revision, start })).toString("base64url");
}

/** Throws 400 with upstream's texts. */
export function decodeContinue(text: string): ContinueToken {
  const { v, rv, start } = parse(text);
  if (v !== tokenVersion) throw invalidToken(`server does not recognize this encoded version ${String(v ?? "")}`);
  if (typeof rv !== "number" || rv === 0) throw invalidToken("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (typeof start !== "string" || start === "") throw invalidToken("encoded start key empty (version meta.k8s.io/v1)");
  // The key is appended to the listed prefix: it must not lead out of it.
  if (start.split("/").some((part) => part === "." || part === "..")) throw invalidToken(`${start}`);
  return { revision: rv, start };
}

/** As Go calls them. */
const jsonTypes: Readonly<Record<string, string>> = { boolean: "bool", bigint: "number" };

function parse(text: string): { readonly v?: unknown; readonly rv?: unknown; readonly start?: unknown } {
  const broken = text.search(/[^A-Za-z0-9_-]/);
  const at = broken >= 0 ? broken : text.length % 4 === 1 ? text.length - 1 : -1;
  if (at >= 0) throw invalidToken(`illegal base64 data at input byte ${at}`);
  try {
    // Keys are ASCII; of other bytes Go's parser names one alone.
    const { value } = parseJson(Buffer.from(text, "base64url").toString("latin1"));
    if (value === null) return {};
    if (typeof value === "object" && !Array.isArray(value)) return withPlainNumbers(value) as Record<string, unknown>;
    const what = Array.isArray(value) ? "array" : jsonTypes[typeof value];
    throw invalidToken(`json: cannot unmarshal ${what ?? typeof value} into Go value of type storage.continueToken`);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw invalidToken(error.message);
    throw error;
  }
}

function invalidToken(why: string): Error {
  return badRequest(`invalid continue token: continue key is not valid: ${why}`);
}

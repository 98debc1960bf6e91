// The continue token of a limited list, in upstream's form: base64url JSON with the revision of the first page and the key
// from which to go on, below the prefix that is listed. A revision of -1 goes on in the present state.
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
  if (v !== tokenVersion) throw invalidToken(`server does not recognize this encoded version ${JSON.stringify(v ?? "")}`);
  if (typeof rv !== "number" || rv === 0) throw invalidToken("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (typeof start !== "string" || start === "") throw invalidToken("encoded start key empty (version meta.k8s.io/v1)");
  // The key is appended to the listed prefix: it must not lead out of it.
  if (start.split("/").some((part) => part === "." || part === "..")) throw invalidToken(`${start}`);
  return { revision: rv, start };
}

function parse(text: string): { readonly v?: unknown; readonly rv?: unknown; readonly start?: unknown } {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw invalidToken("illegal base64 data or JSON");
}

function invalidToken(why: string): Error {
  return badRequest(`continue key is not valid: ${why}`);
}

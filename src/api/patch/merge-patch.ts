// JSON Merge Patch (RFC 7386) as the API server applies it: null removes, objects merge, everything else replaces. What
// the patch does not touch is shared with the old document.
import { badRequest } from "../meta/status-error.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Checks that a decoded body is a merge patch; throws the 400 that upstream answers. */
export function checkMergePatch(patch: unknown): JsonObject {
  if (isObject(patch)) return patch;
  if (patch === null) throw badRequest("Invalid JSON Patch");
  const kind = Array.isArray(patch) ? "array" : typeof patch === "boolean" ? "bool" : typeof patch;
  throw badRequest(`error decoding patch: json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`);
}

/** The document with the patch applied; the same reference when the patch changes nothing. */
export function applyMergePatch<T extends object>(document: T, patch: JsonObject): T {
  return merge(document as JsonObject, patch) as T;
}

function merge(document: JsonObject, patch: JsonObject): JsonObject {
  let result: Record<string, unknown> | undefined;
  for (const [key, change] of Object.entries(patch)) {
    const present = Object.hasOwn(document, key);
    const current = present ? document[key] : undefined;
    if (change === null) {
      if (!present) continue;
      result ??= { ...document };
      delete result[key];
      continue;
    }
    const next = isObject(current) ? (isObject(change) ? merge(current, change) : change) : withoutNulls(change);
    if (present && next === current) continue;
    result ??= { ...document };
    if (key === "__proto__") Object.defineProperty(result, key, { value: next, writable: true, enumerable: true, configurable: true });
    else result[key] = next;
  }
  return result ?? document;
}

/** Where nothing was, null has nothing to remove: it is dropped from objects, though not from lists. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== null)
      .map(([k, v]) => [k, withoutNulls(v)]),
  );
}

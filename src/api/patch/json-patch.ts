// JSON Patch (RFC 6902) as the API server applies it. The semantics are those of the library upstream uses: negative
// array indices count from the end, "replace" and "copy" accept an absent object key, "test" takes an absent value for
// null. Refusals are Status errors: what the patch asks in vain is a 422 whose message tells nothing (as upstream's), with
// the reason as its cause.
import { badRequest, StatusError } from "../meta/status-error.ts";

export interface JsonPatchOperation {
  readonly op: string;
  readonly path?: string;
  readonly from?: string;
  readonly value?: unknown;
}

type Container = Record<string, unknown> | unknown[];

const maxOperations = 10_000;

/** Why an operation does not apply. */
class Inapplicable extends Error {}

/** Checks that a decoded body is a JSON patch; throws the 400 or 413 that upstream answers. */
export function checkJsonPatch(patch: unknown): readonly JsonPatchOperation[] {
  if (!Array.isArray(patch))
    throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(patch)} into Go value of type []handlers.jsonPatchOp`);
  for (const operation of patch)
    if (typeof operation !== "object" || operation === null || Array.isArray(operation))
      throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(operation)} into Go value of type handlers.jsonPatchOp`);
  if (patch.length > maxOperations)
    throw new StatusError({
      code: 413,
      reason: "RequestEntityTooLarge",
      message: `Request entity is too large: The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    });
  return patch as JsonPatchOperation[];
}

/** What Go calls the kind of a JSON value. */
function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

const operationFields = new Set(["op", "path", "from", "value"]);

/** Unknown fields of the operations, as strict field validation reports them. */
export function unknownJsonPatchFields(patch: readonly JsonPatchOperation[]): string[] {
  return patch.flatMap((operation, i) =>
    Object.keys(operation)
      .filter((field) => !operationFields.has(field))
      .map((field) => `json patch unknown field "[${i}].${field}"`),
  );
}

/** Applies the operations in order and returns the new document; the given one stays as it is. All or nothing. */
export function applyJsonPatch(document: unknown, patch: readonly JsonPatchOperation[]): unknown {
  const draft = new Draft(document);
  try {
    for (const operation of patch) draft.apply(operation);
  } catch (error) {
    if (!(error instanceof Inapplicable)) throw error;
    throw new StatusError(
      { code: 422, reason: "Invalid", message: "the server rejected our request due to an error in our request", details: {} },
      { cause: error },
    );
  }
  return draft.root;
}

/** A document under change: containers are copied when they are first written to. */
class Draft {
  root: unknown;
  readonly #owned = new WeakSet<object>();

  constructor(root: unknown) {
    this.root = root;
  }

  apply(operation: JsonPatchOperation): void {
    const { op, value = null } = operation;
    const path = pointer(operation, "path");
    switch (op) {
      case "add":
        insert(this.#parent(path, op), path, value);
        break;
      case "remove":
        remove(this.#parent(path, op), path);
        break;
      case "replace":
        this.#replace(path, value);
        break;
      case "move": {
        const from = pointer(operation, "from");
        const moved = remove(this.#parent(from, op), from);
        insert(this.#parent(path, op), path, moved);
        break;
      }
      case "copy": {
        const copied = this.#read(pointer(operation, "from"), op) ?? null;
        this.#disown(copied);
        insert(this.#parent(path, op), path, copied);
        break;
      }
      case "test": {
        const actual = path === "" ? this.root : this.#read(path, op);
        if (!jsonEqual(actual ?? null, value)) throw new Inapplicable(`testing value ${path} failed: test failed`);
        break;
      }
      default:
        throw new Inapplicable(`Unexpected kind: ${op ?? "unknown"}`);
    }
  }

  #replace(path: string, value: unknown): void {
    if (path === "") {
      if (typeof value !== "object" || value === null) throw new Inapplicable("replace operation value must be object or array");
      this.root = value;
      return;
    }
    const parent = this.#parent(path, "replace");
    const key = lastKey(path);
    if (!Array.isArray(parent)) setKey(parent, key, value);
    else parent[arrayIndex(key, parent.length, path)] = value;
  }

  #read(path: string, op: string): unknown {
    const parent = this.#parent(path, op);
    const key = lastKey(path);
    if (Array.isArray(parent)) return parent[arrayIndex(key, parent.length, path)];
    return Object.hasOwn(parent, key) ? parent[key] : undefined;
  }

  /** The container that a path's last key belongs to, ready to be written to. */
  #parent(path: string, op: string): Container {
    const missing = (): Inapplicable =>
      new Inapplicable(`${op} operation does not apply: doc is missing path: ${JSON.stringify(path)}: missing value`);
    const keys = path.split("/").slice(1, -1).map(unescapeKey);
    if (!path.includes("/") || !isContainer(this.root)) throw missing();
    let container = this.#own(this.root);
    this.root = container;
    for (const key of keys) {
      const index = Array.isArray(container) ? existingIndex(key, container.length) : undefined;
      const next = Array.isArray(container) ? container[index ?? -1] : Object.hasOwn(container, key) ? container[key] : undefined;
      if (!isContainer(next)) throw missing();
      const owned = this.#own(next);
      if (!Array.isArray(container)) setKey(container, key, owned);
      else if (index !== undefined) container[index] = owned;
      container = owned;
    }
    return container;
  }

  #own(container: Container): Container {
    if (this.#owned.has(container)) return container;
    const copy = Array.isArray(container) ? [...container] : { ...container };
    this.#owned.add(copy);
    return copy;
  }

  /** After a copy two places share a value: both must copy it before writing. */
  #disown(value: unknown): void {
    if (!isContainer(value) || !this.#owned.delete(value)) return;
    for (const child of Object.values(value)) this.#disown(child);
  }
}

const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;

function pointer(operation: JsonPatchOperation, field: "path" | "from"): string {
  const value = operation[field];
  if (typeof value !== "string") throw new Inapplicable(`${operation.op} operation failed to decode ${field}: missing value`);
  return value;
}

function lastKey(path: string): string {
  return unescapeKey(path.slice(path.lastIndexOf("/") + 1));
}

function unescapeKey(key: string): string {
  return key.includes("~") ? key.replace(/~[01]/g, (escaped) => (escaped === "~1" ? "/" : "~")) : key;
}

/** Keys such as "__proto__" are ordinary keys here. */
function setKey(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

function insert(container: Container, path: string, value: unknown): void {
  const key = lastKey(path);
  if (!Array.isArray(container)) setKey(container, key, value);
  else if (key === "-") container.push(value);
  else container.splice(arrayIndex(key, container.length + 1, path), 0, value);
}

function remove(container: Container, path: string): unknown {
  const key = lastKey(path);
  if (Array.isArray(container)) return container.splice(arrayIndex(key, container.length, path), 1)[0];
  if (!Object.hasOwn(container, key))
    throw new Inapplicable(`error in remove for path: '${path}': Unable to remove nonexistent key: ${key}: missing value`);
  const removed = container[key];
  delete container[key];
  return removed;
}

function existingIndex(key: string, length: number): number | undefined {
  if (!/^[+-]?\d+$/.test(key)) return undefined;
  const index = Number(key);
  const fromStart = index < 0 ? index + length : index;
  return fromStart >= 0 && fromStart < length ? fromStart : undefined;
}

function arrayIndex(key: string, length: number, path: string): number {
  const index = existingIndex(key, length);
  if (index === undefined)
    throw new Inapplicable(`error for path: '${path}': Unable to access invalid index: ${key}: invalid index referenced`);
  return index;
}

/** Equality of JSON values; the order of keys does not matter. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => jsonEqual(item, b[i]));
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => Object.hasOwn(right, key) && jsonEqual(left[key], right[key]));
}

// JSON Patch (RFC 6902) as the API server applies it. The semantics are those of the library upstream uses: negative
// array indices count from the end, "replace" and "copy" accept an absent object key, "test" takes an absent value for
// null. Refusals are Status errors: what the patch asks in vain is a 422 whose message tells nothing (as upstream's), with
// the reason as its cause.

import { nestsDeeper } from "../encode/nesting.ts";
import { badRequest, StatusError } from "../meta/status-error.ts";

export interface JsonPatchOperation {
  readonly op: string;
  readonly path?: string;
  readonly from?: string;
  readonly value?: unknown;
}

type Container = Record<string, unknown> | unknown[];

const maxOperations = 10_000;
/** What the "copy" operations of a patch may add together, in characters of JSON. */
const maxCopied = 3 * 1024 * 1024;

/** Why an operation does not apply. */
class Inapplicable extends Error {}

/** Checks that a decoded body is a JSON patch; throws the 400 or 413 that upstream answers. */
export function checkJsonPatch(patch: unknown): readonly JsonPatchOperation[] {
  if (patch === null) return [];
  if (!Array.isArray(patch))
    throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(patch)} into Go value of type []handlers.jsonPatchOp`);
  for (const operation of patch) {
    if (typeof operation !== "object" || operation === null || Array.isArray(operation))
      throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(operation)} into Go value of type handlers.jsonPatchOp`);
    checkTexts(operation as Readonly<Record<string, unknown>>);
  }
  if (patch.length > maxOperations)
    throw new StatusError({
      code: 413,
      reason: "RequestEntityTooLarge",
      message: `Request entity too large: The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    });
  return patch as JsonPatchOperation[];
}

/** What is read as text is nothing else; null is as good as absent. */
function checkTexts(operation: Readonly<Record<string, unknown>>): void {
  for (const field of ["op", "path", "from"]) {
    const value = operation[field];
    if (value === undefined || value === null || typeof value === "string") continue;
    const target = `Go struct field jsonPatchOp.${field} of type string`;
    throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(value)} into ${target}`);
  }
}

/** What Go calls the kind of a JSON value. */
function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}

const operationFields = new Set(["op", "path", "from", "value"]);

/** Paths of the operations' unknown fields ("[0].foo"), which strict field validation tells of. */
export function unknownJsonPatchFields(patch: readonly JsonPatchOperation[]): string[] {
  return patch.flatMap((operation, i) =>
    Object.keys(operation)
      .filter((field) => !operationFields.has(field))
      .map((field) => `[${i}].${field}`),
  );
}

/** Applies the operations in order and returns the new document; the given one stays as it is. All or nothing. */
export function applyJsonPatch(document: unknown, patch: readonly JsonPatchOperation[]): unknown {
  const draft = new Draft(document);
  try {
    for (const operation of patch) draft.apply(operation);
    if (nestsDeeper(draft.root)) throw new Inapplicable("the result nests too deep");
  } catch (error) {
    if (!(error instanceof Inapplicable)) throw error;
    throw new StatusError(
      { code: 422, reason: "Invalid", message: "the server rejected our request due to an error in our request", details: {} },
      { cause: error },
    );
  }
  return draft.root;
}

const operationKinds: ReadonlySet<unknown> = new Set(["add", "remove", "replace", "move", "copy", "test"]);

/** A document under change: containers are copied when they are first written to. */
class Draft {
  root: unknown;
  readonly #owned = new WeakSet<object>();
  #copied = 0;

  constructor(root: unknown) {
    this.root = root;
  }

  apply(operation: JsonPatchOperation): void {
    // Patches of webhooks come unchecked: an operation may be null, and its kind anything.
    const { op, value = null } = (operation as JsonPatchOperation | null) ?? ({} as JsonPatchOperation);
    if (!operationKinds.has(op)) throw new Inapplicable(`Unexpected kind: ${typeof op === "string" ? op : "unknown"}`);
    const path = pointer(operation, "path");
    switch (op) {
      case "add":
        this.#insert(path, value, { missing: `doc is missing path: "${path}"`, op, place: `error in add for path: '${path}'` });
        break;
      case "remove":
        this.#remove(path, { missing: `doc is missing path: "${path}"`, op, place: `error in remove for path: '${path}'` });
        break;
      case "replace":
        this.#replace(path, value);
        break;
      case "move": {
        const from = pointer(operation, "from");
        const place = `error in move for path: '${lastKey(from)}'`;
        const moved = this.#remove(from, { missing: `doc is missing from path: ${from}`, op, place });
        this.#insert(path, moved, { missing: destination(path), op, place: `error in move for path: '${path}'` });
        break;
      }
      case "copy": {
        const from = pointer(operation, "from");
        const texts = { missing: `doc is missing from path: ${from}`, op, place: `error in copy for from: '${from}'` };
        this.#read(from, texts);
        // The way to the place is opened first: a value that is copied into itself is copied as it is then.
        this.#parent(path, { op, missing: destination(path) });
        const copied = this.#read(from, texts) ?? null;
        this.#countCopied(copied);
        this.#disown(copied);
        this.#insert(path, copied, { missing: destination(path), op, place: "error while adding value during copy" });
        break;
      }
      case "test": {
        const texts = { missing: `is missing path: ${path}`, op, place: `error in test for path: '${path}'` };
        const actual = path === "" ? this.root : this.#read(path, texts);
        if (!jsonEqual(actual ?? null, value)) throw new Inapplicable(`testing value ${path} failed: test failed`);
        break;
      }
    }
  }

  #replace(path: string, value: unknown): void {
    if (path === "") {
      if (typeof value !== "object" || value === null)
        throw new Inapplicable("replace operation value must be object or array: %!w(<nil>)");
      this.root = value;
      return;
    }
    const parent = this.#parent(path, { op: "replace", missing: `doc is missing path: ${path}` });
    const key = lastKey(path);
    if (!Array.isArray(parent)) {
      setKey(parent, key, value);
      return;
    }
    const index = existingIndex(key, parent.length);
    if (index === undefined) throw new Inapplicable(`replace operation does not apply: doc is missing key: ${path}: missing value`);
    parent[index] = value;
  }

  #read(path: string, texts: ProblemTexts): unknown {
    const parent = this.#parent(path, texts);
    const key = lastKey(path);
    if (Array.isArray(parent)) return parent[placed(texts, () => arrayIndex(key, parent.length))];
    return Object.hasOwn(parent, key) ? parent[key] : undefined;
  }

  #insert(path: string, value: unknown, texts: ProblemTexts): void {
    const parent = this.#parent(path, texts);
    placed(texts, () => insert(parent, lastKey(path), value));
  }

  #remove(path: string, texts: ProblemTexts): unknown {
    const parent = this.#parent(path, texts);
    return placed(texts, () => remove(parent, lastKey(path)));
  }

  /** The container that a path's last key belongs to, ready to be written to. */
  #parent(path: string, texts: Pick<ProblemTexts, "op" | "missing">): Container {
    const missing = (): Inapplicable => new Inapplicable(`${texts.op} operation does not apply: ${texts.missing}: missing value`);
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

  /** A value copied into itself again and again doubles each time: what is shared here is written out in the end. */
  #countCopied(value: unknown): void {
    if (nestsDeeper(value)) throw new Inapplicable("the copied value nests too deep");
    this.#copied += JSON.stringify(value).length;
    if (this.#copied > maxCopied)
      throw new Inapplicable(
        `Unable to complete the copy, the accumulated size increase of copy is ${this.#copied}, exceeding the limit ${maxCopied}`,
      );
  }

  /** After a copy two places share a value: both must copy it before writing. */
  #disown(value: unknown): void {
    if (!isContainer(value) || !this.#owned.delete(value)) return;
    for (const child of Object.values(value)) this.#disown(child);
  }
}

/** What is said where an operation cannot be. */
interface ProblemTexts {
  readonly op: string;
  /** Of a path that leads nowhere. */
  readonly missing: string;
  /** In front of what a container says. */
  readonly place: string;
}

const destination = (path: string): string => `doc is missing destination path: ${path}`;

function placed<T>({ place }: ProblemTexts, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof Inapplicable ? new Inapplicable(`${place}: ${error.message}`) : error;
  }
}

const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;

function pointer(operation: JsonPatchOperation, field: "path" | "from"): string {
  const value = operation[field];
  if (typeof value === "string") return value;
  let why = field === "path" ? "missing value" : "operation, missing from field: missing value";
  if (field === "from" && value !== undefined && value !== null)
    why = `json: cannot unmarshal ${goKind(value)} into Go value of type string`;
  throw new Inapplicable(`${operation.op} operation failed to decode ${field}: ${why}`);
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

function insert(container: Container, key: string, value: unknown): void {
  if (!Array.isArray(container)) setKey(container, key, value);
  else if (key === "-") container.push(value);
  else container.splice(arrayIndex(key, container.length + 1, `value was not a proper array index: '${key}': `), 0, value);
}

function remove(container: Container, key: string): unknown {
  if (Array.isArray(container)) return container.splice(arrayIndex(key, container.length), 1)[0];
  if (!Object.hasOwn(container, key)) throw new Inapplicable(`Unable to remove nonexistent key: ${key}: missing value`);
  const removed = container[key];
  delete container[key];
  return removed;
}

const integer = /^[+-]?\d+$/;

function existingIndex(key: string, length: number): number | undefined {
  if (!integer.test(key)) return undefined;
  const index = Number(key);
  const fromStart = index < 0 ? index + length : index;
  return fromStart >= 0 && fromStart < length ? fromStart : undefined;
}

/** `noNumber`: in front of the problem of a key that is no number. */
function arrayIndex(key: string, length: number, noNumber = ""): number {
  const index = existingIndex(key, length);
  if (index !== undefined) return index;
  if (!integer.test(key)) throw new Inapplicable(`${noNumber}strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`);
  throw new Inapplicable(`Unable to access invalid index: ${Number(key)}: invalid index referenced`);
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

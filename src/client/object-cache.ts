// The store of an informer: objects by key, with indexes kept up to date as they change. What it hands out are the shared,
// immutable objects themselves. An object that an index cannot read is in the store all the same, only not found by that index.
import { type KubernetesObject, keyOf } from "../api/meta/object.ts";
import type { IndexFunction, Lister } from "./informer.ts";

interface Index<T> {
  readonly valuesOf: IndexFunction<T>;
  readonly objects: Map<string, Map<string, T>>;
}

interface NamedIndex<T> extends Index<T> {
  /** As it was given. */
  readonly of: IndexFunction<T>;
}

export class ObjectCache<T extends KubernetesObject> implements Lister<T> {
  readonly #objects = new Map<string, T>();
  readonly #namespaces: Index<T> = { valuesOf: (object) => [object.metadata.namespace ?? ""], objects: new Map() };
  readonly #indexes = new Map<string, NamedIndex<T>>();
  readonly #unreadable: (index: string, key: string, error: unknown) => void;

  /** `unreadable` is told of objects that an index cannot read; default it throws. */
  constructor(unreadable: (index: string, key: string, error: unknown) => void = rethrow) {
    this.#unreadable = unreadable;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): Iterable<T> {
    return this.#objects.values();
  }

  keys(): Iterable<string> {
    return this.#objects.keys();
  }

  inNamespace(namespace: string): readonly T[] {
    return valuesAt(this.#namespaces, namespace);
  }

  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`there is no index "${name}"`);
    return valuesAt(index, value);
  }

  /** Adds an index over what is there and what will come. The same name again must be the same function. */
  addIndex(name: string, valuesOf: IndexFunction<T>): void {
    const known = this.#indexes.get(name);
    if (known && known.of !== valuesOf) throw new Error(`the index "${name}" exists with another function`);
    if (known) return;
    const index: NamedIndex<T> = { of: valuesOf, valuesOf: (object) => this.#valuesOf(name, valuesOf, object), objects: new Map() };
    for (const [key, object] of this.#objects) insert(index, key, object);
    this.#indexes.set(name, index);
  }

  #valuesOf(name: string, valuesOf: IndexFunction<T>, object: T): readonly string[] {
    try {
      return valuesOf(object);
    } catch (error) {
      this.#unreadable(name, keyOf(object), error);
      return [];
    }
  }

  /** Stores the object under its key and returns what it replaces. */
  set(object: T, key = keyOf(object)): T | undefined {
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    insertAt(this.#namespaces, object.metadata.namespace ?? "", key, object);
    for (const index of this.#indexes.values()) replace(index, key, object, previous);
    return previous;
  }

  delete(key: string): T | undefined {
    const previous = this.#objects.get(key);
    if (!previous) return undefined;
    this.#objects.delete(key);
    remove(this.#namespaces, key, previous);
    for (const index of this.#indexes.values()) remove(index, key, previous);
    return previous;
  }
}

function rethrow(_index: string, _key: string, error: unknown): never {
  throw error;
}

function valuesAt<T>(index: Index<T>, value: string): readonly T[] {
  const found = index.objects.get(value);
  return found ? [...found.values()] : [];
}

function replace<T>(index: Index<T>, key: string, object: T, previous: T | undefined): void {
  if (previous !== undefined) {
    const before = index.valuesOf(previous);
    const after = index.valuesOf(object);
    for (const value of before) if (!after.includes(value)) removeAt(index, value, key);
    for (const value of after) insertAt(index, value, key, object);
  } else {
    insert(index, key, object);
  }
}

function insert<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) insertAt(index, value, key, object);
}

function remove<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) removeAt(index, value, key);
}

function insertAt<T>(index: Index<T>, value: string, key: string, object: T): void {
  const objects = index.objects.get(value);
  if (objects) objects.set(key, object);
  else index.objects.set(value, new Map([[key, object]]));
}

function removeAt<T>(index: Index<T>, value: string, key: string): void {
  const objects = index.objects.get(value);
  if (!objects) return;
  objects.delete(key);
  if (objects.size === 0) index.objects.delete(value);
}

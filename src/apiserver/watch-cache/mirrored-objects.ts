// The present objects of one resource in key order, with the indexes over them and those who follow their changes: the part of a
// watch cache that knows nothing of revisions and the past.
import type { Logger } from "../../base/log.ts";
import { SortedMap } from "../../base/sorted-map.ts";
import { prefixEnd } from "../../storage/store.ts";
import { CacheIndex } from "./cache-index.ts";
import type { ObjectVersion } from "./object-version.ts";
import type { ResourceFigures } from "./resource-figures.ts";
import type { CacheScope, FieldTerm, FieldValue } from "./watcher.ts";

/** Called after the objects have changed. One of the two versions may be absent. */
export type ChangeListener = (current: ObjectVersion | undefined, previous: ObjectVersion | undefined) => void;

export interface MirroredObjectsDependencies {
  readonly log: Logger;
  /** Where the bytes of the objects are counted. */
  readonly figures: ResourceFigures;
  /** "/registry/pods/". */
  readonly prefix: string;
}

export class MirroredObjects {
  readonly #deps: MirroredObjectsDependencies;
  readonly #byKey = new SortedMap<ObjectVersion>();
  readonly #indexes = new Set<CacheIndex>();
  readonly #fieldIndexes = new Map<FieldValue, CacheIndex>();
  readonly #listeners = new Set<ChangeListener>();

  constructor(deps: MirroredObjectsDependencies) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): ObjectVersion | undefined {
    return this.#byKey.get(key);
  }

  /** All objects in key order. */
  values(): Iterable<ObjectVersion> {
    return this.#byKey.between("", lastKey);
  }

  /** The objects of a scope in key order, from the key `from` on. A field of the scope is looked up in an index. */
  list(scope: CacheScope, from = ""): ObjectVersion[] {
    const { key, prefix, field, matches } = scope;
    if (key !== undefined) {
      const version = this.#byKey.get(key);
      return version && key >= from && (matches?.(version) ?? true) ? [version] : [];
    }
    if (field) {
      const found = [...this.#fieldIndex(field.fieldOf).get(field.value)];
      const selected = found.filter((v) => v.key >= from && v.key.startsWith(prefix) && (matches?.(v) ?? true));
      return selected.sort((a, b) => (a.key < b.key ? -1 : 1));
    }
    const found: ObjectVersion[] = [];
    for (const version of this.#between(prefix, from)) if (!matches || matches(version)) found.push(version);
    return found;
  }

  /** Visits the objects of a scope in key order until `visit` returns false: for limited lists. */
  walk(scope: CacheScope, from: string, visit: (version: ObjectVersion) => boolean): void {
    if (scope.key !== undefined || scope.field) {
      for (const version of this.list(scope, from)) if (!visit(version)) return;
      return;
    }
    const { matches } = scope;
    for (const version of this.#between(scope.prefix, from)) if ((!matches || matches(version)) && !visit(version)) return;
  }

  /** How many objects lie at or after `from` in a scope without selectors. */
  count(prefix: string, from: string): number {
    return this.#byKey.countBetween(from < prefix ? prefix : from, endOf(prefix));
  }

  /** How many objects have this value of a field. */
  countOf({ fieldOf, value }: FieldTerm): number {
    return this.#fieldIndex(fieldOf).count(value);
  }

  /** Keeps an index up to date from now on. */
  addIndex(valuesOf: (version: ObjectVersion) => readonly string[]): CacheIndex {
    const index = new CacheIndex(valuesOf, this.values());
    this.#indexes.add(index);
    return index;
  }

  /** Keeps no index of these fields any longer. */
  dropFieldIndexes(fields: Iterable<FieldValue>): void {
    for (const field of fields) {
      const index = this.#fieldIndexes.get(field);
      if (index) this.#indexes.delete(index);
      this.#fieldIndexes.delete(field);
    }
  }

  addListener(listener: ChangeListener): { remove(): void } {
    this.#listeners.add(listener);
    return { remove: () => void this.#listeners.delete(listener) };
  }

  /** One object has come, changed or gone. */
  put(key: string, current: ObjectVersion | undefined, previous: ObjectVersion | undefined): void {
    const { figures, log, prefix } = this.#deps;
    if (current) this.#byKey.set(key, current);
    else this.#byKey.delete(key);
    figures.bytes += (current?.storedBytes ?? 0) - (previous?.storedBytes ?? 0);
    for (const index of this.#indexes) index.update(current, previous);
    for (const listener of this.#listeners) {
      try {
        listener(current, previous);
      } catch (error) {
        log.error("A listener of the watch cache failed", { prefix, key, error });
      }
    }
  }

  /** All objects as they have been read anew: what is the same stays as it is. */
  replace(found: ReadonlyMap<string, ObjectVersion>): void {
    for (const previous of [...this.values()]) if (!found.has(previous.key)) this.put(previous.key, undefined, previous);
    for (const [key, current] of found) {
      const previous = this.#byKey.get(key);
      if (previous?.revision !== current.revision) this.put(key, current, previous);
    }
  }

  #between(prefix: string, from: string): Iterable<ObjectVersion> {
    return this.#byKey.between(from < prefix ? prefix : from, endOf(prefix));
  }

  #fieldIndex(fieldOf: FieldValue): CacheIndex {
    let index = this.#fieldIndexes.get(fieldOf);
    if (!index) {
      index = this.addIndex((version) => [fieldOf(version)]);
      this.#fieldIndexes.set(fieldOf, index);
    }
    return index;
  }
}

/** Above every key. */
const lastKey = "\uffff";

const endOf = (prefix: string): string => (prefix === "" ? lastKey : prefixEnd(prefix));

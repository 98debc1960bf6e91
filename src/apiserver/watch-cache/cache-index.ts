// An index over the objects of a watch cache: from a value to the objects that have it, kept up to date with every event.
import type { ObjectVersion } from "./object-version.ts";

export class CacheIndex {
  readonly #valuesOf: (version: ObjectVersion) => readonly string[];
  readonly #byValue = new Map<string, Map<string, ObjectVersion>>();

  constructor(valuesOf: (version: ObjectVersion) => readonly string[], versions: Iterable<ObjectVersion>) {
    this.#valuesOf = valuesOf;
    for (const version of versions) this.#add(version);
  }

  update(current: ObjectVersion | undefined, previous: ObjectVersion | undefined): void {
    if (previous) this.#remove(previous);
    if (current) this.#add(current);
  }

  /** In the order in which they came to have the value. */
  get(value: string): Iterable<ObjectVersion> {
    return this.#byValue.get(value)?.values() ?? [];
  }

  count(value: string): number {
    return this.#byValue.get(value)?.size ?? 0;
  }

  #add(version: ObjectVersion): void {
    for (const value of this.#valuesOf(version)) {
      let found = this.#byValue.get(value);
      if (!found) this.#byValue.set(value, (found = new Map()));
      found.set(version.key, version);
    }
  }

  #remove(version: ObjectVersion): void {
    for (const value of this.#valuesOf(version)) {
      const found = this.#byValue.get(value);
      if (found?.delete(version.key) && found.size === 0) this.#byValue.delete(value);
    }
  }
}

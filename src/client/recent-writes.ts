// Makes an informer's cache agree with what this process has just written: objects it created or changed that the cache
// does not show yet, and objects it deleted that the cache still shows alive. A control loop that looks at the corrected
// view never does a thing twice because its own writes have not come back to it. (Upstream's controllers count
// "expectations" and wait for them instead.) Resource versions grow with every write of the store, so a cache that has
// come past the version of a write tells the truth about it, and the write is forgotten.
import { type KubernetesObject, keyOf } from "../api/meta/object.ts";
import type { Informer } from "./informer.ts";

interface Write<T> {
  readonly kind: "written" | "deleted";
  /** As it was written last, or when it was deleted. */
  readonly object: T;
}

export class RecentWrites<T extends KubernetesObject> {
  readonly #informer: Pick<Informer<T>, "isAtLeast" | "get">;
  /** By the key of the loop that wrote, then by uid. */
  readonly #writes = new Map<string, Map<string, Write<T>>>();

  constructor(informer: Pick<Informer<T>, "isAtLeast" | "get">) {
    this.#informer = informer;
  }

  /** The answer to a create, update or patch made while working on `key`. */
  written(key: string, object: T): T {
    this.#remember(key, { kind: "written", object });
    return object;
  }

  /** A deletion that the server has accepted. */
  deleted(key: string, object: T): void {
    this.#remember(key, { kind: "deleted", object });
  }

  /** What the cache has for `key`, corrected by what was written while working on it. Forgets what the cache has caught up with. */
  correct(key: string, cached: readonly T[]): readonly T[] {
    const writes = this.#writes.get(key);
    if (!writes) return cached;
    const corrected: T[] = [];
    const seen = new Set<string>();
    for (const object of cached) {
      const { uid } = object.metadata;
      seen.add(uid);
      const current = this.#apply(writes, object);
      if (current) corrected.push(current);
    }
    for (const [uid, write] of writes) {
      if (seen.has(uid)) continue;
      if (this.#isCaughtUp(write)) writes.delete(uid);
      else if (write.kind === "written") corrected.push(write.object);
    }
    if (writes.size === 0) this.#writes.delete(key);
    return corrected;
  }

  /** The key's object is gone. */
  forget(key: string): void {
    this.#writes.delete(key);
  }

  #apply(writes: Map<string, Write<T>>, cached: T): T | undefined {
    const { uid, resourceVersion, deletionTimestamp } = cached.metadata;
    const write = writes.get(uid);
    if (!write) return cached;
    // Asked of the informer, for `cached` may itself be a corrected view.
    if (this.#isCaughtUp(write)) writes.delete(uid);
    if (write.kind === "deleted") return deletionTimestamp === undefined ? undefined : cached;
    return isNewer(write.object.metadata.resourceVersion, resourceVersion) ? write.object : cached;
  }

  #isCaughtUp({ kind, object }: Write<T>): boolean {
    if (kind === "written") return this.#informer.isAtLeast(object.metadata.resourceVersion);
    const known = this.#informer.get(keyOf(object))?.metadata;
    return known?.uid !== object.metadata.uid || known.deletionTimestamp !== undefined;
  }

  #remember(key: string, write: Write<T>): void {
    const { uid } = write.object.metadata;
    const writes = this.#writes.get(key);
    if (writes) writes.set(uid, write);
    else this.#writes.set(key, new Map([[uid, write]]));
  }
}

/** Whether resource version `a` is later than `b`. */
export function isNewer(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

// All watchers of one cache, arranged so that an event meets only those it can concern: the watchers of its object, of its
// namespace, of a value one of its fields has or had (the kubelets' spec.nodeName), and those of everything. A thousand
// kubelets that watch their own pods cost an event one look-up.
import { appendAll } from "../../base/append-all.ts";
import type { CacheEvent } from "./cache-event.ts";
import type { ObjectVersion } from "./object-version.ts";
import type { CacheWatcher, FieldValue } from "./watcher.ts";

type Bucket = Set<CacheWatcher>;

export class WatcherIndex {
  readonly #everything: Bucket = new Set();
  readonly #byKey = new Map<string, Bucket>();
  readonly #byPrefix = new Map<string, Bucket>();
  readonly #byField = new Map<FieldValue, Map<string, Bucket>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(watcher: CacheWatcher): void {
    const { key, prefix, field } = watcher.scope;
    if (key !== undefined) bucket(this.#byKey, key).add(watcher);
    else if (field) {
      let values = this.#byField.get(field.fieldOf);
      if (!values) this.#byField.set(field.fieldOf, (values = new Map()));
      bucket(values, field.value).add(watcher);
    } else if (prefix !== "") bucket(this.#byPrefix, prefix).add(watcher);
    else this.#everything.add(watcher);
    this.#size++;
  }

  delete(watcher: CacheWatcher): void {
    const { key, prefix, field } = watcher.scope;
    this.#size--;
    if (key !== undefined) drop(this.#byKey, key, watcher);
    else if (field) {
      const values = this.#byField.get(field.fieldOf);
      if (!values) return;
      drop(values, field.value, watcher);
      if (values.size === 0) this.#byField.delete(field.fieldOf);
    } else if (prefix !== "") drop(this.#byPrefix, prefix, watcher);
    else this.#everything.delete(watcher);
  }

  dispatch(event: CacheEvent): void {
    if (this.#size === 0) return;
    for (const watcher of this.#everything) watcher.offer(event);
    if (this.#byKey.size > 0) offerAll(this.#byKey.get(event.key), event);
    if (this.#byPrefix.size > 0) {
      const slash = event.key.indexOf("/");
      if (slash > 0) offerAll(this.#byPrefix.get(event.key.slice(0, slash + 1)), event);
    }
    for (const [fieldOf, values] of this.#byField) this.#dispatchByField(fieldOf, values, event);
  }

  #dispatchByField(fieldOf: FieldValue, values: Map<string, Bucket>, event: CacheEvent): void {
    const now = valueIn(fieldOf, event.current);
    const before = valueIn(fieldOf, event.previous);
    if (now !== undefined) offerAll(values.get(now), event);
    if (before !== undefined && before !== now) offerAll(values.get(before), event);
  }

  all(): CacheWatcher[] {
    const found = [...this.#everything];
    const buckets = [this.#byKey, this.#byPrefix, ...this.#byField.values()];
    for (const values of buckets) for (const watchers of values.values()) appendAll(found, watchers);
    return found;
  }
}

const valueIn = (fieldOf: FieldValue, version: ObjectVersion | undefined): string | undefined => version && fieldOf(version);

function offerAll(watchers: Bucket | undefined, event: CacheEvent): void {
  if (watchers) for (const watcher of watchers) watcher.offer(event);
}

function bucket(buckets: Map<string, Bucket>, key: string): Bucket {
  let found = buckets.get(key);
  if (!found) buckets.set(key, (found = new Set()));
  return found;
}

function drop(buckets: Map<string, Bucket>, key: string, watcher: CacheWatcher): void {
  const found = buckets.get(key);
  if (!found) return;
  found.delete(watcher);
  if (found.size === 0) buckets.delete(key);
}

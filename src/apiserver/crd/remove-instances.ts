// The end of a definition: all its objects are deleted; when none is left, the finalizer that kept the definition goes. The
// objects are taken as they lie in the store, whatever version that is, so that neither a version that is served no longer
// nor a conversion webhook that has gone can hold up the end. Objects with finalizers of their own are marked and waited for.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { type KeyValue, type Operation, prefixEnd, type Store } from "../../storage/store.ts";
import { withDeletionMark } from "../registry/delete.ts";
import { encodeForStorage } from "../watch-cache/stored-json.ts";

/** Objects read at a time. */
const pageSize = 500;
/** Writes at a time: they share the store's flushes. */
const writesAtOnce = 16;

export interface RemovalOptions {
  /** Of all keys of the definition's objects. */
  readonly prefix: string;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** Deletes every object, or marks it where its finalizers keep it. Gives how many are left. */
export async function removeInstances(store: Store, { prefix, nowMs, signal }: RemovalOptions): Promise<number> {
  const end = prefixEnd(prefix);
  let remaining = 0;
  let start = prefix;
  for (;;) {
    signal.throwIfAborted();
    const { items } = await store.range({ start, end, limit: pageSize });
    const last = items.at(-1);
    if (!last) return remaining;
    const waiting = items[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (const kv of waiting) if (!(await removeOne(store, kv, nowMs))) remaining++;
    };
    await Promise.all(Array.from({ length: writesAtOnce }, work));
    start = `${last.key}\0`;
  }
}

/** Whether the object is gone; where another write came first, it is still there. */
async function removeOne(store: Store, { key, value, modRevision }: KeyValue, nowMs: number): Promise<boolean> {
  const object = parsed(value);
  const kept = object !== undefined && (object.metadata?.finalizers ?? []).length > 0;
  if (kept && object.metadata.deletionTimestamp !== undefined) return false;
  const operation: Operation = kept
    ? { type: "put", key, value: encodeForStorage(withDeletionMark(object, nowMs)) }
    : { type: "delete", key };
  const { succeeded } = await store.transact({ conditions: [{ key, modRevision }], operations: [operation] });
  return succeeded && !kept;
}

/** undefined for what is no object: nothing can be said for keeping it. */
function parsed(value: Uint8Array): KubernetesObject | undefined {
  try {
    return JSON.parse(Buffer.from(value).toString()) as KubernetesObject;
  } catch {
    return undefined;
  }
}

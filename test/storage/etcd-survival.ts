// What must hold whatever happens to a member of etcd: no acknowledged write is lost, no read is older than one, no watch
// misses or repeats a change.
import { expect } from "vitest";
import { realClock } from "../../src/base/clock.ts";
import { EtcdStore } from "../../src/storage/etcd/etcd-store.ts";
import type { Store } from "../../src/storage/store.ts";
import { put, putIf, record, text } from "../../src/storage/testsuite-kit.ts";

export const prefix = "/failures/";

async function withStore(servers: readonly string[], work: (store: Store) => Promise<void>): Promise<void> {
  const store = new EtcdStore({ clock: realClock }, { servers, prefix });
  try {
    await work(store);
  } finally {
    await store.close();
  }
}

/** Counts a key up until `until()`; gives the last count that was acknowledged. Failed writes may have happened or not. */
async function countUp(store: Store, key: string, until: () => boolean): Promise<number> {
  let acknowledged = 0;
  while (!until()) {
    try {
      const kv = await store.get(key);
      const found = Number(text(kv?.value) ?? 0);
      expect(found).toBeGreaterThanOrEqual(acknowledged);
      if ((await store.transact(putIf(key, kv?.modRevision ?? 0, String(found + 1)))).succeeded) acknowledged = found + 1;
    } catch (error) {
      expect(error).toMatchObject({ name: "RpcError" });
    }
  }
  return acknowledged;
}

/** Writers and a watch while one trouble after the other is made; after each they go on until every one has written 40 times. */
export async function surviving(members: readonly { readonly url: string }[], ...failures: readonly (() => unknown)[]): Promise<void> {
  await withStore(
    members.map((member) => member.url),
    async (store) => {
      const keys = [0, 1, 2, 3].map((i) => `${prefix}${i}`);
      const recording = record(store, prefix, await store.currentRevision());
      const seen = (key: string): number[] => recording.events().flatMap((e) => (e.key === key ? [Number(text(e.kv?.value))] : []));
      await put(store, `${prefix}begin`, "1");
      let done = false;
      const writers = keys.map((key) => countUp(store, key, () => done));
      await recording.until(() => keys.every((key) => seen(key).length >= 10));
      for (const fail of failures) {
        await fail();
        const before = new Map(keys.map((key) => [key, seen(key).length]));
        await recording.until(() => keys.every((key) => seen(key).length >= (before.get(key) ?? 0) + 40));
      }
      done = true;
      const acknowledged = await Promise.all(writers);
      await recording.reached(await store.currentRevision());
      for (const [i, key] of keys.entries()) {
        const value = Number(text((await store.get(key))?.value));
        expect(value).toBeGreaterThanOrEqual(acknowledged[i] ?? 0);
        expect(seen(key)).toEqual(Array.from({ length: value }, (_, n) => n + 1));
      }
      expect(recording.errors).toEqual([]);
    },
  );
}

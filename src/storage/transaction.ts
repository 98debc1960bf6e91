// What every store refuses in a transaction.
import type { Transaction } from "./store.ts";

/** As etcd: what two operations on one key mean would depend on their order. */
export function assertKeysDiffer({ operations }: Transaction): void {
  if (operations.length < 2) return;
  const keys = new Set<string>();
  for (const { key } of operations) {
    if (keys.has(key)) throw new Error(`a transaction names the key ${key} in two operations`);
    keys.add(key);
  }
}

// Which devices claims have: exclusively, or shares of them with the capacity that each share uses up. Kept incrementally;
// what is counted twice, because two sources tell of one allocation, is there until both have taken it back.
import { parseQuantity, type Quantity } from "../../api/meta/quantity.ts";
import type { AllocationResult } from "../../api/types/resource-v1.ts";
import { deviceId } from "./device-pools.ts";

interface Share {
  count: number;
  readonly consumed: ReadonlyMap<string, Quantity>;
}

export class AllocatedDevices {
  /** How often, by device. */
  readonly #exclusive = new Map<string, number>();
  /** By device, then by the share's id. */
  readonly #shares = new Map<string, Map<string, Share>>();

  /** Some claim has the whole device. */
  isTaken(id: string): boolean {
    return this.#exclusive.has(id);
  }

  isShared(id: string): boolean {
    return this.#shares.has(id);
  }

  /** What the shares of a device use of a capacity; undefined for nothing. */
  consumed(id: string, capacity: string): Quantity | undefined {
    let sum: Quantity | undefined;
    for (const { consumed } of this.#shares.get(id)?.values() ?? []) {
      const amount = consumed.get(capacity);
      if (amount) sum = sum ? sum.add(amount) : amount;
    }
    return sum;
  }

  add(allocation: AllocationResult): void {
    this.#count(allocation, 1);
  }

  remove(allocation: AllocationResult): void {
    this.#count(allocation, -1);
  }

  #count({ devices }: AllocationResult, by: 1 | -1): void {
    for (const { driver, pool, device, adminAccess, shareID, consumedCapacity = {} } of devices?.results ?? []) {
      // An administrator may look at what others use.
      if (adminAccess) continue;
      const id = deviceId(driver, pool, device);
      if (shareID === undefined) {
        const count = (this.#exclusive.get(id) ?? 0) + by;
        if (count > 0) this.#exclusive.set(id, count);
        else this.#exclusive.delete(id);
      } else this.#countShare(id, shareID, { by, consumedCapacity });
    }
  }

  #countShare(
    id: string,
    shareID: string,
    { by, consumedCapacity }: { readonly by: 1 | -1; readonly consumedCapacity: Readonly<Record<string, string | number>> },
  ): void {
    const shares = this.#shares.get(id) ?? new Map<string, Share>();
    const share = shares.get(shareID) ?? {
      count: 0,
      consumed: new Map(Object.entries(consumedCapacity).map(([name, amount]) => [name, parseQuantity(amount)])),
    };
    share.count += by;
    if (share.count > 0) shares.set(shareID, share);
    else shares.delete(shareID);
    if (shares.size > 0) this.#shares.set(id, shares);
    else this.#shares.delete(id);
  }
}

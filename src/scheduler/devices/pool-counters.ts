// Counters of partitionable devices: devices of a pool draw on shared sets of counters, and what those that are allocated
// leave is what another device can draw on.
import { parseQuantity, type Quantity } from "../../api/meta/quantity.ts";
import type { Device } from "../../api/types/resource-v1.ts";
import type { AllocatedDevices } from "./allocated-devices.ts";
import type { DevicePool } from "./device-pools.ts";

const keyOf = (set: string, counter: string): string => `${set}/${counter}`;

/** What each counter still has: by set and name. Negative where more is allocated than there is. */
export type Counters = Map<string, Quantity>;

/** As allocated claims leave them; one search after the other may change a copy. */
export function availableCounters({ counterSets, devices, elsewhere }: DevicePool, allocated: AllocatedDevices): Counters {
  const available: Counters = new Map();
  for (const { name, counters } of counterSets.values())
    for (const [counter, { value }] of Object.entries(counters)) available.set(keyOf(name, counter), parseQuantity(value));
  for (const { id, device } of [...devices, ...elsewhere])
    if (allocated.isTaken(id) || allocated.isShared(id))
      for (const [key, amount] of consumption(device)) change(available, key, amount.negate());
  return available;
}

/** Whether there is enough for a device; then it is drawn. */
export function drawCounters(available: Counters, device: Device): boolean {
  const wanted = consumption(device);
  for (const [key, amount] of wanted) if ((available.get(key)?.compare(amount) ?? -1) < 0) return false;
  for (const [key, amount] of wanted) change(available, key, amount.negate());
  return true;
}

export function giveBackCounters(available: Counters, device: Device): void {
  for (const [key, amount] of consumption(device)) change(available, key, amount);
}

function change(counters: Counters, key: string, by: Quantity): void {
  const before = counters.get(key);
  if (before) counters.set(key, before.add(by));
}

const noConsumption: ReadonlyMap<string, Quantity> = new Map();
const known = new WeakMap<Device, ReadonlyMap<string, Quantity>>();

/** By set and name; a set that a device names twice counts twice. */
function consumption(device: Device): ReadonlyMap<string, Quantity> {
  if (!device.consumesCounters?.length) return noConsumption;
  let sums = known.get(device);
  if (!sums) {
    const found = new Map<string, Quantity>();
    for (const { counterSet, counters } of device.consumesCounters) {
      for (const [name, { value }] of Object.entries(counters)) {
        const key = keyOf(counterSet, name);
        found.set(key, found.get(key)?.add(parseQuantity(value)) ?? parseQuantity(value));
      }
    }
    sums = found;
    known.set(device, sums);
  }
  return sums;
}

// What admission has charged to quotas for objects that are not to be seen yet. A charge is written to the quota before the
// object is stored, and the two are watched apart: a count of the objects alone would give back what is just being used. So
// charges and arrivals are matched here, whichever is seen first, and what remains of the charges is added to every count,
// until it is clear that the object will not come.
import { parseQuantity, type Quantity } from "../../api/meta/quantity.ts";
import { addQuantities, type Quantities, quantitiesOf } from "../../api/semantics/pod-quantities.ts";
import type { ResourceQuota } from "../../api/types/core-v1.ts";

/** An object that has not come by then was refused by the storage, or its request ended. */
export const chargeMs = 10_000;

/** Of one resource of one quota; more are added to the last. */
const maxEntries = 1_000;

interface Entry {
  amount: Quantity;
  readonly atMs: number;
}

/** Of one resource: what was seen on one side and has nothing on the other yet, oldest first. */
interface Account {
  readonly charges: Entry[];
  readonly arrivals: Entry[];
}

interface OwnWrite {
  readonly baseVersion: string | undefined;
  readonly used: Quantities;
}

const zero = parseQuantity("0");

export class ChargeLedger {
  /** By the quota's UID, then by the resource's name. */
  readonly #accounts = new Map<string, Map<string, Account>>();
  readonly #writes = new Map<string, OwnWrite>();

  /** The controller is about to write this status over the version that it knows: what it adds is no charge. */
  writing({ metadata: { uid, resourceVersion }, status }: ResourceQuota): void {
    this.#writes.set(uid, { baseVersion: resourceVersion, used: quantitiesOf(status?.used) });
  }

  /** Takes what another writer has added to the use; says whether it waits for objects now. */
  changed(quota: ResourceQuota, previous: ResourceQuota, nowMs: number): boolean {
    const { uid } = quota.metadata;
    const before = quantitiesOf(previous.status?.used);
    const after = quantitiesOf(quota.status?.used);
    if (this.#isOwn(previous, after)) return false;
    let waits = false;
    for (const [name, amount] of Object.entries(after)) {
      const was = before[name];
      const added = was ? amount.add(was.negate()) : zero;
      if (added.sign <= 0) continue;
      const { charges, arrivals } = this.#account(uid, name, nowMs);
      const rest = match(arrivals, added);
      if (rest.sign > 0) put(charges, rest, nowMs);
      waits ||= rest.sign > 0;
    }
    return waits;
  }

  /** An object in the quota's scope has come, or costs so much more. */
  arrived(uid: string, cost: Quantities, nowMs: number): void {
    for (const [name, amount] of Object.entries(cost)) {
      if (amount.sign <= 0) continue;
      const { charges, arrivals } = this.#account(uid, name, nowMs);
      const rest = match(charges, amount);
      if (rest.sign > 0) put(arrivals, rest, nowMs);
    }
  }

  /** Charged, and not arrived yet. */
  pending(uid: string, nowMs: number): Quantities {
    let sum: Quantities = {};
    for (const name of this.#accounts.get(uid)?.keys() ?? [])
      for (const { amount } of this.#account(uid, name, nowMs).charges) sum = addQuantities(sum, { [name]: amount });
    return sum;
  }

  forget(uid: string): void {
    this.#accounts.delete(uid);
    this.#writes.delete(uid);
  }

  #isOwn({ metadata: { uid, resourceVersion } }: ResourceQuota, after: Quantities): boolean {
    const write = this.#writes.get(uid);
    if (!write || write.baseVersion !== resourceVersion) return false;
    const names = new Set([...Object.keys(write.used), ...Object.keys(after)]);
    return [...names].every((name) => after[name] !== undefined && write.used[name]?.compare(after[name]) === 0);
  }

  #account(uid: string, name: string, nowMs: number): Account {
    const ofQuota = this.#accounts.get(uid) ?? new Map<string, Account>();
    this.#accounts.set(uid, ofQuota);
    const account = ofQuota.get(name) ?? { charges: [], arrivals: [] };
    ofQuota.set(name, account);
    for (const entries of [account.charges, account.arrivals]) while (entries[0] && entries[0].atMs + chargeMs <= nowMs) entries.shift();
    return account;
  }
}

function put(entries: Entry[], amount: Quantity, nowMs: number): void {
  const last = entries.at(-1);
  if (last && entries.length >= maxEntries) last.amount = last.amount.add(amount);
  else entries.push({ amount, atMs: nowMs });
}

/** Takes the amount from the entries, oldest first; what they do not have is the result. */
function match(entries: Entry[], amount: Quantity): Quantity {
  let rest = amount;
  for (let first = entries[0]; first && rest.sign > 0; first = entries[0]) {
    const left = first.amount.add(rest.negate());
    rest = left.sign < 0 ? left.negate() : zero;
    if (left.sign > 0) first.amount = left;
    else entries.shift();
  }
  return rest;
}

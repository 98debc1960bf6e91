// The search for devices on one node: requests in their order, alternatives in theirs, devices in that of their pools, and
// the first combination that satisfies everything is taken. Devices that differ only in their names are interchangeable:
// where one of them leads nowhere, its like need not be tried, which is what keeps the search short where it fails. It also
// ends at a deadline. Nothing is changed by it: what it found is the caller's to reserve.
import { keyOf } from "../../api/meta/object.ts";
import type { Quantity } from "../../api/meta/quantity.ts";
import { parseQuantity } from "../../api/meta/quantity.ts";
import { keepsClaimsOff } from "../../api/semantics/device-taints.ts";
import type { NodeIdentity } from "../../api/semantics/node-affinity.ts";
import type { Device, DeviceSelector, ResourceClaim } from "../../api/types/resource-v1.ts";
import type { AllocatedDevices } from "./allocated-devices.ts";
import { consumedBy } from "./consumable-capacity.ts";
import { type AttributeConstraint, constraintOf } from "./device-constraints.ts";
import { type DevicePool, type PoolDevice, poolIdOf } from "./device-pools.ts";
import { AllocationError, type ClassLookup, optionsOf, type RequestOption } from "./device-requests.ts";
import { type DeviceSelectors, SelectorError } from "./device-selectors.ts";
import { availableCounters, type Counters, drawCounters, giveBackCounters } from "./pool-counters.ts";

/** Devices in the status of one claim. */
export const maxResults = 32;

export interface DeviceSearchInput {
  readonly node: NodeIdentity;
  readonly pools: readonly DevicePool[];
  readonly allocated: AllocatedDevices;
  readonly classOf: ClassLookup;
  readonly selectors: DeviceSelectors;
  /** Throws when the search has to end; called now and then. */
  readonly checkTime: () => void;
}

/** A device for a request. */
export interface Pick {
  readonly option: RequestOption;
  readonly found: PoolDevice;
  /** Where the device may be shared: what of it is used up. */
  readonly consumed: ReadonlyMap<string, Quantity> | undefined;
}

/** One request of one of the claims. */
interface Step {
  readonly claim: number;
  readonly isFirstOfClaim: boolean;
  readonly options: readonly Option[];
}

interface Option extends RequestOption {
  readonly step: number;
  /** Of "All": the devices. */
  readonly all: readonly PoolDevice[] | undefined;
  readonly answers: Map<PoolDevice, boolean>;
}

/** "tooMany": only with fewer devices for earlier requests could the claim's status hold them all. */
type Outcome = "found" | "none" | "tooMany";

const stepsPerCheck = 64;

export class DeviceSearch {
  readonly #input: DeviceSearchInput;
  readonly #claims: readonly ResourceClaim[];
  readonly #steps: readonly Step[];
  readonly #constraints: readonly (readonly AttributeConstraint[])[];
  readonly #devices: readonly PoolDevice[];
  readonly #picks: Pick[][];
  /** Claims that are to have a device, by its id. */
  readonly #taking = new Map<string, number[]>();
  readonly #consuming = new Map<string, ReadonlyMap<string, Quantity>[]>();
  readonly #counters = new Map<string, Counters>();
  #tried = 0;

  /** Throws AllocationError. */
  constructor(claims: readonly ResourceClaim[], input: DeviceSearchInput) {
    this.#input = input;
    this.#claims = claims;
    this.#devices = input.pools.flatMap(({ devices }) => devices);
    this.#steps = this.#stepsOf(claims);
    this.#constraints = claims.map((claim) => this.#constraintsOf(claim));
    this.#picks = claims.map(() => []);
  }

  /** What each claim gets; undefined where the node does not have it. Throws AllocationError, and what `checkTime` throws. */
  run(): readonly (readonly Pick[])[] | undefined {
    if (this.#isHopeless()) return undefined;
    return this.#step(0) === "found" ? this.#picks : undefined;
  }

  // ---- what is asked for

  #stepsOf(claims: readonly ResourceClaim[]): readonly Step[] {
    const steps: Step[] = [];
    for (const [index, claim] of claims.entries()) {
      let least = 0;
      for (const [i, request] of (claim.spec.devices?.requests ?? []).entries()) {
        const step = steps.length;
        const options = optionsOf(claim, request, this.#input.classOf).map((option) => this.#prepared(option, index, step));
        least += Math.min(...options.map(({ count }) => count));
        steps.push({ claim: index, isFirstOfClaim: i === 0, options });
      }
      if (least > maxResults) {
        const text = `number of requested devices ${least} exceeds the claim limit of ${maxResults}`;
        throw new AllocationError(`claim ${keyOf(claim)}: ${text}`);
      }
    }
    return steps;
  }

  #prepared(option: RequestOption, claim: number, step: number): Option {
    const prepared: Option = { ...option, step, all: undefined, answers: new Map() };
    if (option.mode !== "All") return prepared;
    const name = option.ref.slice(option.ref.indexOf("/") + 1);
    for (const { id, state } of this.#input.pools) {
      if (state === "usable") continue;
      const why = state === "incomplete" ? "being updated" : "invalid";
      const text = `asks for all devices, but resource pool ${id} is currently ${why}`;
      throw new AllocationError(`claim ${keyOf(this.#claims[claim] as ResourceClaim)}, request ${name}: ${text}`);
    }
    const all = this.#devices.filter((each) => this.#isSelected(prepared, claim, each) && this.#hasRoom(prepared, each));
    return { ...prepared, all, count: all.length };
  }

  #constraintsOf(claim: ResourceClaim): readonly AttributeConstraint[] {
    return (claim.spec.devices?.constraints ?? []).map((constraint, i) => {
      const made = constraintOf(constraint);
      if (made) return made;
      throw new AllocationError(`claim ${keyOf(claim)}, constraint #${i}: empty constraint (unsupported constraint type?)`);
    });
  }

  // ---- the search

  /** Whether some request has too few devices, whatever the others get: the usual reason, found without trying combinations. */
  #isHopeless(): boolean {
    return this.#steps.some(({ claim, options }) => options.every((option) => !this.#couldSucceed(option, claim)));
  }

  #couldSucceed(option: Option, claim: number): boolean {
    if (option.all) return option.all.length > 0;
    let missing = option.count;
    for (const each of this.#devices) {
      if (missing <= 0) break;
      if (this.#isUsable(option, claim, each) && this.#couldBeSelected(option, claim, each)) missing--;
    }
    return missing <= 0;
  }

  /** A selector that fails counts only when its device's turn comes. */
  #couldBeSelected(option: Option, claim: number, each: PoolDevice): boolean {
    try {
      return this.#isSelected(option, claim, each);
    } catch (error) {
      if (error instanceof AllocationError) return true;
      throw error;
    }
  }

  #step(position: number): Outcome {
    const step = this.#steps[position];
    if (!step) return "found";
    let allTooMany = true;
    for (const option of step.options) {
      const outcome = this.#take(step, option, { taken: 0, from: 0 });
      if (outcome === "found") return outcome;
      if (outcome !== "tooMany") allTooMany = false;
    }
    return allTooMany && !step.isFirstOfClaim ? "tooMany" : "none";
  }

  /** The next device of a request, and everything after it. */
  #take(step: Step, option: Option, { taken, from }: { readonly taken: number; readonly from: number }): Outcome {
    if (option.all?.length === 0) return "none";
    if (taken >= option.count) return this.#step(option.step + 1);
    const picked = this.#picks[step.claim]?.length ?? 0;
    if (picked + option.count - taken > maxResults) return "tooMany";
    const all = option.all?.[taken];
    if (all) return this.#tryDevice(step, option, { each: all, taken, next: 0 });
    let hopeless: Set<string> | undefined;
    for (let i = from; i < this.#devices.length; i++) {
      const each = this.#devices[i] as PoolDevice;
      if (!this.#isUsable(option, step.claim, each) || (hopeless && isLikeOneOf(hopeless, each))) continue;
      if (!this.#isSelected(option, step.claim, each)) continue;
      const outcome = this.#tryDevice(step, option, { each, taken, next: i + 1 });
      if (outcome !== "none") return outcome;
      if (isInterchangeable(option, each)) hopeless = (hopeless ?? new Set()).add(kindOf(each));
    }
    return "none";
  }

  #tryDevice(step: Step, option: Option, at: { readonly each: PoolDevice; readonly taken: number; readonly next: number }): Outcome {
    if (++this.#tried % stepsPerCheck === 0) this.#input.checkTime();
    const undo = this.#allocate(step.claim, option, at.each);
    if (!undo) return "none";
    const outcome = this.#take(step, option, { taken: at.taken + 1, from: at.next });
    if (outcome !== "found") undo();
    return outcome;
  }

  /** Marks a device as given to a claim; undefined where it cannot be. What is returned takes it back. */
  #allocate(claim: number, option: Option, found: PoolDevice): (() => void) | undefined {
    const { id, device, slice } = found;
    const { driver } = slice.spec;
    const isShared = device.allowMultipleAllocations === true;
    if (!this.#isUsable(option, claim, found)) return undefined;
    const consumed = this.#roomFor(option, found);
    if (!consumed) return undefined;
    const constraints = this.#constraints[claim] ?? [];
    const broken = constraints.findIndex((constraint) => !constraint.add(option, driver, device));
    const letGo = (count: number): void => {
      for (const constraint of constraints.slice(0, count)) constraint.remove(option, driver, device);
    };
    if (broken >= 0) {
      letGo(broken);
      if (option.all) this.#refuseAll(claim, option, id);
      return undefined;
    }
    // The counters of a shared device are drawn with its first share.
    const isInUse = isShared && (this.#input.allocated.isShared(id) || this.#consuming.has(id));
    const counters = isInUse || !device.consumesCounters?.length ? undefined : this.#countersOf(found);
    if (counters && !drawCounters(counters, device)) {
      letGo(constraints.length);
      return undefined;
    }
    const uses: Map<string, unknown[]> = isShared ? this.#consuming : this.#taking;
    push(uses, id, isShared ? consumed : claim);
    this.#picks[claim]?.push({ option, found, consumed: isShared ? consumed : undefined });
    return () => {
      this.#picks[claim]?.pop();
      pop(uses, id);
      if (counters) giveBackCounters(counters, device);
      letGo(constraints.length);
    };
  }

  #refuseAll(claim: number, { ref }: Option, id: string): never {
    const name = ref.slice(ref.indexOf("/") + 1);
    const text = `cannot add device ${id} because a claim constraint would not be satisfied`;
    throw new AllocationError(`claim ${keyOf(this.#claims[claim] as ResourceClaim)}, request ${name}: ${text}`);
  }

  // ---- single devices

  /** Whether nobody else has the device, and its taints are tolerated. An administrator takes part in what others have. */
  #isUsable(option: Option, claim: number, { id, device }: PoolDevice): boolean {
    const taking = this.#taking.get(id);
    const inUse = option.adminAccess ? (taking?.includes(claim) ?? false) : taking !== undefined || this.#input.allocated.isTaken(id);
    return !inUse && !keepsClaimsOff(device, option.tolerations);
  }

  #isSelected(option: Option, claim: number, each: PoolDevice): boolean {
    let answer = option.answers.get(each);
    if (answer === undefined) {
      const { name } = option.class.metadata;
      answer =
        this.#passes(option.class.spec.selectors ?? [], each, () => `class ${name}`) &&
        this.#passes(option.selectors, each, () => `claim ${keyOf(this.#claims[claim] as ResourceClaim)}`);
      option.answers.set(each, answer);
    }
    return answer;
  }

  #passes(selectors: readonly DeviceSelector[], each: PoolDevice, whose: () => string): boolean {
    for (const [i, { cel }] of selectors.entries()) {
      try {
        if (cel && !this.#input.selectors.matches(cel.expression, each)) return false;
      } catch (error) {
        if (!(error instanceof SelectorError)) throw error;
        throw new AllocationError(`${whose()}: selector #${i}: ${error.message}`, { cause: error });
      }
    }
    return true;
  }

  #hasRoom(option: Option, each: PoolDevice): boolean {
    return this.#roomFor(option, each) !== undefined;
  }

  /** What the request would use up of the device; undefined where the device does not have so much left. */
  #roomFor({ capacity }: Option, { id, device }: PoolDevice): ReadonlyMap<string, Quantity> | undefined {
    if (!device.capacity) return capacity?.requests ? consumedBy(capacity, device) : nothing;
    const consumed = consumedBy(capacity, device);
    for (const [name, amount] of consumed ?? []) {
      let total = amount;
      const before = this.#input.allocated.consumed(id, name);
      if (before) total = total.add(before);
      for (const other of this.#consuming.get(id) ?? []) {
        const more = other.get(name);
        if (more) total = total.add(more);
      }
      if (total.compare(parseQuantity(device.capacity[name]?.value ?? "0")) > 0) return undefined;
    }
    return consumed;
  }

  #countersOf({ slice }: PoolDevice): Counters {
    const id = poolIdOf(slice);
    let counters = this.#counters.get(id);
    if (!counters) {
      const pool = this.#input.pools.find((each) => each.id === id);
      counters = pool ? availableCounters(pool, this.#input.allocated) : new Map();
      this.#counters.set(id, counters);
    }
    return counters;
  }
}

const nothing: ReadonlyMap<string, Quantity> = new Map();

function push<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}

function pop<T>(lists: Map<string, T[]>, key: string): void {
  const list = lists.get(key);
  list?.pop();
  if (list?.length === 0) lists.delete(key);
}

/** Whether another device like this one would fare the same: shared ones differ in what is left of them, administrators' in who has them. */
const isInterchangeable = ({ adminAccess }: Option, { device }: PoolDevice): boolean => !adminAccess && !device.allowMultipleAllocations;

const isLikeOneOf = (kinds: ReadonlySet<string>, each: PoolDevice): boolean => kinds.has(kindOf(each));

const kinds = new WeakMap<Device, string>();

/** The same for devices of a pool that differ in nothing but their names. */
function kindOf({ device, slice }: PoolDevice): string {
  let kind = kinds.get(device);
  if (kind === undefined) {
    const { name: _, ...others } = device;
    kind = `${poolIdOf(slice)} ${JSON.stringify(others)}`;
    kinds.set(device, kind);
  }
  return kind;
}

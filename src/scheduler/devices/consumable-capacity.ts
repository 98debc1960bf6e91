// Capacities of devices that claims may share, each with a part: how much a request uses up, rounded to what the device's
// policy allows, and whether so much may be asked for at all.
import { parseQuantity, Quantity, quantityOf } from "../../api/meta/quantity.ts";
import type { CapacityRequestPolicy, CapacityRequestPolicyRange, CapacityRequirements, Device } from "../../api/types/resource-v1.ts";

/** What a request uses of each of a device's capacities; undefined where it asks for what the device does not have, or may not give. */
export function consumedBy(
  requirements: CapacityRequirements | undefined,
  { capacity = {} }: Device,
): ReadonlyMap<string, Quantity> | undefined {
  const requests = requirements?.requests ?? {};
  for (const name of Object.keys(requests)) if (capacity[name] === undefined) return undefined;
  const consumed = new Map<string, Quantity>();
  for (const [name, { value, requestPolicy }] of Object.entries(capacity)) {
    const requested = requests[name];
    const amount =
      requested === undefined ? parseQuantity(requestPolicy?.default ?? value) : roundedUp(parseQuantity(requested), requestPolicy);
    if (isAgainst(amount, requestPolicy)) return undefined;
    consumed.set(name, amount);
  }
  return consumed;
}

function roundedUp(requested: Quantity, policy: CapacityRequestPolicy | undefined): Quantity {
  if (policy?.validRange) return roundedIntoRange(requested, policy.validRange);
  for (const text of policy?.validValues ?? []) {
    const valid = parseQuantity(text);
    if (requested.compare(valid) <= 0) return valid;
  }
  return requested;
}

/** Multiples of the step count from the minimum. */
function roundedIntoRange(requested: Quantity, { min, step }: CapacityRequestPolicyRange): Quantity {
  const least = parseQuantity(min);
  if (requested.compare(least) < 0) return least;
  if (step === undefined) return requested;
  const [from, by] = [BigInt(least.value()), BigInt(parseQuantity(step).value())];
  const above = BigInt(requested.value()) - from;
  const steps = above / by + (above % by === 0n ? 0n : 1n);
  return ofUnits(from + by * steps);
}

const ofUnits = (units: bigint): Quantity =>
  units <= BigInt(Number.MAX_SAFE_INTEGER) ? quantityOf(Number(units), "BinarySI") : Quantity.ofNanos(units * 1_000_000_000n, "BinarySI");

function isAgainst(amount: Quantity, policy: CapacityRequestPolicy | undefined): boolean {
  if (!policy || (policy.default != null && parseQuantity(policy.default).equals(amount))) return false;
  const { validRange, validValues = [] } = policy;
  if (validRange) {
    const { min, max, step } = validRange;
    if (max !== undefined && amount.compare(parseQuantity(max)) > 0) return true;
    if (step === undefined) return false;
    return (BigInt(amount.value()) - BigInt(parseQuantity(min).value())) % BigInt(parseQuantity(step).value()) !== 0n;
  }
  return validValues.length > 0 && !validValues.some((valid) => parseQuantity(valid).equals(amount));
}

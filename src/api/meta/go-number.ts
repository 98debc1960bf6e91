// Numbers as Go's %v prints them: floating-point ones get an exponent from 1e+06 on and below 0.0001, integers never do.
export { showFloat } from "../../base/go-float.ts";

export const showInteger = (value: number): string => (Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString());

const maxInt64 = 2n ** 63n - 1n;

/** Of JavaScript's numbers the largest that is an int64: the next one is 2^63. */
const largestInt64 = 2 ** 63 - 1024;

/**
 * The number for a 64-bit integer; beyond 2^53 the nearest one that is an int64 as well, so that clients whose numbers have 64 bits
 * can read what is written of it.
 */
export function nearestInteger(value: bigint): number {
  const nearest = Number(value);
  return nearest === 2 ** 63 && value <= maxInt64 ? largestInt64 : nearest;
}

/** What Go says of a text that is no int64 in decimal. */
export function int64Problem(text: string): string | undefined {
  const problem = !/^[+-]?\d+$/.test(text) ? "invalid syntax" : isInt64(text) ? undefined : "value out of range";
  return problem && `strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`;
}

function isInt64(digits: string): boolean {
  const number = Number(digits);
  if (Number.isSafeInteger(number)) return true;
  // Its last digits decide, which a double does not have; what is far beyond is not read in full.
  if (Math.abs(number) > 2 ** 64) return false;
  const exact = BigInt(digits.startsWith("+") ? digits.slice(1) : digits);
  return exact <= maxInt64 && exact >= -maxInt64 - 1n;
}

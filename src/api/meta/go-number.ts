// Numbers as Go's %v prints them: floating-point ones get an exponent from 1e+06 on and below 0.0001, integers never do.
export { showFloat } from "../../base/go-float.ts";

export const showInteger = (value: number): string => (Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString());

const maxInt64 = 2n ** 63n - 1n;

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

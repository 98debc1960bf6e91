// Numbers as Go's %v prints them: floating-point ones get an exponent from 1e+06 on and below 0.0001, integers never do.
export { showFloat } from "../../base/go-float.ts";

export const showInteger = (value: number): string => (Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString());

const maxInt64 = 2 ** 63;

/** What Go says of a text that is no int64 in decimal. */
export function int64Problem(text: string): string | undefined {
  const number = Number(text);
  const problem = !/^[+-]?\d+$/.test(text) ? "invalid syntax" : number >= maxInt64 || number < -maxInt64 ? "value out of range" : undefined;
  return problem && `strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`;
}

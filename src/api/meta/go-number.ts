// Numbers as Go's %v prints them: floating-point ones get an exponent from 1e+06 on and below 0.0001, integers never do.

export const showInteger = (value: number): string => (Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString());

const maxInt64 = 2 ** 63;

/** What Go says of a text that is no int64 in decimal. */
export function int64Problem(text: string): string | undefined {
  const number = Number(text);
  const problem = !/^[+-]?\d+$/.test(text) ? "invalid syntax" : number >= maxInt64 || number < -maxInt64 ? "value out of range" : undefined;
  return problem && `strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`;
}

export function showFloat(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const [digits = "", exponentText = "0"] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  // Ordinary notation of JavaScript reaches further on both sides.
  if (exponent >= -4 && exponent < 6) return String(value);
  return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

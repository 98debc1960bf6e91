// Floating-point numbers as Go writes them in the fewest digits: with an exponent from 1e+06 on and below 0.0001.

export function showFloat(value: number): string {
  if (value === 0 || Number.isNaN(value)) return String(value);
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const [digits = "", exponentText = "0"] = value.toExponential().split("e");
  const exponent = Number(exponentText);
  // Ordinary notation of JavaScript reaches further on both sides.
  if (exponent >= -4 && exponent < 6) return String(value);
  return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

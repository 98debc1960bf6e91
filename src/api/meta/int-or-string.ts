// Values that are a number or a percentage of something: maxUnavailable, maxSurge, target ports.

export type IntOrString = number | string;

const atoi = /^[+-]?\d+$/;

/**
 * The number itself, or the percentage of `total`, rounded as asked (down by default). Throws for texts that are no
 * percentage, with upstream's message.
 */
export function scaledValue(value: IntOrString, total: number, rounding: "up" | "down" = "down"): number {
  if (typeof value === "number") return value;
  if (!value.endsWith("%")) throw new Error("invalid value for IntOrString: invalid type: string is not a percentage");
  const digits = value.slice(0, -1);
  if (!atoi.test(digits))
    throw new Error(
      `invalid value for IntOrString: invalid value ${JSON.stringify(value)}: strconv.Atoi: parsing ${JSON.stringify(digits)}: invalid syntax`,
    );
  const scaled = (Number(digits) * total) / 100;
  return rounding === "up" ? Math.ceil(scaled) : Math.floor(scaled);
}

/** A number, or a text that is one ("8080" in a port); undefined for names and percentages. */
export function intValue(value: IntOrString): number | undefined {
  if (typeof value === "number") return value;
  return atoi.test(value) ? Number(value) : undefined;
}

/** A text becomes a number where it is one in the range of 32 bits: how command lines are read. */
export function parseIntOrString(text: string): IntOrString {
  const number = intValue(text);
  return number !== undefined && number === (number | 0) ? number : text;
}

// Quantities of resources ("100m", "1.5Gi", "2e3"): exact arithmetic, comparison and the text that upstream writes.
// An amount is a whole number of nanos; parsing rounds anything finer up, away from zero. Nearly all quantities that
// occur are whole millis in the range of exact numbers, so these are kept and computed as numbers; others use BigInt.
// The text follows upstream's parser: a text that needs no rescaling stays as it was written ("1.500", "1024Ki" does
// not), everything else is put in canonical form. A suffix is remembered: sums of "Mi" are written in binary units.

/** How a quantity is written: 12e6, 12Mi or 12M. */
export type QuantityFormat = "DecimalExponent" | "BinarySI" | "DecimalSI";

/** A text that is no quantity; the message is upstream's. */
export class QuantityError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "QuantityError";
  }
}

const formatWrong = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const suffixWrong = "unable to parse quantity's suffix";

const decimalExponents: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const decimalSuffixes = new Map(Object.entries(decimalExponents).map(([suffix, exponent]) => [exponent, suffix]));
const zero = "0".charCodeAt(0);
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/** Exponents beyond this are refused: their digits would only exhaust memory. */
const maxExponent = 1000;
const maxBinary = 2n ** 63n - 1n;
const nanosPerUnit = 1_000_000_000n;
const nanosPerMilli = 1_000_000n;

/** An immutable amount with its preferred way of being written. Made by parseQuantity, quantityOf and milliQuantity. */
export class Quantity {
  readonly format: QuantityFormat;
  /** The amount in thousandths, NaN where that is no safe integer. */
  readonly #millis: number;
  #nanos: bigint | undefined;
  #text: string | undefined;

  private constructor(format: QuantityFormat, millis: number, nanos?: bigint, text?: string) {
    this.format = format;
    this.#millis = millis;
    this.#nanos = nanos;
    this.#text = text;
  }

  /** From thousandths; `text` is what toString() shall return, where that is known. */
  static ofMillis(millis: number, format: QuantityFormat, text?: string): Quantity {
    if (!Number.isSafeInteger(millis)) throw new RangeError(`${millis} is no exact number of thousandths`);
    return new Quantity(format, millis, undefined, text);
  }

  /** From billionths. */
  static ofNanos(nanos: bigint, format: QuantityFormat, text?: string): Quantity {
    const millis = nanos % nanosPerMilli === 0n ? Number(nanos / nanosPerMilli) : Number.NaN;
    return Number.isSafeInteger(millis) ? new Quantity(format, millis, nanos, text) : new Quantity(format, Number.NaN, nanos, text);
  }

  /** The exact amount in billionths. */
  get nanos(): bigint {
    this.#nanos ??= BigInt(this.#millis) * nanosPerMilli;
    return this.#nanos;
  }

  get #exact(): boolean {
    return !Number.isNaN(this.#millis);
  }

  /** Whole units, rounded away from zero. Exact up to 2^53. */
  value(): number {
    if (this.#exact) return divideAway(this.#millis, 1000);
    return Number(divideAwayBig(this.nanos, nanosPerUnit));
  }

  /** Thousandths, rounded away from zero. Exact up to 2^53. */
  milliValue(): number {
    return this.#exact ? this.#millis : Number(divideAwayBig(this.nanos, nanosPerMilli));
  }

  /** Multiples of 10^`exponent` (at least -9), rounded away from zero: scaledValue(-3) is milliValue(). */
  scaledValue(exponent: number): number {
    return Number(divideAwayBig(this.nanos, 10n ** BigInt(exponent + 9)));
  }

  /** The nearest floating-point number. */
  toNumber(): number {
    return this.#exact ? this.#millis / 1000 : Number(this.nanos) / 1e9;
  }

  get isZero(): boolean {
    return this.sign === 0;
  }

  /** -1, 0 or 1. */
  get sign(): number {
    if (this.#exact) return this.#millis === 0 ? 0 : this.#millis < 0 ? -1 : 1;
    return this.nanos < 0n ? -1 : 1;
  }

  /** Negative when this is the smaller one, 0 when both are equal ("1" and "1000m" are). */
  compare(other: Quantity): number {
    const difference = this.#millis - other.#millis;
    if (!Number.isNaN(difference)) return Math.sign(difference);
    return this.nanos < other.nanos ? -1 : this.nanos > other.nanos ? 1 : 0;
  }

  equals(other: Quantity): boolean {
    return this.compare(other) === 0;
  }

  /** The sum, written as this quantity is; as the other one where this is zero. */
  add(other: Quantity): Quantity {
    const format = this.isZero ? other.format : this.format;
    const sum = this.#millis + other.#millis;
    return Number.isSafeInteger(sum) ? Quantity.ofMillis(sum, format) : Quantity.ofNanos(this.nanos + other.nanos, format);
  }

  /** The difference, written as this quantity is; as the other one where this is zero. */
  sub(other: Quantity): Quantity {
    return this.add(other.negate());
  }

  negate(): Quantity {
    return this.#exact ? Quantity.ofMillis(0 - this.#millis, this.format) : Quantity.ofNanos(-this.nanos, this.format);
  }

  /** Rounded away from zero to a multiple of 10^`exponent`; the same quantity where it is one already. */
  roundUp(exponent: number): Quantity {
    const step = 10n ** BigInt(exponent + 9);
    return this.nanos % step === 0n ? this : Quantity.ofNanos(divideAwayBig(this.nanos, step) * step, this.format);
  }

  /** As upstream writes it into JSON. */
  toString(): string {
    this.#text ??= this.#canonical();
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }

  #canonical(): string {
    if (this.isZero) return "0";
    if (this.format === "BinarySI") {
      const whole = this.#wholeUnits();
      if (whole !== undefined && (whole >= 1024n || whole <= -1024n)) return binaryText(whole);
    }
    const exact = this.#exact;
    return decimalText(exact ? String(this.#millis) : String(this.nanos), exact ? -3 : -9, this.format === "DecimalExponent");
  }

  #wholeUnits(): bigint | undefined {
    return this.nanos % nanosPerUnit === 0n ? this.nanos / nanosPerUnit : undefined;
  }
}

/** A quantity of whole units. */
export function quantityOf(units: number, format: QuantityFormat = "DecimalSI"): Quantity {
  const millis = units * 1000;
  return Number.isSafeInteger(millis) ? Quantity.ofMillis(millis, format) : Quantity.ofNanos(BigInt(units) * nanosPerUnit, format);
}

/** A quantity of thousandths. */
export function milliQuantity(millis: number, format: QuantityFormat = "DecimalSI"): Quantity {
  return Quantity.ofMillis(millis, format);
}

// The same few texts ("100m", "128Mi") are parsed over and over; values are immutable, so they can be shared.
const maxCached = 4096;
const maxCachedLength = 64;
const cache = new Map<string, Quantity>();

/** Parses a quantity; JSON numbers are accepted as the API server accepts them. Throws QuantityError. */
export function parseQuantity(text: string | number): Quantity {
  const key = typeof text === "string" ? text : String(text);
  const known = cache.get(key);
  if (known) return known;
  const parsed = parse(key);
  if (key.length > maxCachedLength) return parsed;
  if (cache.size >= maxCached) cache.clear();
  cache.set(key, parsed);
  return parsed;
}

/** Whether a text is a quantity. */
export function isQuantity(text: string | number): boolean {
  try {
    parseQuantity(text);
    return true;
  } catch (error) {
    if (error instanceof QuantityError) return false;
    throw error;
  }
}

/** The text the API server would store for a quantity: "1000m" is "1", "1.5Gi" is "1536Mi". Throws QuantityError. */
export function canonicalQuantity(text: string | number): string {
  return parseQuantity(text).toString();
}

/** Compares two quantities given as texts. */
export function compareQuantities(a: string | number, b: string | number): number {
  return parseQuantity(a).compare(parseQuantity(b));
}

// Nothing in it can match the same characters in two ways: it takes time in proportion to the text.
const grammar = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]+[-+]?\d*|[-+]\d*|)$/;
/** Longer texts are refused: exact arithmetic on millions of digits would hold up everybody else. */
const maxLength = 4096;

interface Suffix {
  readonly format: QuantityFormat;
  /** Power of 10, or of 2 for BinarySI. */
  readonly exponent: number;
}

function parse(text: string): Quantity {
  const match = text === "" || text.length > maxLength ? null : grammar.exec(text);
  if (!match) throw new QuantityError(formatWrong);
  const negative = match[1] === "-";
  const whole = (match[2] ?? "").replace(/^0+/, "") || "0";
  const fraction = match[3] ?? "";
  const suffix = parseSuffix(match[4] ?? "");
  const digits = whole + fraction;
  const kept = keepsText(whole, fraction, suffix) ? text : undefined;

  if (digits.length <= 15 && fraction.length <= 3) {
    const millis = smallMillis(Number(digits) * 10 ** (3 - fraction.length), suffix);
    if (millis !== undefined) return Quantity.ofMillis(negative ? 0 - millis : millis, suffix.format, kept);
  }
  let nanos = nanosOf(BigInt(digits), fraction.length, suffix);
  let format = suffix.format;
  if (format === "BinarySI") {
    if (nanos > maxBinary * nanosPerUnit) nanos = maxBinary * nanosPerUnit;
    if (nanos > 0n && nanos < nanosPerUnit) format = "DecimalSI";
  }
  return Quantity.ofNanos(negative ? -nanos : nanos, format, kept);
}

function parseSuffix(suffix: string): Suffix {
  const decimal = decimalExponents[suffix];
  if (decimal !== undefined) return { format: "DecimalSI", exponent: decimal };
  const binary = binarySuffixes.indexOf(suffix);
  if (binary > 0) return { format: "BinarySI", exponent: binary * 10 };
  const exponent = /^[eE]([-+]?\d+)$/.exec(suffix)?.[1];
  if (exponent === undefined || Number(exponent) > maxExponent) throw new QuantityError(suffixWrong);
  return { format: "DecimalExponent", exponent: Math.max(Number(exponent), -maxExponent) };
}

/** The thousandths of a small amount where they are a safe integer; `scaled` is in thousandths before the suffix. */
function smallMillis(scaled: number, suffix: Suffix): number | undefined {
  if (suffix.format === "BinarySI") {
    const millis = scaled * 2 ** suffix.exponent;
    const fractionOnly = millis > 0 && millis < 1000;
    return Number.isSafeInteger(millis) && !fractionOnly ? millis : undefined;
  }
  if (Math.abs(suffix.exponent) > 15) return undefined;
  if (suffix.exponent >= 0) {
    const millis = scaled * 10 ** suffix.exponent;
    return Number.isSafeInteger(millis) ? millis : undefined;
  }
  const divisor = 10 ** -suffix.exponent;
  return Number.isSafeInteger(scaled) && scaled % divisor === 0 ? scaled / divisor : undefined;
}

function nanosOf(digits: bigint, fractionDigits: number, suffix: Suffix): bigint {
  if (digits === 0n) return 0n;
  const scaled = suffix.format === "BinarySI" ? digits * 2n ** BigInt(suffix.exponent) : digits;
  const power = (suffix.format === "BinarySI" ? 0 : suffix.exponent) - fractionDigits + 9;
  return power >= 0 ? scaled * 10n ** BigInt(power) : divideAwayBig(scaled, 10n ** BigInt(-power));
}

/** Whether upstream's parser keeps the text as the quantity's own: it is short and its scale needs no change. */
function keepsText(whole: string, fraction: string, { format, exponent }: Suffix): boolean {
  if (format === "BinarySI") {
    const roomy = fraction === "" && 14 - whole.length - Math.trunc((exponent * 3) / 10) >= 0;
    return roomy && Number(whole) % 8 !== 0;
  }
  const digits = whole + fraction;
  const scale = exponent - fraction.length;
  return digits.length <= 18 && scale >= -9 && scale % 3 === 0 && !digits.endsWith("000") && !digits.startsWith("0");
}

function decimalText(digits: string, scale: number, asExponent: boolean): string {
  let end = digits.length;
  while (digits.charCodeAt(end - 1) === zero) end--;
  const significant = digits.slice(0, end);
  let exponent = scale + digits.length - significant.length;
  const target = Math.floor(exponent / 3) * 3;
  const capped = asExponent ? target : Math.min(target, 18);
  const padded = significant + "0".repeat(exponent - capped);
  exponent = capped;
  if (asExponent) return exponent === 0 ? padded : `${padded}e${exponent}`;
  return padded + (decimalSuffixes.get(exponent) ?? "");
}

function binaryText(units: bigint): string {
  let rest = units;
  let power = 0;
  for (; power < binarySuffixes.length - 1 && rest % 1024n === 0n; power++) rest /= 1024n;
  return `${rest}${binarySuffixes[power]}`;
}

function divideAway(dividend: number, divisor: number): number {
  const quotient = dividend / divisor;
  return quotient < 0 ? Math.floor(quotient) : Math.ceil(quotient);
}

function divideAwayBig(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  if (dividend % divisor === 0n) return quotient;
  return dividend < 0n ? quotient - 1n : quotient + 1n;
}

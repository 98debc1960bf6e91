import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalQuantity, compareQuantities, isQuantity, milliQuantity, parseQuantity, QuantityError, quantityOf } from "./quantity.ts";

describe("canonicalQuantity()", () => {
  it.each([
    ["0", "0"],
    ["00", "0"],
    ["0Mi", "0"],
    ["-", "0"],
    ["1000m", "1"],
    ["1500m", "1500m"],
    ["1.5", "1500m"],
    ["0.5", "500m"],
    ["0.1", "100m"],
    ["1.500", "1.500"],
    ["100m", "100m"],
    ["1.5Gi", "1536Mi"],
    ["0.5Mi", "512Ki"],
    ["1024Mi", "1Gi"],
    ["1025Mi", "1025Mi"],
    ["1024", "1024"],
    ["1000000", "1M"],
    ["1000k", "1M"],
    ["10000000000000000000", "10E"],
    ["1000E", "1000E"],
    ["1e3", "1e3"],
    ["1e1", "10"],
    ["1E3", "1E3"],
    ["1e-3", "1e-3"],
    ["100e1", "1e3"],
    ["0.1m", "100u"],
    ["0.1n", "1n"],
    ["-0.1n", "-1n"],
    ["1.1n", "2n"],
    ["1e-100", "1e-9"],
    ["0.5Ki", "512"],
    ["0.0001Ki", "102400u"],
    ["0.001Mi", "1048576m"],
    ["-1.5Gi", "-1536Mi"],
    ["16Ei", "9223372036854775807"],
    ["9223372036854775807", "9223372036854775807"],
    ["1Ei", "1Ei"],
    ["+1", "+1"],
  ])("writes %s as %s", (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical);
  });

  it("refuses long texts at once, whatever they are made of", () => {
    for (const text of [
      `${"0".repeat(4000)}x`,
      `${"1".repeat(4000)}x`,
      `1.${"1".repeat(4000)}x`,
      `1${"E".repeat(4000)}!`,
      "1".repeat(1_000_000),
    ])
      expect(() => parseQuantity(text)).toThrow(QuantityError);
    expect(parseQuantity(`${"0".repeat(4000)}12`).value()).toBe(12);
    expect(parseQuantity(`1${"0".repeat(2000)}1`).toString()).toBe(`1${"0".repeat(2000)}1`);
  });

  it("accepts JSON numbers", () => {
    expect(canonicalQuantity(0.5)).toBe("500m");
    expect(canonicalQuantity(2)).toBe("2");
  });
});

describe("parseQuantity()", () => {
  it.each(["", "abc", "1.5.5", " 1", "1 ", "1.1.M", "1ki ", "0x10"])("refuses %j with the expected form", (text) => {
    expect(() => parseQuantity(text)).toThrow(
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  });

  it.each(["1K", "1mi", "1e", "1Ee3", "1-", "1m5", "1e99999999"])("refuses the suffix of %j", (text) => {
    expect(() => parseQuantity(text)).toThrow("unable to parse quantity's suffix");
    expect(isQuantity(text)).toBe(false);
  });
});

describe("Quantity", () => {
  it("rounds units and thousandths away from zero", () => {
    expect(parseQuantity("1100m").value()).toBe(2);
    expect(parseQuantity("-1100m").value()).toBe(-2);
    expect(parseQuantity("1n").milliValue()).toBe(1);
    expect(parseQuantity("2").milliValue()).toBe(2000);
    expect(parseQuantity("1Ki").scaledValue(3)).toBe(2);
    expect(parseQuantity("9223372036854775807").value()).toBe(Number(2n ** 63n - 1n));
  });

  it("adds and subtracts in the first one's format, or the second's where the first is zero", () => {
    expect(parseQuantity("1Gi").add(parseQuantity("1Gi")).toString()).toBe("2Gi");
    expect(parseQuantity("0").add(parseQuantity("1Gi")).toString()).toBe("1Gi");
    expect(parseQuantity("1").sub(parseQuantity("250m")).toString()).toBe("750m");
    expect(parseQuantity("1Gi").sub(parseQuantity("1")).toString()).toBe("1073741823");
    expect(parseQuantity("8Pi").add(parseQuantity("1n")).toString()).toBe("9007199254740992000000001n");
  });

  it("compares across suffixes", () => {
    expect(compareQuantities("1", "1000m")).toBe(0);
    expect(compareQuantities("1Gi", "1G")).toBe(1);
    expect(compareQuantities("1n", "2n")).toBe(-1);
    expect(compareQuantities("1e20", "9E")).toBe(1);
  });

  it("rounds up to a scale", () => {
    expect(parseQuantity("1100u").roundUp(-3).toString()).toBe("2m");
    expect(parseQuantity("0.5").roundUp(0).toString()).toBe("1");
    const whole = parseQuantity("3");
    expect(whole.roundUp(0)).toBe(whole);
  });

  it("is made from numbers", () => {
    expect(milliQuantity(1500).toString()).toBe("1500m");
    expect(quantityOf(3 * 1024 ** 3, "BinarySI").toString()).toBe("3Gi");
    expect(quantityOf(2 ** 60, "BinarySI").toString()).toBe("1Ei");
  });
});

const suffixes: Record<string, [numerator: bigint, denominator: bigint]> = {
  n: [1n, 10n ** 9n],
  u: [1n, 10n ** 6n],
  m: [1n, 1000n],
  "": [1n, 1n],
  k: [10n ** 3n, 1n],
  M: [10n ** 6n, 1n],
  G: [10n ** 9n, 1n],
  T: [10n ** 12n, 1n],
  P: [10n ** 15n, 1n],
  Ki: [2n ** 10n, 1n],
  Mi: [2n ** 20n, 1n],
  Gi: [2n ** 30n, 1n],
  Ti: [2n ** 40n, 1n],
  e5: [10n ** 5n, 1n],
  "e-4": [1n, 10n ** 4n],
};

const quantityText = fc
  .tuple(fc.boolean(), fc.nat({ max: 2 ** 31 - 1 }), fc.option(fc.stringMatching(/^\d{1,6}$/)), fc.constantFrom(...Object.keys(suffixes)))
  .map(([negative, whole, fraction, suffix]) => ({
    text: `${negative ? "-" : ""}${whole}${fraction === null ? "" : `.${fraction}`}${suffix}`,
    negative,
    digits: BigInt(`${whole}${fraction ?? ""}`),
    places: BigInt(fraction?.length ?? 0),
    suffix,
  }));

describe("quantities in general", () => {
  it("hold exactly the amount of their text, rounded away from zero to nanos and capped for binary suffixes", () => {
    fc.assert(
      fc.property(quantityText, ({ text, negative, digits, places, suffix }) => {
        const [numerator, denominator] = suffixes[suffix] as [bigint, bigint];
        const divisor = 10n ** places * denominator;
        let nanos = (digits * numerator * 10n ** 9n + divisor - 1n) / divisor;
        if (suffix.endsWith("i") && nanos > (2n ** 63n - 1n) * 10n ** 9n) nanos = (2n ** 63n - 1n) * 10n ** 9n;
        expect(parseQuantity(text).nanos).toBe(negative ? -nanos : nanos);
      }),
    );
  });

  it("keep their amount when written and read again, and what is written stays as it is in its format", () => {
    fc.assert(
      fc.property(quantityText, ({ text }) => {
        const quantity = parseQuantity(text);
        const again = parseQuantity(quantity.toString());
        expect(again.nanos).toBe(quantity.nanos);
        // A binary amount that is no multiple of 1024 is written without a suffix and read again as a decimal one.
        if (again.format === quantity.format) expect(again.toString()).toBe(quantity.toString());
      }),
    );
  });

  it("add, subtract and compare like their amounts", () => {
    fc.assert(
      fc.property(quantityText, quantityText, (a, b) => {
        const [x, y] = [parseQuantity(a.text), parseQuantity(b.text)];
        expect(x.add(y).nanos).toBe(x.nanos + y.nanos);
        expect(x.sub(y).nanos).toBe(x.nanos - y.nanos);
        expect(x.compare(y)).toBe(x.nanos < y.nanos ? -1 : x.nanos > y.nanos ? 1 : 0);
        expect(x.add(y).sub(y).compare(x)).toBe(0);
      }),
    );
  });
});

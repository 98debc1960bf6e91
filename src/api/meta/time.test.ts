import { describe, expect, it } from "vitest";
import { intValue, parseIntOrString, scaledValue } from "./int-or-string.ts";
import { normalizeMicroTime, normalizeTime, parseTime, timeProblem } from "./time.ts";

describe("times", () => {
  it("are stored in UTC with whole seconds", () => {
    expect(normalizeTime("2026-11-22T13:45:08Z")).toBe("2026-11-22T13:45:08Z");
    expect(normalizeTime("2026-11-22T13:45:08.999+02:00")).toBe("2026-11-22T11:45:08Z");
    expect(normalizeTime("2024-02-29T00:00:00-00:30")).toBe("2024-02-29T00:30:00Z");
    expect(normalizeTime("0001-01-01T00:00:00Z")).toBe("0001-01-01T00:00:00Z");
  });

  it("are stored with six decimals as MicroTime", () => {
    expect(normalizeMicroTime("2026-11-22T13:45:08.123456+01:00")).toBe("2026-11-22T12:45:08.123456Z");
    expect(normalizeMicroTime("2026-11-22T13:45:08Z")).toBeUndefined();
    expect(normalizeMicroTime("2026-11-22T13:45:08.1234567Z")).toBeUndefined();
    expect(normalizeMicroTime("2026-11-22T13:45:08.000001Z")).toBe("2026-11-22T13:45:08.000001Z");
  });

  it.each(["", "yesterday", "2026-11-22", "2026-11-22 13:45:08Z", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-22T24:00:00Z"])(
    "are not %j",
    (text) => {
      expect(normalizeTime(text)).toBeUndefined();
      expect(parseTime(text)).toBeUndefined();
    },
  );

  it("are refused with Go's words", () => {
    expect(timeProblem("yesterday")).toBe('parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"');
    expect(timeProblem('ü"\u0000')).toBe(
      'parsing time "\\xc3\\xbc\\"\\x00" as "2006-01-02T15:04:05Z07:00": cannot parse "\\xc3\\xbc\\"\\x00" as "2006"',
    );
    expect(timeProblem("2024-01-01T00:00:00", true)).toBe(
      'parsing time "2024-01-01T00:00:00" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "" as ".000000"',
    );
    expect(timeProblem("2026-11-22")).toBe('parsing time "2026-11-22" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"');
    expect(timeProblem("2025-02-30T00:00:00Z")).toBe('parsing time "2025-02-30T00:00:00Z": day out of range');
    expect(timeProblem("2026-11-22T13:45:08Zx")).toBe('parsing time "2026-11-22T13:45:08Zx": extra text: "x"');
  });
});

describe("scaledValue()", () => {
  it("takes numbers as they are and percentages of the total", () => {
    expect(scaledValue(3, 10)).toBe(3);
    expect(scaledValue("25%", 10)).toBe(2);
    expect(scaledValue("25%", 10, "up")).toBe(3);
    expect(scaledValue("100%", 7)).toBe(7);
  });

  it("refuses other texts", () => {
    expect(() => scaledValue("5", 10)).toThrow("invalid value for IntOrString: invalid type: string is not a percentage");
    expect(() => scaledValue("x%", 10)).toThrow('invalid value "x%": strconv.Atoi: parsing "x": invalid syntax');
  });

  it("has companions that read numbers from texts", () => {
    expect(parseIntOrString("80")).toBe(80);
    expect(parseIntOrString("http")).toBe("http");
    expect(parseIntOrString("3000000000")).toBe("3000000000");
    expect(intValue("25%")).toBeUndefined();
  });
});

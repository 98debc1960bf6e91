import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "./duration.ts";

describe("durations", () => {
  it.each([
    ["0", 0, "0s"],
    ["1h2m3s", 3_723_000, "1h2m3s"],
    ["90m", 5_400_000, "1h30m0s"],
    ["1.5s", 1500, "1.5s"],
    ["100ms", 100, "100ms"],
    ["500us", 0.5, "500µs"],
    ["-2m", -120_000, "-2m0s"],
    ["1h0.25s", 3_600_250, "1h0m0.25s"],
    [".5m", 30_000, "30s"],
  ])("%s is %d ms", (text, ms, formatted) => {
    expect(parseDuration(text)).toBe(ms);
    expect(formatDuration(ms)).toBe(formatted);
  });

  it.each(["", "5", "1d", "s", "1 s", "1h-2m", "3000000h"])("are not %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it("are read in time that is proportional to the text: ?timeout= has whatever a client sends", () => {
    expect(parseDuration("1".repeat(500_000))).toBeUndefined();
    expect(parseDuration(`${"1m".repeat(200_000)}x`)).toBeUndefined();
    expect(parseDuration(`${"0".repeat(500_000)}1s`)).toBe(1000);
  });
});

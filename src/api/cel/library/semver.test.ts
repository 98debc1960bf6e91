import { expect, it } from "vitest";
import { parseSemver } from "./semver.ts";

it("numbers of any length are compared without being made", () => {
  const compare = (a: string, b: string): number => parseSemver(`1.0.0-${a}`).compare(parseSemver(`1.0.0-${b}`));
  expect([compare("9", "10"), compare("10", "9"), compare("10", "10"), compare("2", "10.1"), compare("10", "a")]).toEqual([
    -1, 1, 0, -1, -1,
  ]);
  const digits = "7".repeat(1_000_000);
  const begun = performance.now();
  for (let i = 0; i < 100; i++) expect(compare(digits, `${digits}0`)).toBe(-1);
  expect(compare(`${digits}1`, `${digits}2`)).toBe(-1);
  expect(performance.now() - begun).toBeLessThan(20_000);
});

it("a number that is too long is out of range", () => {
  expect(parseSemver("18446744073709551615.0.0").numbers[0]).toBe(2n ** 64n - 1n);
  for (const major of ["18446744073709551616", "1".repeat(21), "1".repeat(1_000_000)])
    expect(() => parseSemver(`${major}.0.0`)).toThrow("value out of range");
});

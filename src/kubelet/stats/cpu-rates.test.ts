import { expect, test } from "vitest";
import { CpuRates } from "./cpu-rates.ts";
import { sumOf } from "./measure-pods.ts";

test("CpuRates gives a rate from the second reading on", () => {
  const rates = new CpuRates();
  expect(rates.reading("a", 1000, 5e9)).toEqual({ timeMs: 1000, nanoseconds: 5e9 });
  expect(rates.reading("a", 3000, 6e9)).toEqual({ timeMs: 3000, nanoseconds: 6e9, nanoCores: 500_000_000 });
});

test("CpuRates keeps the last rate between readings less than a second apart", () => {
  const rates = new CpuRates();
  rates.reading("a", 0, 0);
  rates.reading("a", 1000, 1e9);
  expect(rates.reading("a", 1001, 1.5e9).nanoCores).toBe(1_000_000_000);
  expect(rates.reading("a", 3000, 2e9).nanoCores).toBe(500_000_000);
});

test("CpuRates begins anew when a counter goes back, and forgets what a round did not read", () => {
  const rates = new CpuRates();
  rates.reading("a", 0, 100);
  expect(rates.reading("a", 2000, 50).nanoCores).toBeUndefined();
  rates.reading("b", 2000, 1);
  rates.endRound();
  rates.reading("a", 4000, 60);
  rates.endRound();
  expect(rates.reading("b", 6000, 3).nanoCores).toBeUndefined();
  expect(rates.reading("a", 6000, 80).nanoCores).toBe(10);
});

test("sumOf() adds what parts could tell, and is silent where none could", () => {
  expect(sumOf([{}, {}], 7)).toEqual({});
  const part = (nanoseconds: number, usageBytes: number) => ({
    cpu: { timeMs: nanoseconds, nanoseconds },
    memory: { timeMs: 1, usageBytes },
  });
  const sum = sumOf([part(3, 10), part(5, 20), {}], 7);
  expect(sum.cpu).toEqual({ timeMs: 5, nanoseconds: 8 });
  expect(sum.memory).toMatchObject({ timeMs: 7, usageBytes: 30 });
});

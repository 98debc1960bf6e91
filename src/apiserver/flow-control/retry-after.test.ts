import { describe, expect, it } from "vitest";
import { RetryAfter } from "./retry-after.ts";

/** What clients are told who are refused so many times in each of these seconds: the last of each second. */
function told(perSecond: readonly number[]): number[] {
  const retryAfter = new RetryAfter();
  return perSecond.map((count, i) => {
    let seconds = 0;
    for (let n = 0; n < count; n++) seconds = retryAfter.refused(1000 + i);
    return seconds;
  });
}

describe("RetryAfter", () => {
  it("says a second as long as little is refused", () => {
    expect(told([1, 1, 2, 1, 2])).toEqual([1, 1, 1, 1, 1]);
  });

  it("doubles while refusals go on, once in each period, up to 32 seconds", () => {
    expect(told(Array.from({ length: 64 }, () => 10)).filter((seconds, i, all) => seconds !== all[i - 1])).toEqual([1, 2, 4, 8, 16, 32]);
    expect(told([10, 10, 10, 10, 10, 10, 10])).toEqual([1, 2, 2, 4, 4, 4, 4]);
  });

  it("shrinks by a second when refusals become fewer than one for each of its seconds", () => {
    const seconds = told([10, 10, 10, 10, 10, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    expect(seconds.slice(-4)).toEqual([3, 2, 2, 2]);
  });
});

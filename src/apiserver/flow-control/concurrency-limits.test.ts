import { describe, expect, it } from "vitest";
import type { PriorityLevelConfiguration } from "../../api/types/flowcontrol-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { assignSeats, type LevelDemand, type SeatBounds, seatBounds } from "./concurrency-limits.ts";
import { mandatoryPriorityLevels, suggestedPriorityLevels } from "./default-configuration.ts";
import { SeatDemandMeter } from "./seat-demand.ts";

const defaults = [...mandatoryPriorityLevels, ...suggestedPriorityLevels] as unknown as readonly PriorityLevelConfiguration[];

describe("seatBounds()", () => {
  it("gives the default levels their shares of 600 seats, as upstream reckons them", () => {
    const bounds = seatBounds(defaults, 600);
    const shown = [...bounds].map(([name, { nominal, min }]) => [name, nominal, min]);
    expect(shown).toEqual([
      ["exempt", 0, 0],
      ["catch-all", 13, 13],
      ["system", 74, 50],
      ["node-high", 98, 73],
      ["leader-election", 25, 25],
      ["workload-high", 98, 49],
      ["workload-low", 245, 24],
      ["global-default", 49, 24],
    ]);
    expect(bounds.get("catch-all")?.max).toBe(613);
  });

  it("bounds what a level with a borrowing limit may have", () => {
    const level = {
      metadata: { name: "l" },
      spec: { type: "Limited", limited: { nominalConcurrencyShares: 1, borrowingLimitPercent: 50 } },
    };
    expect(seatBounds([level as PriorityLevelConfiguration], 100).get("l")).toEqual({ nominal: 100, min: 100, max: 150 });
  });
});

describe("assignSeats()", () => {
  const level = (name: string, bounds: SeatBounds, demand: number, exempt = false): LevelDemand => ({
    ...{ name, exempt, bounds },
    demand: { highWatermark: demand, average: demand, deviation: 0, smoothed: demand },
  });
  const fifty: SeatBounds = { nominal: 50, min: 25, max: 150 };

  it("lends what one level does not want to the one that wants more", () => {
    const { limits } = assignSeats([level("idle", fifty, 0), level("busy", fifty, 400)]);
    expect(Object.fromEntries(limits)).toEqual({ idle: 25, busy: 75 });
  });

  it("divides by wish where neither is idle, and takes nothing that is used and owned", () => {
    const { limits } = assignSeats([level("a", fifty, 50), level("b", fifty, 400)]);
    expect(Object.fromEntries(limits)).toEqual({ a: 50, b: 50 });
  });

  it("lends no more than the borrower may take", () => {
    const { limits } = assignSeats([level("idle", fifty, 0), level("busy", { ...fifty, max: 60 }, 400)]);
    expect(limits.get("busy")).toBe(60);
    expect(limits.get("idle")).toBeGreaterThanOrEqual(25);
  });

  it("takes what exempt requests use from the others, down to what they do not lend", () => {
    const { limits } = assignSeats([
      level("exempt", { nominal: 0, min: 0, max: 600 }, 60, true),
      level("a", fifty, 50),
      level("b", fifty, 50),
    ]);
    expect(Object.fromEntries(limits)).toEqual({ exempt: 60, a: 25, b: 25 });
  });
});

describe("SeatDemandMeter", () => {
  it("measures average, deviation and peak, and forgets a peak slowly", async () => {
    const clock = new VirtualClock();
    const meter = new SeatDemandMeter(clock);
    meter.set(10, clock.monotonic());
    await clock.advance(5000);
    meter.set(0, clock.monotonic());
    await clock.advance(5000);
    expect(meter.endPeriod()).toEqual({ highWatermark: 10, average: 5, deviation: 5, smoothed: 10 });
    await clock.advance(10_000);
    const next = meter.endPeriod();
    expect(next.highWatermark).toBe(0);
    expect(next.smoothed).toBeCloseTo(9.77);
  });
});

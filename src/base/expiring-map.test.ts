import { describe, expect, it } from "vitest";
import { VirtualClock } from "./clock.ts";
import { ExpiringMap } from "./expiring-map.ts";

describe("ExpiringMap", () => {
  it("forgets entries when their time is over, and the least recently used of too many", async () => {
    const clock = new VirtualClock();
    const map = new ExpiringMap<string, number>(2, clock);
    map.set("a", 1, 1000);
    map.set("b", 2, 5000);
    map.set("never", 3, 0);
    expect([map.get("a"), map.get("b"), map.get("never")]).toEqual([1, 2, undefined]);
    await clock.advance(1000);
    expect([map.get("a"), map.get("b")]).toEqual([undefined, 2]);
    map.set("c", 4, 1000);
    map.set("d", 5, 1000);
    expect([map.get("b"), map.get("c"), map.get("d")]).toEqual([undefined, 4, 5]);
  });
});

import { describe, expect, it } from "vitest";
import { CacheEvent } from "./cache-event.ts";
import { EventRing } from "./event-ring.ts";
import { ObjectVersion } from "./object-version.ts";

const configMap = {
  ...{ apiVersion: "v1", kind: "ConfigMap" },
  metadata: { name: "a", namespace: "default", uid: "1", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
};
const options = { minEvents: 2, maxEvents: 5, maxAgeMs: 1_000 };

/** With an event for each time, of revisions from 1 on. */
function ringOf(times: readonly number[]): EventRing {
  const ring = new EventRing(options);
  for (const [i, nowMs] of times.entries()) ring.push(new CacheEvent(`default/${i}`, i + 1, undefined, undefined), nowMs);
  return ring;
}

const revisionsAfter = (ring: EventRing, revision: number): readonly number[] => {
  const seen: number[] = [];
  ring.forEachAfter(revision, (event) => seen.push(event.revision));
  return seen;
};

describe("EventRing", () => {
  it("keeps events while they are young, and no more than it may", () => {
    const ring = ringOf([0, 10, 20, 30, 40, 50]);
    expect([ring.size, ring.completeAfter]).toEqual([5, 1]);
    expect(revisionsAfter(ring, 3)).toEqual([4, 5, 6]);
  });

  it("keeps no more bytes of what is over than it may", () => {
    const before = new ObjectVersion("default/a", configMap, 1, new Uint8Array(100));
    const ring = new EventRing({ minEvents: 2, maxAgeMs: 1_000, maxBytes: 350 });
    for (let revision = 2; revision < 9; revision++) ring.push(new CacheEvent("default/a", revision, undefined, before), 0);
    expect([ring.size, ring.completeAfter]).toEqual([3, 5]);
  });

  it("forgets old events with the next one, but for the last", () => {
    const ring = ringOf([0, 10, 20, 1_500]);
    expect([ring.size, ring.completeAfter]).toEqual([2, 2]);
    expect(revisionsAfter(ring, 0)).toEqual([3, 4]);
  });

  it("says when events will be too old, and forgets them then though nothing happens", () => {
    const ring = ringOf([0, 10, 20, 30]);
    expect(ring.msUntilTrim(30)).toBe(980);
    ring.trim(1_009);
    expect([ring.size, ring.completeAfter]).toEqual([3, 1]);
    ring.trim(1_010);
    expect([ring.size, ring.completeAfter]).toEqual([2, 2]);
    expect(ring.msUntilTrim(1_010)).toBeUndefined();
  });

  it("goes on where many have been forgotten", () => {
    const ring = new EventRing({ minEvents: 1, maxEvents: 10_000, maxAgeMs: 1_000 });
    for (let i = 1; i <= 5_000; i++) ring.push(new CacheEvent("default/a", i, undefined, undefined), i < 4_990 ? 0 : 900);
    ring.trim(1_500);
    expect([ring.size, ring.completeAfter]).toEqual([11, 4_989]);
    ring.push(new CacheEvent("default/a", 5_001, undefined, undefined), 2_000);
    expect(revisionsAfter(ring, 0)).toEqual([5_001]);
  });
});

import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { WatchPace } from "./watch-pace.ts";

async function isOver(pause: Promise<void>): Promise<boolean> {
  let over = false;
  void pause.then(() => (over = true));
  await new Promise((resolve) => setImmediate(resolve));
  return over;
}

/** Writes until it has to wait. */
function writesUntilPause(pace: WatchPace): { writes: number; pause: Promise<void> } {
  for (let writes = 1; writes <= 1000; writes++) {
    const pause = pace.wrote();
    if (pause) return { writes, pause };
  }
  throw new Error("no pause after 1000 writes at once");
}

describe("WatchPace", () => {
  it("holds up nobody while little is written", async () => {
    const clock = new VirtualClock();
    const pace = new WatchPace(clock);
    for (let i = 0; i < 200; i++) {
      for (let watcher = 0; watcher < 5; watcher++) expect(pace.wrote()).toBeUndefined();
      await clock.advance(5);
    }
  });

  it("lets those who are ahead of it wait together, for milliseconds", async () => {
    const clock = new VirtualClock();
    const pace = new WatchPace(clock);
    const { writes, pause } = writesUntilPause(pace);
    expect(writes).toBeGreaterThan(5);
    expect(pace.wrote()).toBe(pause);
    expect(await isOver(pause)).toBe(false);
    await clock.advance(10);
    expect(await isOver(pause)).toBe(true);
    expect(pace.wrote()).toBeUndefined();
  });

  it("holds nobody up for longer than 20 ms, however many write", async () => {
    const clock = new VirtualClock();
    const pace = new WatchPace(clock);
    for (let i = 0; i < 10_000; i++) void pace.wrote();
    const pause = pace.wrote() as Promise<void>;
    await clock.advance(20);
    expect(await isOver(pause)).toBe(true);
    await clock.advance(20);
    const next = pace.wrote() as Promise<void>;
    await clock.advance(20);
    expect(await isOver(next)).toBe(true);
  });
});

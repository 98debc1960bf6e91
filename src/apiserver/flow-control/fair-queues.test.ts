import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { type Arrival, FairQueues, type QueueSettings, SeatsRefused, type WorkEstimate } from "./fair-queues.ts";
import { HandDealer } from "./shuffle-shard.ts";

const single: WorkEstimate = { seats: 1, finalSeats: 0, additionalMs: 0 };

function level(limit: number, settings: Partial<QueueSettings> = {}) {
  const clock = new VirtualClock();
  const queues = new FairQueues(clock);
  queues.configure({ queues: 8, handSize: 2, queueLengthLimit: 50, ...settings });
  queues.setLimit(limit);
  const arrival = (flow: string, work: WorkEstimate = single, more: Partial<Arrival> = {}): Arrival => ({
    flow,
    work,
    maxWaitMs: 15_000,
    signal: () => new AbortController().signal,
    ...more,
  });
  /** Enters, works so long, and leaves; resolves with the time at which it left or with why it was refused. */
  const serve = async (flow: string, durationMs: number, work: WorkEstimate = single, more: Partial<Arrival> = {}) => {
    try {
      const leave = await queues.enter(arrival(flow, work, more));
      await clock.sleep(durationMs);
      leave();
      return clock.monotonic();
    } catch (error) {
      if (error instanceof SeatsRefused) return error.reason;
      throw error;
    }
  };
  return { clock, queues, arrival, serve };
}

describe("FairQueues", () => {
  it("gives free seats at once, without a promise or a signal", () => {
    const { queues, arrival } = level(2);
    const signal = (): AbortSignal => {
      throw new Error("nothing waits, so nobody needs the signal");
    };
    const leave = queues.enter(arrival("a", single, { signal }));
    expect(leave).toBeTypeOf("function");
    expect(queues.seatsInUse).toBe(1);
    if (!(leave instanceof Promise)) leave();
    expect(queues.isIdle).toBe(true);
  });

  it("keeps everything waiting where there are no seats, until there are", async () => {
    const { clock, serve, queues } = level(0, { queueLengthLimit: 2, queues: 1, handSize: 1 });
    const ends = Promise.all([serve("a", 100), serve("a", 100, single, { maxWaitMs: 1000 }), serve("a", 100)]);
    await clock.advance(1000);
    expect([queues.executing, queues.waiting, queues.counts.timedOut]).toEqual([0, 1, 1]);
    queues.setLimit(1);
    await clock.advance(100);
    expect(await ends).toEqual([1100, "time-out", "queue-full"]);
  });

  it("serves one request at a time where there are neither seats nor queues", async () => {
    const { clock, serve } = level(0, { queues: 0, handSize: 0 });
    const ends = Promise.all([serve("a", 100), serve("a", 100)]);
    await clock.advance(100);
    expect(await ends).toEqual([100, "concurrency-limit"]);
  });

  it("serves no more than the limit at a time, and the others after them", async () => {
    const { clock, serve, queues } = level(2);
    const ends = Promise.all([serve("a", 100), serve("a", 100), serve("a", 100), serve("a", 100)]);
    await clock.settle();
    expect([queues.executing, queues.waiting]).toEqual([2, 2]);
    await clock.advance(500);
    expect(await ends).toEqual([100, 100, 200, 200]);
  });

  it("lets a small flow through beside one that has filled its queues", async () => {
    const { clock, serve } = level(1, { queues: 64, handSize: 6, queueLengthLimit: 1000 });
    const elephants = Array.from({ length: 200 }, () => serve("elephant", 10));
    await clock.settle();
    const mouse = serve("mouse", 10);
    await clock.advance(5000);
    // The one that was being served, and at most one of each of the elephant's six queues.
    expect(await mouse).toBeLessThanOrEqual(80);
    expect(await elephants.at(-1)).toBe(2010);
  });

  it("counts work in seats: wide requests leave room for more narrow ones of another flow", async () => {
    const { clock, serve } = level(4, { queues: 128, handSize: 1, queueLengthLimit: 1000 });
    const wide: WorkEstimate = { seats: 4, finalSeats: 0, additionalMs: 0 };
    const order: string[] = [];
    const note = (name: string, end: Promise<unknown>) => end.then(() => order.push(name));
    const all = [
      ...Array.from({ length: 10 }, () => note("wide", serve("wide", 10, wide))),
      ...Array.from({ length: 40 }, () => note("narrow", serve("narrow", 10))),
    ];
    await clock.advance(1000);
    await Promise.all(all);
    const half = order.slice(0, 25);
    const narrow = half.filter((name) => name === "narrow").length;
    expect(narrow).toBeGreaterThanOrEqual(18);
    expect(narrow).toBeLessThanOrEqual(22);
  });

  it("lets a request wider than the level run alone", async () => {
    const { clock, serve } = level(2);
    const ends = Promise.all([serve("a", 100), serve("b", 50, { seats: 5, finalSeats: 0, additionalMs: 0 }), serve("c", 10)]);
    await clock.advance(1000);
    // The narrow one ends first in virtual time too, and finds a seat beside the first.
    expect(await ends).toEqual([100, 150, 10]);
  });

  it("refuses what finds its queue full, what has waited too long, and what the client gave up", async () => {
    const { clock, serve, queues } = level(1, { queues: 1, handSize: 1, queueLengthLimit: 2 });
    const gone = new AbortController();
    const first = serve("a", 60_000);
    const late = serve("a", 1);
    const cancelled = serve("a", 1, single, { signal: () => gone.signal });
    expect(await serve("a", 1)).toBe("queue-full");
    gone.abort();
    expect(await cancelled).toBe("cancelled");
    await clock.advance(15_000);
    expect(await late).toBe("time-out");
    await clock.advance(60_000);
    expect(await first).toBe(60_000);
    expect(queues.counts).toEqual({ dispatched: 1, rejected: 1, timedOut: 1, cancelled: 1 });
    expect(queues.isIdle).toBe(true);
  });

  it("lets nothing wait where it has no queues", async () => {
    const { clock, serve } = level(1, { queues: 0 });
    const first = serve("a", 10);
    expect(await serve("a", 10)).toBe("concurrency-limit");
    await clock.advance(10);
    expect(await first).toBe(10);
  });

  it("holds the seats of a write while its watchers are told", async () => {
    const { clock, serve, queues } = level(3);
    const write = serve("a", 10, { seats: 1, finalSeats: 3, additionalMs: 20 });
    const next = serve("b", 5);
    await clock.advance(10);
    expect(await write).toBe(10);
    expect(queues.seatsInUse).toBe(3);
    await clock.advance(30);
    expect(await next).toBe(35);
  });

  it("serves what waits when the level gets more seats", async () => {
    const { clock, serve, queues } = level(1);
    const ends = Promise.all([serve("a", 100), serve("a", 100), serve("b", 100)]);
    await clock.advance(50);
    queues.setLimit(3);
    await clock.advance(200);
    expect(await ends).toEqual([100, 150, 150]);
  });

  it("keeps what waits in a queue that is no longer dealt", async () => {
    const { clock, serve, queues } = level(1, { queues: 8, handSize: 8 });
    const ends = Promise.all([serve("a", 10), serve("a", 10), serve("a", 10), serve("a", 10)]);
    await clock.settle();
    queues.configure({ queues: 1, handSize: 1, queueLengthLimit: 50 });
    await clock.advance(100);
    expect([...(await ends)].sort()).toEqual([10, 20, 30, 40]);
  });
});

describe("HandDealer", () => {
  it("deals distinct queues, the same for the same flow and every queue to somebody", () => {
    const dealer = new HandDealer(16, 4);
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const hand = dealer.hand(`flow-${i}`);
      expect(new Set(hand).size).toBe(4);
      for (const queue of hand) seen.add(queue);
      expect(new HandDealer(16, 4).hand(`flow-${i}`)).toEqual(hand);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });
});

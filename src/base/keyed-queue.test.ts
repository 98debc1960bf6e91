import { describe, expect, it } from "vitest";
import { VirtualClock } from "./clock.ts";
import { KeyedQueue, type KeyOutcome } from "./keyed-queue.ts";

const done: KeyOutcome = { kind: "done" };

/** Work that ends when the test says so. */
function controlled(options: { readonly workers?: number; readonly deadlineMs?: number } = {}) {
  const clock = new VirtualClock();
  const running = new Map<string, (outcome: KeyOutcome) => void>();
  const started: string[] = [];
  const signals = new Map<string, AbortSignal>();
  const queue = new KeyedQueue<string>({
    clock,
    ...options,
    work: (key, signal) => {
      started.push(key);
      signals.set(key, signal);
      return new Promise((resolve) => running.set(key, resolve));
    },
  });
  queue.start();
  const finish = async (key: string, outcome: KeyOutcome = done): Promise<void> => {
    running.get(key)?.(outcome);
    await clock.settle();
  };
  return { clock, queue, started, signals, finish };
}

describe("KeyedQueue", () => {
  it("works on a key once, however often it was added while it waited", async () => {
    const { clock, queue, started } = controlled();
    queue.add("a");
    queue.add("a");
    await clock.settle();
    expect(started).toEqual(["a"]);
  });

  it("lets others have a turn while keys set each other off without end", async () => {
    const clock = new VirtualClock();
    let worked = 0;
    const queue: KeyedQueue<string> = new KeyedQueue<string>({
      clock,
      work: async (key) => {
        if (++worked < 100_000) queue.add(key === "a" ? "b" : "a");
        return done;
      },
    });
    queue.start();
    queue.add("a");
    await new Promise<void>((resolve) => setImmediate(resolve));
    expect(worked).toBeLessThan(10_000);
    await queue.stop();
  });

  it("never works on a key twice at the same time, and comes back to one added meanwhile", async () => {
    const { clock, queue, started, finish } = controlled({ workers: 2 });
    queue.add("a");
    await clock.settle();
    queue.add("a");
    queue.add("a");
    await clock.settle();
    expect(started).toEqual(["a"]);
    await finish("a");
    expect(started).toEqual(["a", "a"]);
    await finish("a");
    expect(started).toEqual(["a", "a"]);
    expect(queue.isIdle).toBe(true);
  });

  it("has no more workers than it was given", async () => {
    const { clock, queue, started, finish } = controlled({ workers: 2 });
    for (const key of ["a", "b", "c"]) queue.add(key);
    await clock.settle();
    expect(started).toEqual(["a", "b"]);
    expect(queue.depth).toBe(1);
    await finish("b");
    expect(started).toEqual(["a", "b", "c"]);
  });

  it("waits twice as long after each failure, and starts over after a success", async () => {
    const { clock, queue, started, finish } = controlled();
    queue.add("a");
    await clock.settle();
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      const count = started.length;
      await finish("a", { kind: "retry" });
      let waited = 0;
      for (; started.length === count; waited++) await clock.advance(1);
      waits.push(waited);
    }
    expect(waits).toEqual([5, 10, 20, 40]);
    expect(queue.failures("a")).toBe(4);
    await finish("a");
    expect(queue.failures("a")).toBe(0);
  });

  it("lets the earliest of several delays count", async () => {
    const { clock, queue, started } = controlled();
    queue.addAfter("a", 5_000);
    queue.addAfter("a", 1_000);
    queue.addAfter("a", 9_000);
    await clock.advance(999);
    expect(started).toEqual([]);
    await clock.advance(1);
    expect(started).toEqual(["a"]);
    await clock.advance(20_000);
    expect(started).toEqual(["a"]);
  });

  it("takes the worker from work that overstays its deadline, but not the key", async () => {
    const { clock, queue, started, signals, finish } = controlled({ workers: 1, deadlineMs: 1_000 });
    queue.add("hung");
    queue.add("next");
    await clock.advance(999);
    expect(started).toEqual(["hung"]);
    await clock.advance(1);
    expect(signals.get("hung")?.aborted).toBe(true);
    expect(started).toEqual(["hung", "next"]);
    queue.add("hung");
    await finish("next");
    expect(started).toEqual(["hung", "next"]);
    await finish("hung");
    expect(started).toEqual(["hung", "next", "hung"]);
  });

  it("when stopped drops what waits and lets work in progress end", async () => {
    const { clock, queue, started, signals, finish } = controlled();
    queue.add("a");
    queue.add("b");
    queue.addAfter("c", 10);
    await clock.settle();
    let stopped = false;
    const stopping = queue.stop().then(() => {
      stopped = true;
    });
    await clock.advance(100);
    expect(stopped).toBe(false);
    expect(signals.get("a")?.aborted).toBe(false);
    await finish("a");
    await stopping;
    queue.add("d");
    await clock.advance(100);
    expect(started).toEqual(["a"]);
  });

  it("when stopped aborts work that does not end, and waits no longer", async () => {
    const { clock, queue, signals } = controlled();
    queue.add("a");
    await clock.settle();
    const stopping = queue.stop();
    await clock.advance(5_000);
    await stopping;
    expect(signals.get("a")?.aborted).toBe(true);
  });
});

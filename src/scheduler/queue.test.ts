import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Node, Pod } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import type { QueuedPodInfo } from "./framework.ts";
import { KeyedHeap } from "./heap.ts";
import { nodeUnschedulable } from "./plugins/node.ts";
import { prioritySort, schedulingGates } from "./plugins/queue.ts";
import { nodeResourcesFit } from "./plugins/resources.ts";
import { SchedulingQueue } from "./queue.ts";
import { testNode, testPod } from "./test-objects.ts";

function setUp() {
  const clock = new VirtualClock();
  const plugins = [schedulingGates, prioritySort, nodeUnschedulable, nodeResourcesFit];
  const queue = new SchedulingQueue({ clock, pluginsOf: () => plugins, sort: prioritySort.queueSort ?? (() => 0) });
  return { clock, queue };
}

function take(queue: SchedulingQueue): QueuedPodInfo {
  const info = queue.popNow();
  if (!info) throw new Error("the queue has no pod ready");
  return info;
}

const withPriority = (name: string, priority: number): Pod => testPod(name, { spec: { priority } });

describe("SchedulingQueue", () => {
  it("gives the highest priority first, and the longest waiting among equals", async () => {
    const { clock, queue } = setUp();
    queue.add(withPriority("low", 1));
    await clock.advance(1);
    queue.add(withPriority("high", 10));
    await clock.advance(1);
    queue.add(withPriority("later", 10));
    expect([take(queue), take(queue), take(queue)].map((i) => i.pod.metadata.name)).toEqual(["high", "later", "low"]);
  });

  it("wakes an unschedulable pod for an event of the plugin that rejected it", () => {
    const { queue } = setUp();
    queue.add(testPod("p"));
    queue.failed(take(queue), testPod("p"), new Set(["NodeUnschedulable"]));
    queue.onEvent("AssignedPodDelete", testPod("q"), undefined);
    expect(queue.sizes).toMatchObject({ unschedulable: 1, backoff: 0 });
    queue.onEvent("NodeTaint", testNode("a", { spec: { unschedulable: true } }), testNode("a"));
    expect(queue.sizes).toMatchObject({ unschedulable: 0, backoff: 1 });
    expect(take(queue).attempts).toBe(2);
  });

  it("takes pods from the back-off before its end when no others are waiting, those first whose back-off ends first", async () => {
    const { clock, queue } = setUp();
    const wake = () => queue.onEvent("NodeAdd", undefined, testNode("a"));
    for (const [name, priority] of [
      ["slow", 5],
      ["low", 1],
      ["high", 9],
    ] as const)
      queue.add(withPriority(name, priority));
    const tried = new Map([take(queue), take(queue), take(queue)].map((info) => [info.pod.metadata.name, info]));
    const refuse = (name: string, attempts = 1) => {
      const info = tried.get(name);
      if (info) queue.failed({ ...info, attempts }, info.pod, new Set(["NodeResourcesFit"]));
    };
    refuse("slow", 3);
    refuse("low");
    refuse("high");
    wake();
    queue.add(withPriority("new", 0));
    expect(queue.sizes).toMatchObject({ active: 1, backoff: 3 });
    const order = [take(queue), take(queue), take(queue)].map((info) => info.pod.metadata.name);
    expect(order).toEqual(["new", "high", "low"]);
    await clock.advance(3_999);
    expect(take(queue).pod.metadata.name).toBe("slow");
  });

  it("pauses after a pod that was taken from the back-off in vain", async () => {
    const { clock, queue } = setUp();
    for (const name of ["a", "b"]) queue.add(testPod(name));
    for (const info of [take(queue), take(queue)]) queue.failed(info, info.pod, new Set(["NodeResourcesFit"]));
    queue.onEvent("NodeAdd", undefined, testNode("n"));
    const inVain = take(queue);
    queue.failed(inVain, inVain.pod, new Set(["NodeResourcesFit"]));
    expect(queue.popNow()).toBeUndefined();
    const waiting = queue.pop();
    await clock.advance(20);
    expect((await waiting)?.pod.metadata.name).toBe("b");
  });

  it("asks the hint whether the event helps", () => {
    const { queue } = setUp();
    queue.add(testPod("p"));
    queue.failed(take(queue), testPod("p"), new Set(["NodeUnschedulable"]));
    queue.onEvent("NodeAdd", undefined, testNode("a", { spec: { unschedulable: true } }) as Node);
    expect(queue.sizes.unschedulable).toBe(1);
  });

  it("does not miss an event that comes while the pod is being tried", () => {
    const { queue } = setUp();
    queue.add(testPod("p"));
    const info = take(queue);
    queue.onEvent("NodeAdd", undefined, testNode("a"));
    queue.failed(info, testPod("p"), new Set(["NodeResourcesFit"]));
    expect(queue.sizes).toMatchObject({ unschedulable: 0, backoff: 1 });
  });

  it("tries again after an error without any event, waiting longer each time up to ten seconds", async () => {
    const { clock, queue } = setUp();
    queue.add(testPod("p"));
    for (const waitMs of [1000, 2000, 4000, 8000, 10_000, 10_000]) {
      queue.failed(take(queue), testPod("p"), new Set());
      await clock.advance(waitMs - 1);
      expect(queue.popNow()).toBeUndefined();
      await clock.advance(1);
    }
    expect(take(queue).attempts).toBe(7);
  });

  it("tries an unschedulable pod again after five minutes whatever happens", async () => {
    const { clock, queue } = setUp();
    queue.add(testPod("p"));
    queue.failed(take(queue), testPod("p"), new Set(["NodeResourcesFit"]));
    await clock.advance(5 * 60_000 + 30_000);
    expect(take(queue).pod.metadata.name).toBe("p");
  });

  it("holds a pod back while it has scheduling gates", () => {
    const { queue } = setUp();
    const gated = testPod("p", { spec: { schedulingGates: [{ name: "wait" }] } });
    queue.add(gated);
    expect(queue.popNow()).toBeUndefined();
    queue.update(testPod("p"), gated);
    expect(take(queue).pod.metadata.name).toBe("p");
  });

  it("tries an activated pod at once, and looks again at a released one that is held back", () => {
    const { queue } = setUp();
    queue.add(testPod("p"));
    queue.failed(take(queue), testPod("p"), new Set(["NodeResourcesFit"]));
    queue.release(testPod("p"));
    expect(queue.popNow()).toBeUndefined();
    queue.activate(testPod("p"));
    expect(take(queue).pod.metadata.name).toBe("p");
  });

  it("forgets a deleted pod wherever it waits", () => {
    const { queue } = setUp();
    queue.add(testPod("a"));
    queue.add(testPod("b"));
    queue.failed(take(queue), testPod("a"), new Set(["NodeResourcesFit"]));
    queue.delete(testPod("a"));
    queue.delete(testPod("b"));
    expect(queue.sizes).toEqual({ active: 0, backoff: 0, unschedulable: 0, gated: 0 });
  });

  it("resolves a waiting pop when a pod arrives, and with nothing when it is closed", async () => {
    const { queue } = setUp();
    const waiting = queue.pop();
    queue.add(testPod("p"));
    expect((await waiting)?.pod.metadata.name).toBe("p");
    const last = queue.pop();
    queue.close();
    expect(await last).toBeUndefined();
  });
});

describe("KeyedHeap", () => {
  it("pops in order after any sequence of sets and deletes", () => {
    const operation = fc.record({ key: fc.integer({ min: 0, max: 20 }).map(String), value: fc.integer(), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const heap = new KeyedHeap<{ key: string; value: number }>(
          (i) => i.key,
          (a, b) => a.value - b.value,
        );
        const model = new Map<string, number>();
        for (const { key, value, remove } of operations) {
          if (remove) {
            heap.delete(key);
            model.delete(key);
          } else {
            heap.set({ key, value });
            model.set(key, value);
          }
        }
        const popped: number[] = [];
        for (let item = heap.pop(); item; item = heap.pop()) popped.push(item.value);
        expect(popped).toEqual([...model.values()].sort((a, b) => a - b));
      }),
    );
  });
});

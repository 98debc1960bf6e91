import { describe, expect, it } from "vitest";
import type { ContainerStatus, Pod } from "../../api/types/core-v1.ts";
import { formatTime, VirtualClock } from "../../base/clock.ts";
import type { Informer, InformerFactory, InformerHandler } from "../../client/informer.ts";
import { SchedulerCache } from "../cache.ts";
import { scoreNodes } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { createFailureBackoff } from "./failure-backoff.ts";

/** Pods as an informer would tell of them, and the scores of the nodes a, b and c. */
function setUp(existing: readonly Pod[] = []) {
  const clock = new VirtualClock();
  const handlers: InformerHandler<Pod>[] = [];
  const informer = {
    addHandler(handler: InformerHandler<Pod>) {
      handlers.push(handler);
      for (const pod of existing) handler.onAdd?.(pod);
      return { remove: () => undefined };
    },
  } as unknown as Informer<Pod>;
  const informers = { informer: () => informer } as unknown as InformerFactory; // only pods are asked for
  const plugin = createFailureBackoff({ informers, clock }, { halfLifeSeconds: 100 });
  const cache = new SchedulerCache();
  for (const name of ["a", "b", "c"]) cache.setNode(testNode(name));
  const scores = (): readonly number[] => {
    const cycle = { pod: testPod("new"), snapshot: cache, state: new Map<string, unknown>() };
    return [...scoreNodes(cycle, { schedulerName: "s", plugins: [plugin] }, cache.nodes)];
  };
  scores();
  return {
    clock,
    scores,
    tell: (pod: Pod, before: Pod) => {
      for (const handler of handlers) handler.onUpdate?.(pod, before);
    },
  };
}

const on = (node: string, status: NonNullable<Pod["status"]> = {}, name = "p"): Pod => ({
  ...testPod(name, { spec: { nodeName: node } }),
  status,
});
const container = (restartCount: number, state: ContainerStatus["state"] = {}): ContainerStatus => ({
  ...{ name: "c", image: "app", imageID: "", ready: false, restartCount, state: state ?? {} },
});
const ready = (value: string) => ({ conditions: [{ type: "Ready", status: value }] });

describe("FailureBackoff", () => {
  it("has no opinion as long as nothing fails", () => {
    const { scores, tell } = setUp();
    tell(on("a", { phase: "Running" }), on("a"));
    expect(scores()).toEqual([0, 0, 0]);
  });

  it("scores nodes the lower the more pods fail on them", () => {
    const { scores, tell } = setUp();
    tell(on("a", { phase: "Failed" }), on("a", { phase: "Running" }));
    expect(scores()).toEqual([50, 100, 100]);
    tell(on("a", { containerStatuses: [container(2)] }, "q"), on("a", { containerStatuses: [container(0)] }, "q"));
    const waiting = { waiting: { reason: "RunContainerError" } };
    tell(on("b", { containerStatuses: [container(0, waiting)] }, "r"), on("b", { containerStatuses: [container(0)] }, "r"));
    expect(scores()).toEqual([25, 50, 100]);
    // The same news again is none.
    tell(on("b", { containerStatuses: [container(0, waiting)] }, "r"), on("b", { containerStatuses: [container(0, waiting)] }, "r"));
    expect(scores()).toEqual([25, 50, 100]);
  });

  it("forgets: a failure counts half after each half-life, and nothing in the end", async () => {
    const { clock, scores, tell } = setUp();
    tell(on("a", { phase: "Failed" }), on("a", { phase: "Running" }));
    await clock.advance(100_000);
    expect(scores()).toEqual([67, 100, 100]);
    await clock.advance(1_000_000);
    expect(scores()).toEqual([0, 0, 0]);
  });

  it("trusts a node more when a pod becomes ready there", () => {
    const { scores, tell } = setUp();
    tell(on("a", { containerStatuses: [container(2)] }), on("a", { containerStatuses: [container(0)] }));
    expect(scores()[0]).toBe(33);
    tell(on("a", ready("True"), "q"), on("a", ready("False"), "q"));
    expect(scores()[0]).toBe(50);
  });

  it("counts what had happened before it was asked, by when it happened, and not without bound", () => {
    const clock = new VirtualClock();
    const finishedAt = formatTime(clock.now() - 100_000);
    const failedLongAgo = { ...container(500), lastState: { terminated: { exitCode: 1, finishedAt } } };
    const { scores } = setUp([on("a", { containerStatuses: [failedLongAgo] })]);
    expect(scores()).toEqual([Math.round(100 / (1 + 10 / 2)), 100, 100]);
  });
});

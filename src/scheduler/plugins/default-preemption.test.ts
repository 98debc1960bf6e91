import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { createLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { SchedulerCache } from "../cache.ts";
import { decide } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { createDefaultPreemption } from "./default-preemption.ts";
import { nodeResourcesFit } from "./resources.ts";

const profile = { schedulerName: "s", plugins: [nodeResourcesFit] };
const recorder = { record: () => undefined, flushed: async () => undefined, stop: async () => undefined };

/** How many of the nodes are candidates where all are full of less important pods. Nobody is evicted. */
async function candidatesAmong(nodes: number, args: { minCandidateNodesPercentage: number; minCandidateNodesAbsolute: number }) {
  const cache = new SchedulerCache();
  for (let i = 0; i < nodes; i++) {
    cache.setNode(testNode(`n${i}`, { cpu: "1" }));
    cache.setPod(testPod(`low${i}`, { cpu: "1", spec: { nodeName: `n${i}`, priority: 0 } }));
  }
  let seen = 0;
  const narrow: NonNullable<Parameters<typeof createDefaultPreemption>[0]["narrow"]> = (_cycle, candidates) => {
    seen = candidates.length;
    return async () => [];
  };
  const logger = createLogger("test", { write: () => undefined });
  const deps = { client: {} as Client, clock: new VirtualClock(), logger, recorder }; // nothing is sent
  const plugin = createDefaultPreemption({ ...deps, budgets: () => [], narrow, ...args });
  const cycle = { pod: testPod("high", { cpu: "1", spec: { priority: 10 } }), snapshot: cache, state: new Map<string, unknown>() };
  const result = decide(cycle, profile, { random: () => 0.5, startAt: 0 });
  if (result.kind !== "unschedulable") throw new Error("the pod fits");
  const { signal } = new AbortController();
  await plugin.postFilter?.(cycle, { profile, rejections: result.rejections, random: () => 0, released: () => undefined, signal });
  return seen;
}

describe("DefaultPreemption", () => {
  it("looks for candidates on the share of nodes that its arguments say, and on the least number", async () => {
    expect(await candidatesAmong(20, { minCandidateNodesPercentage: 10, minCandidateNodesAbsolute: 0 })).toBe(2);
    expect(await candidatesAmong(20, { minCandidateNodesPercentage: 10, minCandidateNodesAbsolute: 5 })).toBe(5);
    expect(await candidatesAmong(20, { minCandidateNodesPercentage: 100, minCandidateNodesAbsolute: 1 })).toBe(20);
    expect(await candidatesAmong(3, { minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 100 })).toBe(3);
  });
});

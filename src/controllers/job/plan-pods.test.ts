import { describe, expect, it } from "vitest";
import type { Job, JobSpec } from "../../api/types/batch-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { IndexSet } from "./index-set.ts";
import { completionIndexName, trackingFinalizer } from "./job-facts.ts";
import { assessJob } from "./job-state.ts";
import { type PodPlan, planPods } from "./plan-pods.ts";
import { noFailures } from "./pod-backoff.ts";

const nowMs = Date.UTC(2026, 0, 1, 12);

function job(spec: Partial<JobSpec>): Job {
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "j", namespace: "n", uid: "j", resourceVersion: "1", creationTimestamp: formatTime(nowMs) },
    spec: { template: { spec: { containers: [] } }, ...spec },
  };
}

function pod(
  name: string,
  more: { readonly index?: number; readonly phase?: "Pending" | "Running" | "Succeeded" | "Failed"; readonly deletedAgoMs?: number } = {},
): Pod {
  const { index, phase = "Running", deletedAgoMs } = more;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "n",
      uid: name,
      resourceVersion: "1",
      creationTimestamp: formatTime(nowMs - 60_000),
      finalizers: [trackingFinalizer],
      ...(index === undefined ? {} : { annotations: { [completionIndexName]: String(index) } }),
      ...(deletedAgoMs === undefined ? {} : { deletionTimestamp: formatTime(nowMs - deletedAgoMs) }),
    },
    spec: { containers: [], nodeName: "n1" },
    status: { phase },
  };
}

function plan(spec: Partial<JobSpec>, pods: readonly Pod[]): string {
  const made: PodPlan = planPods(assessJob({ job: job(spec), pods, backoff: noFailures, nowMs }), nowMs);
  if (made.kind === "create") return `create ${made.pods.map((index) => index ?? "-").join(",")}`;
  if (made.kind === "keep") return "keep";
  return made.kind === "wait" ? `wait ${made.leftMs}` : `${made.kind} ${made.pods.map((each) => each.metadata.name).join(",")}`;
}

describe("planPods()", () => {
  const indexed = { completionMode: "Indexed", completions: 5, parallelism: 5 } as const;

  it("makes no more pods than completions are left", () => {
    expect(plan({ completions: 3, parallelism: 2 }, [])).toBe("create -,-");
    expect(plan({ completions: 3, parallelism: 2 }, [pod("a", { phase: "Succeeded" }), pod("b", { phase: "Succeeded" })])).toBe("create -");
  });

  it("adds nothing to a work queue once a pod has succeeded", () => {
    expect(plan({ parallelism: 3 }, [pod("a")])).toBe("create -,-");
    expect(plan({ parallelism: 3 }, [pod("a"), pod("b", { phase: "Succeeded" })])).toBe("keep");
  });

  it("makes the lowest indexes that are neither done nor in work", () => {
    expect(plan({ ...indexed, parallelism: 3 }, [pod("a", { index: 0, phase: "Succeeded" }), pod("b", { index: 2 })])).toBe("create 1,3");
  });

  it("removes pods without index, with one out of range, and all but one of an index", () => {
    const pods = [pod("none"), pod("high", { index: 5 }), pod("a", { index: 1 }), pod("b", { index: 1, phase: "Pending" })];
    expect(plan(indexed, pods)).toBe("remove none,high,b");
  });

  it("replaces a terminating pod when it has ended only where asked to", () => {
    const terminating = [pod("a", { deletedAgoMs: 60_000 })];
    expect(plan({ completions: 1 }, terminating)).toBe("create -");
    expect(plan({ completions: 1, podReplacementPolicy: "Failed" }, terminating)).toBe("keep");
  });

  it("waits out the back-off of the last failure", () => {
    expect(plan({ completions: 1 }, [pod("a", { deletedAgoMs: 4_000 })])).toBe("wait 6000");
  });

  it("removes all pods of a suspended job, and those above the parallelism", () => {
    expect(plan({ completions: 2, parallelism: 2, suspend: true }, [pod("a"), pod("b")])).toBe("remove a,b");
    expect(plan({ completions: 2, parallelism: 1 }, [pod("a"), pod("b", { phase: "Pending" })])).toBe("remove b");
  });

  it("ends the active pods of a job past its limit", () => {
    expect(plan({ completions: 2, parallelism: 2, backoffLimit: 0 }, [pod("a"), pod("b", { phase: "Failed" })])).toBe("end a");
  });
});

describe("IndexSet", () => {
  it.each([
    ["", ""],
    ["0,1,2", "0-2"],
    ["1,2", "1,2"],
    ["7,3-5,x,4", "3-5,7"],
    ["5-20", "5-9"],
  ])("reads %j as %j", (text, canonical) => {
    expect(IndexSet.parse(text, 10).toString()).toBe(canonical);
  });

  it("answers membership, size, overlap and what is missing as a plain set does", () => {
    const a = IndexSet.of([0, 1, 2, 7, 9]);
    const b = IndexSet.parse("2-8", 10);
    expect(Array.from({ length: 11 }, (_, i) => i).filter((i) => a.has(i))).toEqual([0, 1, 2, 7, 9]);
    expect(a.overlap(b)).toBe(2);
    expect(a.union(b).toString()).toBe("0-9");
    expect([a.size, a.firstMissing(3, 10), a.firstMissing(9, 6)]).toEqual([5, [3, 4, 5], [3, 4, 5]]);
  });
});

import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { podsToPreempt } from "./preemption.ts";

interface Sketch {
  readonly name: string;
  readonly cpu?: string;
  readonly memory?: string;
  readonly limited?: boolean;
  readonly priority?: number;
}

function podOf({ name, cpu, memory, limited, priority }: Sketch): Pod {
  const amounts = { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}) };
  const resources = { ...(cpu || memory ? { requests: amounts } : {}), ...(limited ? { limits: amounts } : {}) };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "d", uid: name } as Pod["metadata"],
    spec: { containers: [{ name: "main", resources }], ...(priority === undefined ? {} : { priority }) },
  };
}

const critical = podOf({ name: "critical", priority: 2_000_000_000 });
const chosen = (pods: readonly Sketch[], lacking: Record<string, number>): readonly string[] | undefined =>
  podsToPreempt(critical, pods.map(podOf), lacking)?.map((p) => p.metadata.name);

describe("podsToPreempt()", () => {
  it.each<[what: string, pods: readonly Sketch[], lacking: Record<string, number>, gone: readonly string[] | undefined]>([
    ["nothing when nothing is lacking", [{ name: "a", cpu: "1" }], {}, []],
    ["none when all together are not enough", [{ name: "a", cpu: "1" }], { cpu: 2000 }, undefined],
    [
      "burstable before guaranteed ones",
      [
        { name: "g", cpu: "1", memory: "1Mi", limited: true },
        { name: "b", cpu: "1" },
      ],
      { cpu: 500 },
      ["b"],
    ],
    ["best-effort ones for a place", [{ name: "b", cpu: "1" }, { name: "e" }], { pods: 1 }, ["e"]],
    [
      "the one that suffices rather than two",
      [
        { name: "a", cpu: "400m" },
        { name: "b", cpu: "1" },
        { name: "c", cpu: "400m" },
      ],
      { cpu: 700 },
      ["b"],
    ],
    [
      "of those that suffice the smaller",
      [
        { name: "a", cpu: "3" },
        { name: "b", cpu: "1" },
      ],
      { cpu: 700 },
      ["b"],
    ],
    [
      "by all resources at once",
      [
        { name: "a", cpu: "1" },
        { name: "b", cpu: "1", memory: "1Gi" },
      ],
      { cpu: 500, memory: 2 ** 29 },
      ["b"],
    ],
    ["no critical ones", [{ name: "a", cpu: "1", priority: 2_000_000_000 }], { cpu: 500 }, undefined],
  ])("chooses %s", (_what, pods, lacking, gone) => expect(chosen(pods, lacking)).toEqual(gone));

  it("lets the more important of two critical pods go first", () => {
    const pods = [podOf({ name: "a", cpu: "1", priority: 2_000_000_000 })];
    expect(podsToPreempt(podOf({ name: "n", priority: 2_000_001_000 }), pods, { cpu: 500 })).toEqual(pods);
  });
});

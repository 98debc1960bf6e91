import { describe, expect, it } from "vitest";
import type { Plugin } from "./framework.ts";
import { testPod } from "./test-objects.ts";
import { UnschedulablePods } from "./unschedulable-pods.ts";

const labels: Plugin = { name: "Labels", queueingHints: [{ event: "NodeAdd" }] };
const room: Plugin = { name: "Room", queueingHints: [{ event: "NodeAdd" }, { event: "AssignedPodDelete" }] };

const rejected = (name: string, ...by: readonly string[]) => ({
  key: `default/${name}`,
  pod: testPod(name),
  rejectedBy: new Set(by),
});

describe("UnschedulablePods", () => {
  it("tells those that a plugin rejected which listens to an event", () => {
    const pods = new UnschedulablePods(() => [labels, room]);
    for (const pod of [rejected("a", "Labels"), rejected("b", "Room"), rejected("c", "Room", "Labels")]) pods.set(pod);
    const namesOf = (event: "NodeAdd" | "AssignedPodDelete"): readonly string[] =>
      pods.listeningTo(event).map(({ pod }) => pod.metadata.name);
    expect(namesOf("NodeAdd")).toEqual(["a", "b", "c"]);
    expect(namesOf("AssignedPodDelete")).toEqual(["b", "c"]);
    pods.delete("default/b");
    expect([namesOf("AssignedPodDelete"), pods.size, pods.has("default/b")]).toEqual([["c"], 2, false]);
  });

  it("moves a pod that others reject the next time", () => {
    const pods = new UnschedulablePods(() => [labels, room]);
    pods.set(rejected("a", "Room"));
    pods.set(rejected("a", "Labels"));
    expect(pods.size).toBe(1);
    expect(pods.listeningTo("AssignedPodDelete")).toEqual([]);
  });

  it("asks for the plugins anew once it has been cleared", () => {
    let plugins: readonly Plugin[] = [labels];
    const pods = new UnschedulablePods(() => plugins);
    pods.set(rejected("a", "Labels"));
    pods.clear();
    plugins = [{ ...labels, queueingHints: [{ event: "AssignedPodDelete" }] }];
    pods.set(rejected("a", "Labels"));
    expect(pods.listeningTo("AssignedPodDelete")).toHaveLength(1);
  });
});

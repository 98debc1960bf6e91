import { expect, it } from "vitest";
import { SchedulerCache } from "./cache.ts";
import type { Plugin, Profile } from "./framework.ts";
import { PluginEvaluations } from "./plugin-evaluations.ts";
import { decide } from "./schedule.ts";
import { testNode, testPod } from "./test-objects.ts";

const refusing = (name: string, ...nodes: readonly string[]): Plugin => ({
  name,
  filter: () => (node) => (nodes.includes(node.name) ? { reasons: ["no"] } : undefined),
});

it("plugins are counted once per pod before the nodes, and once for each node that got as far as them", () => {
  const cache = new SchedulerCache();
  for (const name of ["a", "b", "c", "d"]) cache.setNode(testNode(name));
  const profile: Profile = {
    schedulerName: "s",
    plugins: [
      { name: "Early", preFilter: () => undefined },
      refusing("First", "a"),
      { name: "Idle", filter: () => undefined },
      refusing("NodeName", "b"),
      { name: "Scoring", score: () => () => 1 },
      { name: "Silent", score: () => undefined },
    ],
  };
  const counts = new PluginEvaluations(profile);
  decide({ pod: testPod("p"), snapshot: cache, state: new Map() }, profile, { random: () => 0, startAt: 0, evaluations: counts });
  const told: string[] = [];
  counts.take((point, plugin, times) => told.push(`${plugin} ${point} ${times}`));
  expect(told).toEqual([
    "Early PreFilter 1",
    "First PreFilter 1",
    "First Filter 4",
    "Idle PreFilter 1",
    "Idle Filter 0",
    "NodeName Filter 3",
    "Scoring PreScore 1",
    "Scoring Score 2",
    "Silent PreScore 1",
    "Silent Score 0",
  ]);
  counts.take((_point, _plugin, times) => expect(times).toBe(0));
});

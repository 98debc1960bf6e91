// Placing and preempting with a memory against the same without: clusters through which pods of few kinds come and go, each of
// which is decided on twice. And the victims of one node against a plain reading of the rules.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { SchedulerCache } from "../cache.ts";
import type { SchedulingCycle } from "../framework.ts";
import { KnownVerdicts } from "../known-verdicts.ts";
import { decide, type Unschedulable } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { testProfile } from "../test-profile.ts";
import { OutcomeMemory } from "./known-outcomes.ts";
import { bestCandidate, findCandidates, victimsOn } from "./victims.ts";

const profile = testProfile();

// ---- kinds of pods, and what happens to a cluster

const awayFrom = (app: string) => ({
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app } } }],
  },
});

const kind = fc.record({
  cpu: fc.integer({ min: 1, max: 4 }),
  priority: fc.integer({ min: 0, max: 2 }),
  ssd: fc.boolean(),
  port: fc.boolean(),
  away: fc.integer({ min: 0, max: 39 }).map((n) => n === 0),
});
type Kind = typeof kind extends fc.Arbitrary<infer T> ? T : never;

function podOf(name: string, { cpu, priority, ssd, port, away }: Kind): Pod {
  const pod = testPod(name, { cpu: String(cpu), labels: { app: away ? "shy" : "web" } });
  const containers = pod.spec.containers.map((c) => (port ? { ...c, ports: [{ containerPort: 80, hostPort: 80 }] } : c));
  const affinity = away ? { affinity: awayFrom("web") } : {};
  return { ...pod, spec: { ...pod.spec, containers, priority, ...affinity, ...(ssd ? { nodeSelector: { disk: "ssd" } } : {}) } };
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant("try" as const), kind: fc.nat(), node: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("remove" as const), kind: fc.nat(), node: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("cordon" as const), kind: fc.nat(), node: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("replace" as const), kind: fc.nat(), node: fc.nat() }) },
);

const history = fc.record({
  nodes: fc.array(fc.record({ cpu: fc.integer({ min: 2, max: 4 }), ssd: fc.boolean() }), { minLength: 1, maxLength: 6 }),
  kinds: fc.array(kind, { minLength: 1, maxLength: 4 }),
  steps: fc.array(step, { minLength: 5, maxLength: 60 }),
});

const pick = <T>(list: readonly T[], at: number): T | undefined => list[at % list.length];

/** A cluster, and the pods that wait in it, nominated. */
class World {
  readonly cache = new SchedulerCache();
  readonly placed = new Map<string, Pod>();
  readonly waiting: Pod[] = [];
  #started = 0;
  readonly #nodes: { cpu: number; ssd: boolean; cordoned?: boolean }[];

  constructor(nodes: readonly { cpu: number; ssd: boolean }[]) {
    this.#nodes = nodes.map((node) => ({ ...node }));
    for (let i = 0; i < nodes.length; i++) this.#set(i);
  }

  #set(i: number): void {
    const node = this.#nodes[i];
    if (!node) return;
    const labels: Record<string, string> = node.ssd ? { disk: "ssd" } : {};
    this.cache.setNode(testNode(`n${i}`, { cpu: String(node.cpu), labels, spec: node.cordoned ? { unschedulable: true } : {} }));
  }

  place(pod: Pod, nodeName: string): void {
    // No two alike: among equals it is chance who goes.
    const startTime = new Date(Date.UTC(2026, 0, 1) + 1000 * this.#started++).toISOString();
    const there = { ...pod, spec: { ...pod.spec, nodeName }, status: { startTime } };
    this.cache.setPod(there);
    this.placed.set(pod.metadata.uid, there);
  }

  remove(pod: Pod | undefined): void {
    if (!pod) return;
    this.cache.removePod(pod);
    this.placed.delete(pod.metadata.uid);
  }

  cordon(at: number): void {
    const i = at % this.#nodes.length;
    const node = this.#nodes[i];
    if (node) node.cordoned = !node.cordoned;
    this.#set(i);
  }

  replace(at: number): void {
    const i = at % this.#nodes.length;
    this.cache.removeNode(`n${i}`);
    this.#set(i);
  }
}

function preempt(cycle: SchedulingCycle, result: Unschedulable, memory: OutcomeMemory | undefined) {
  const helpful = cycle.snapshot.nodes.filter((node) => {
    const rejection = result.rejections.get(node.name);
    return rejection !== undefined && !rejection.unresolvable;
  });
  const known = memory && result.signature !== undefined ? { known: memory.for(cycle, result.signature, []) } : {};
  const { candidates, rejections } = findCandidates(cycle, helpful, { profile, budgets: [], offset: 0, enough: 100, ...known });
  const best = bestCandidate(candidates);
  return { best, reasons: [...rejections()].map(([name, { reasons }]) => `${name}: ${reasons.join()}`) };
}

const plainly = ({ message, rejectedBy, rejections }: Unschedulable) => ({
  message,
  rejectedBy: [...rejectedBy].sort(),
  rejections: [...rejections].map(([name, { reasons, unresolvable = false }]) => [name, reasons, unresolvable]).sort(),
});

describe("decisions with what earlier pods were told", () => {
  it("are those that would be made without it", () => {
    const seen = { remembered: 0, placed: 0, preempted: 0 };
    fc.assert(
      fc.property(history, ({ nodes, kinds, steps }) => {
        const world = new World(nodes);
        const [verdicts, memory] = [new KnownVerdicts(), new OutcomeMemory()];
        for (const [number, { what, kind: which, node }] of steps.entries()) {
          if (what === "remove") world.remove(pick([...world.placed.values()], node));
          else if (what === "cordon") world.cordon(node);
          else if (what === "replace") world.replace(node);
          else {
            // A pod that waits for its node is tried again, or a new one comes.
            const again = node % 3 === 0 ? world.waiting.shift() : undefined;
            const next = pick(kinds, which) ?? expect.fail();
            // The later ones matter more.
            const pod = again ?? podOf(`p${number}`, number > 15 ? { ...next, priority: next.priority + 2 } : next);
            const cycle = { pod, snapshot: world.cache, state: new Map<string, unknown>() };
            const options = { random: () => 0, startAt: node % world.cache.nodes.length };
            const expected = decide(cycle, profile, options);
            const result = decide(cycle, profile, { ...options, verdicts });
            if (expected.kind === "node" || result.kind === "node") {
              expect(result).toEqual(expected);
              if (result.kind === "node") world.place(pod, result.nodeName);
              seen.placed++;
              continue;
            }
            expect(plainly(result)).toEqual(plainly(expected));
            if (result.signature !== undefined) seen.remembered++;
            const plain = preempt(cycle, expected, undefined);
            const remembered = preempt(cycle, result, memory);
            expect(remembered.best).toEqual(plain.best);
            expect(remembered.reasons).toEqual(plain.reasons);
            if (!plain.best) continue;
            seen.preempted++;
            world.cache.nominations.set(pod, plain.best.nodeName);
            world.waiting.push(pod);
            for (const victim of plain.best.victims) world.remove(world.placed.get(victim.metadata.uid));
          }
        }
      }),
      { numRuns: 600 },
    );
    expect(Math.min(seen.remembered, seen.placed, seen.preempted)).toBeGreaterThan(100);
  });
});

describe("victimsOn()", () => {
  it("spares as many of the lower pods as there is room for, the more important first", () => {
    const low = fc.record({ cpu: fc.integer({ min: 1, max: 3 }), priority: fc.integer({ min: 0, max: 5 }) });
    fc.assert(
      fc.property(
        fc.array(low, { maxLength: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 5 }),
        (lows, cpu, priority) => {
          const cache = new SchedulerCache();
          cache.setNode(testNode("a", { cpu: "8" }));
          const pods = lows.map((l, i) => ({
            ...testPod(`p${i}`, { cpu: String(l.cpu), spec: { nodeName: "a", priority: l.priority } }),
            // No two alike.
            status: { startTime: `2026-01-01T00:00:0${i}Z` },
          }));
          for (const pod of pods) cache.setPod(pod);
          const node = cache.byName("a") ?? expect.fail();
          const incoming = testPod("new", { cpu: String(cpu), spec: { priority } });
          const result = victimsOn({ pod: incoming, snapshot: cache, state: new Map() }, node, { profile, budgets: [] });

          const cpuOf = (pod: Pod): number => Number(pod.spec.containers[0]?.resources?.requests?.cpu);
          const lower = pods.filter((pod) => (pod.spec.priority ?? 0) < priority);
          let free = 8 - cpu - pods.filter((pod) => !lower.includes(pod)).reduce((sum, pod) => sum + cpuOf(pod), 0);
          if (lower.length === 0 || free < 0) {
            expect("reasons" in result).toBe(true);
            return;
          }
          const victims: string[] = [];
          for (const pod of [...lower].sort(
            (a, b) => (b.spec.priority ?? 0) - (a.spec.priority ?? 0) || (a.metadata.name < b.metadata.name ? -1 : 1),
          )) {
            if (cpuOf(pod) <= free) free -= cpuOf(pod);
            else victims.push(pod.metadata.name);
          }
          expect("victims" in result ? result.victims.map((pod) => pod.metadata.name) : result).toEqual(victims);
        },
      ),
    );
  });
});

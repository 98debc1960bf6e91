// decide() against a plain reading of the rules: no columns, no groups, no memory; every pod looked at for every node.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from "../api/types/core-v1.ts";
import { SchedulerCache } from "./cache.ts";
import { NodeFilters } from "./node-filters.ts";
import { decide, scoreNodes } from "./schedule.ts";
import { testNode, testPod } from "./test-objects.ts";
import { testProfile } from "./test-profile.ts";

const profile = testProfile();

// ---- random clusters

const topologies = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] as const;
const topologyKey = fc.constantFrom(...topologies);
const app = fc.constantFrom("web", "db");
const term: fc.Arbitrary<PodAffinityTerm> = fc.record({
  topologyKey,
  labelSelector: app.map((value) => ({ matchLabels: { app: value } })),
});
const few = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant<T[]>([]) }, { weight: 1, arbitrary: fc.array(item, { maxLength: 2 }) });
const weighted = fc.record({ weight: fc.integer({ min: 1, max: 100 }), podAffinityTerm: term });
const constraint: fc.Arbitrary<TopologySpreadConstraint> = fc.record({
  topologyKey,
  maxSkew: fc.integer({ min: 1, max: 2 }),
  whenUnsatisfiable: fc.constantFrom("DoNotSchedule" as const, "ScheduleAnyway" as const),
  labelSelector: app.map((value) => ({ matchLabels: { app: value } })),
});

const shape = fc.record({
  app,
  cpu: fc.integer({ min: 0, max: 3 }),
  required: few(term),
  requiredAnti: few(term),
  preferred: few(weighted),
  preferredAnti: few(weighted),
  spread: few(constraint),
  tolerates: fc.boolean(),
  ssd: fc.boolean(),
});
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never;

function podOf(name: string, s: Shape, nodeName?: string): Pod {
  return testPod(name, {
    cpu: String(s.cpu),
    memory: "1Gi",
    labels: { app: s.app },
    spec: {
      ...(nodeName ? { nodeName } : {}),
      ...(s.tolerates ? { tolerations: [{ operator: "Exists" as const }] } : {}),
      ...(s.ssd ? { nodeSelector: { disk: "ssd" } } : {}),
      topologySpreadConstraints: s.spread,
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: s.required,
          preferredDuringSchedulingIgnoredDuringExecution: s.preferred,
        },
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: s.requiredAnti,
          preferredDuringSchedulingIgnoredDuringExecution: s.preferredAnti,
        },
      },
    },
  });
}

const nodeShape = fc.record({
  zone: fc.constantFrom("x", "y", undefined),
  cpu: fc.integer({ min: 2, max: 6 }),
  tainted: fc.constantFrom(undefined, "NoSchedule" as const, "PreferNoSchedule" as const),
  cordoned: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  ssd: fc.boolean(),
});

const cluster = fc
  .record({
    nodes: fc.array(nodeShape, { minLength: 1, maxLength: 5 }),
    placed: fc.array(fc.record({ shape, at: fc.nat(), terminating: fc.integer({ min: 0, max: 5 }).map((n) => n === 0) }), { maxLength: 8 }),
    incoming: shape,
    seed: fc.double({ min: 0, max: 0.999, noNaN: true }),
  })
  .map(({ nodes, placed, incoming, seed }) => ({
    seed,
    pod: podOf("incoming", incoming),
    nodes: nodes.map((n, i) =>
      testNode(`n${i}`, {
        cpu: String(n.cpu),
        labels: { ...(n.zone ? { "topology.kubernetes.io/zone": n.zone } : {}), ...(n.ssd ? { disk: "ssd" } : {}) },
        spec: { ...(n.cordoned ? { unschedulable: true } : {}), ...(n.tainted ? { taints: [{ key: "k", effect: n.tainted }] } : {}) },
      }),
    ),
    pods: placed.map(({ shape: s, at, terminating }, i) => {
      const pod = podOf(`p${i}`, s, `n${at % nodes.length}`);
      return terminating ? { ...pod, metadata: { ...pod.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } } : pod;
    }),
  }));

// ---- the rules, plainly

interface World {
  readonly pod: Pod;
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
}

const labelOf = (node: Node, key: string): string | undefined => node.metadata.labels?.[key];
const selected = (term: { readonly labelSelector?: PodAffinityTerm["labelSelector"] }, pod: Pod): boolean =>
  term.labelSelector?.matchLabels?.app === pod.metadata.labels?.app;
const affinity = (pod: Pod) => pod.spec.affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
const antiAffinity = (pod: Pod) => pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
const cpuOf = (pod: Pod): number => Number(pod.spec.containers[0]?.resources?.requests?.cpu ?? 0);

function near(world: World, pod: Pod, node: Node, key: string): boolean {
  const home = world.nodes.find((n) => n.metadata.name === pod.spec.nodeName);
  const value = home && labelOf(home, key);
  return value !== undefined && value === labelOf(node, key);
}

function admitsPod(node: Node, pod: Pod): boolean {
  return pod.spec.nodeSelector?.disk === undefined || labelOf(node, "disk") === pod.spec.nodeSelector.disk;
}

function feasible(world: World, node: Node): boolean {
  const { pod, pods } = world;
  const tolerant = (pod.spec.tolerations ?? []).length > 0;
  if (!tolerant && (node.spec.unschedulable || node.spec.taints?.some((t) => t.effect === "NoSchedule"))) return false;
  if (!admitsPod(node, pod)) return false;
  const here = pods.filter((p) => p.spec.nodeName === node.metadata.name);
  const free = Number(node.status?.allocatable?.cpu) - here.reduce((sum, p) => sum + cpuOf(p), 0);
  if (cpuOf(pod) > 0 && cpuOf(pod) > free) return false;
  if (here.length + 1 > 8) return false;
  return withinSpread(world, node) && withinAffinity(world, node);
}

function withinAffinity(world: World, node: Node): boolean {
  const { pod, pods } = world;
  const terms = affinity(pod);
  const wanted = pods.filter((p) => terms.every((t) => selected(t, p)));
  const anywhere = wanted.some((p) => terms.some((t) => world.nodes.some((n) => near(world, p, n, t.topologyKey))));
  const first = !anywhere && terms.every((t) => selected(t, pod));
  const hasLabels = terms.every((t) => labelOf(node, t.topologyKey) !== undefined);
  if (terms.length > 0 && !(hasLabels && (first || terms.every((t) => wanted.some((p) => near(world, p, node, t.topologyKey))))))
    return false;
  if (antiAffinity(pod).some((t) => pods.some((p) => selected(t, p) && near(world, p, node, t.topologyKey)))) return false;
  return !pods.some((p) => antiAffinity(p).some((t) => selected(t, pod) && near(world, p, node, t.topologyKey)));
}

function spreadOver(world: World, action: string) {
  const constraints = (world.pod.spec.topologySpreadConstraints ?? []).filter((c) => c.whenUnsatisfiable === action);
  const counted = world.nodes.filter((n) => admitsPod(n, world.pod) && constraints.every((c) => labelOf(n, c.topologyKey) !== undefined));
  const countOn = (c: TopologySpreadConstraint, among: readonly Node[]): number =>
    world.pods.filter((p) => !p.metadata.deletionTimestamp && selected(c, p) && among.some((n) => n.metadata.name === p.spec.nodeName))
      .length;
  return { constraints, counted, countOn };
}

function withinSpread(world: World, node: Node): boolean {
  const { constraints, counted, countOn } = spreadOver(world, "DoNotSchedule");
  return constraints.every((c) => {
    const value = labelOf(node, c.topologyKey);
    if (value === undefined) return false;
    const inDomain = (v: string) =>
      countOn(
        c,
        counted.filter((n) => labelOf(n, c.topologyKey) === v),
      );
    const domains = [...new Set(counted.map((n) => labelOf(n, c.topologyKey) ?? ""))];
    const fewest = Math.min(...domains.map(inDomain));
    return inDomain(value) + (selected(c, world.pod) ? 1 : 0) - fewest <= c.maxSkew;
  });
}

/** The sum of all weighted scores, per feasible node. */
function totals(world: World, nodes: readonly Node[]): number[] {
  const discouraged = nodes.map((n) => {
    const tolerant = (world.pod.spec.tolerations ?? []).length > 0;
    return tolerant ? 0 : (n.spec.taints ?? []).filter((t) => t.effect === "PreferNoSchedule").length;
  });
  const mostTaints = Math.max(...discouraged);
  const taints = discouraged.map((n) => 100 - (mostTaints === 0 ? 0 : Math.floor((n * 100) / mostTaints)));
  const room = nodes.map((n) => roomScore(world, n));
  const balance = nodes.map((n) => balanceScore(world, n));
  const wishes = stretched(nodes.map((n) => wishScore(world, n)));
  const spread = spreadScores(world, nodes);
  return nodes.map((_, i) => 3 * at(taints, i) + at(room, i) + at(balance, i) + 2 * at(wishes, i) + 2 * at(spread, i));
}

const at = (list: readonly number[], i: number): number => list[i] ?? Number.NaN;
const gibi = 1024 ** 3;

function roomScore(world: World, node: Node): number {
  const all = [...world.pods.filter((p) => p.spec.nodeName === node.metadata.name), world.pod];
  const cpu = Number(node.status?.allocatable?.cpu) * 1000;
  const used = all.reduce((sum, p) => sum + cpuOf(p) * 1000, 0);
  const part = (wanted: number, has: number): number => (wanted > has ? 0 : Math.floor(((has - wanted) * 100) / has));
  return Math.floor((part(used, cpu) + part(all.length * gibi, 8 * gibi)) / 2);
}

function balanceScore(world: World, node: Node): number {
  const here = world.pods.filter((p) => p.spec.nodeName === node.metadata.name);
  const score = (list: readonly Pod[]): number => {
    const cpu = Math.min(1, list.reduce((sum, p) => sum + cpuOf(p), 0) / Number(node.status?.allocatable?.cpu));
    return Math.trunc((1 - Math.abs(cpu - Math.min(1, list.length / 8)) / 2) * 100);
  };
  return 50 + Math.trunc((50 + score([...here, world.pod]) - score(here)) / 2);
}

function wishScore(world: World, node: Node): number {
  const sum = (of: Pod, other: Pod, place: Pod): number => {
    const { podAffinity, podAntiAffinity } = of.spec.affinity ?? {};
    const value = (list: readonly { weight: number; podAffinityTerm: PodAffinityTerm }[] | undefined): number =>
      (list ?? []).reduce(
        (total, w) =>
          total + (selected(w.podAffinityTerm, other) && near(world, place, node, w.podAffinityTerm.topologyKey) ? w.weight : 0),
        0,
      );
    return (
      value(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution) -
      value(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution)
    );
  };
  return world.pods.reduce((total, p) => {
    const hard = affinity(p).filter((t) => selected(t, world.pod) && near(world, p, node, t.topologyKey)).length;
    return total + sum(world.pod, p, p) + sum(p, world.pod, p) + hard;
  }, 0);
}

function stretched(scores: readonly number[]): number[] {
  const [min, max] = [Math.min(...scores), Math.max(...scores)];
  return scores.map((s) => (max === min ? 0 : Math.floor(100 * ((s - min) / (max - min)))));
}

function spreadScores(world: World, nodes: readonly Node[]): number[] {
  const { constraints, counted, countOn } = spreadOver(world, "ScheduleAnyway");
  if (constraints.length === 0) return nodes.map(() => 0);
  const scored = nodes.filter((n) => constraints.every((c) => labelOf(n, c.topologyKey) !== undefined));
  const raw = nodes.map((node) => {
    if (!scored.includes(node)) return undefined;
    return Math.round(
      constraints.reduce((sum, c) => {
        const perNode = c.topologyKey === "kubernetes.io/hostname";
        const value = labelOf(node, c.topologyKey);
        const domain = perNode ? [node] : counted.filter((n) => labelOf(n, c.topologyKey) === value);
        const size = perNode ? scored.length : new Set(scored.map((n) => labelOf(n, c.topologyKey))).size;
        return sum + countOn(c, domain) * Math.log(size + 2) + (c.maxSkew - 1);
      }, 0),
    );
  });
  const known = raw.filter((s) => s !== undefined);
  const [min, max] = [Math.min(...known), Math.max(0, ...known)];
  return raw.map((s) => (s === undefined ? 0 : max === 0 ? 100 : Math.floor((100 * (max + min - s)) / max)));
}

// ---- the comparison

describe("decide() on random clusters", () => {
  it("filters as the rules say, and chooses a node of the highest score", () => {
    let placed = 0;
    let refused = 0;
    fc.assert(
      fc.property(cluster, ({ seed, ...world }) => {
        const cache = new SchedulerCache();
        for (const node of world.nodes) cache.setNode({ ...node, status: { allocatable: { ...node.status?.allocatable, pods: "8" } } });
        for (const pod of world.pods) cache.setPod(pod);
        const cycle = { pod: world.pod, snapshot: cache, state: new Map() };
        const filters = new NodeFilters(cycle, profile);
        const fits = world.nodes.filter((node) => feasible(world, node));
        const passed = cache.nodes.filter((info) => !filters.test(info)).map((info) => info.name);
        expect(passed.sort()).toEqual(fits.map((n) => n.metadata.name).sort());

        const result = decide(cycle, profile, { random: () => seed, startAt: Math.floor(seed * 5) });
        if (fits.length === 0) {
          refused++;
          expect(result.kind).toBe("unschedulable");
          return;
        }
        placed++;
        const scores = totals(world, fits);
        // Where all nodes are alike to a plugin it may have no opinion at all: only differences count.
        const given = scoreNodes(
          cycle,
          profile,
          fits.flatMap((n) => cache.byName(n.metadata.name) ?? []),
        );
        expect([...given].map((score) => score - at([...given], 0))).toEqual(scores.map((score) => score - at(scores, 0)));
        const best = fits.filter((_, i) => scores[i] === Math.max(...scores)).map((n) => n.metadata.name);
        expect(best).toContain(result.kind === "node" ? result.nodeName : result.message);
      }),
      { numRuns: 1500 },
    );
    expect(Math.min(placed, refused)).toBeGreaterThan(100);
  });
});

describe("SchedulerCache", () => {
  it("is as before after any supposition", () => {
    fc.assert(
      fc.property(cluster, fc.array(fc.record({ add: fc.boolean(), pod: fc.nat(), node: fc.nat() })), (world, changes) => {
        const cache = new SchedulerCache();
        for (const node of world.nodes) cache.setNode(node);
        for (const pod of world.pods) cache.setPod(pod);
        const picture = () => [
          world.nodes.map(({ metadata: { name } }) => {
            const info = cache.byName(name);
            const requested = Object.entries(info?.requested ?? {}).filter(([, amount]) => amount !== 0);
            return [name, requested, [...(info?.pods ?? [])].map((f) => f.pod.metadata.name).sort()];
          }),
          [...cache.columns.requestedCpu, ...cache.columns.podCount],
          [...cache.groups.all()]
            .map((g) => JSON.stringify([g.labels, g.terminating, [...g.nodes].map(([n, count]) => `${n.name}=${count}`).sort()]))
            .sort(),
          [cache.groups.withAffinity.size, cache.groups.withRequiredAntiAffinity.size],
        ];
        const before = JSON.stringify(picture());
        const supposition = cache.suppose();
        const pool = [...world.pods, world.pod];
        for (const { add, pod, node } of changes) {
          const target = pool[pod % pool.length] ?? world.pod;
          if (add) supposition.add(target, `n${node % world.nodes.length}`);
          else supposition.remove(target);
        }
        supposition.end();
        expect(JSON.stringify(picture())).toBe(before);
      }),
    );
  });
});

// Plugins about resources. NodeResourcesFit: what the pod asks for must be free, and nodes with more left are better
// (LeastAllocated; other strategies are in resource-scoring.ts). NodeResourcesBalancedAllocation: cpu and memory should be
// used in like proportion.
// ImageLocality: nodes that already have the pod's large images are better.
import { amountsOf } from "../../api/semantics/pod-resources.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { DeviceClass } from "../../api/types/resource-v1.ts";
import { isExtendedResource } from "../../api/validation/resource-names.ts";
import { defaultPluginArgs, type PluginArgs, type ScoringStrategy } from "../configuration/plugin-args.ts";
import { bringsResource, type DeviceClasses } from "../devices/device-classes.ts";
import { maxNodeScore, type NodeScorer, type Plugin, type Rejection, type SchedulingCycle } from "../framework.ts";
import { type NodeInfo, podFacts } from "../node-info.ts";
import type { Columns } from "../snapshot.ts";
import { balanceScorer, strategyScorer } from "./resource-scoring.ts";

/** Resources the scheduler does not count: container-level bookkeeping of others. */
const counted = (name: string): boolean => name !== "cpu" && name !== "memory" && name !== "pods";

type FitArgs = PluginArgs["NodeResourcesFit"];
type Counted = (name: string) => boolean;

/** What DynamicResources sees to: extended resources that a class of devices stands behind, where the node itself has none. */
type Delegation = Pick<DeviceClasses, "forResource">;
const nothingDelegated: Delegation = { forResource: () => undefined };

export function createNodeResourcesFit(args: FitArgs, classes: Delegation = nothingDelegated): Plugin {
  const counts = countedBy(args);
  const isDelegated = (name: string, allocatable: number | undefined): boolean =>
    !allocatable && name.includes("/") && classes.forResource(name) !== undefined;
  const twoColumns = isDefaultStrategy(args.scoringStrategy);
  return {
    name: "NodeResourcesFit",
    filter({ pod, snapshot: { columns } }) {
      const { requests } = podFacts(pod);
      const cpu = requests.cpu ?? 0;
      const memory = requests.memory ?? 0;
      const others = Object.entries(requests).filter(([name, amount]) => counts(name) && amount > 0);
      const hasOthers = (node: NodeInfo): boolean =>
        others.every(
          ([name, amount]) =>
            amount <= (node.allocatable[name] ?? 0) - (node.requested[name] ?? 0) || isDelegated(name, node.allocatable[name]),
        );
      const rejection = (node: NodeInfo): Rejection =>
        insufficient(pod, node, (name) => counts(name) && !isDelegated(name, node.allocatable[name]));
      // No closures per node here.
      return (node) => {
        const at = node.index;
        const fits =
          (columns.podCount[at] ?? 0) + 1 <= (columns.allocatablePods[at] ?? 0) &&
          (cpu === 0 || cpu <= (columns.allocatableCpu[at] ?? 0) - (columns.requestedCpu[at] ?? 0)) &&
          (memory === 0 || memory <= (columns.allocatableMemory[at] ?? 0) - (columns.requestedMemory[at] ?? 0)) &&
          (others.length === 0 || hasOthers(node));
        return fits ? undefined : rejection(node);
      };
    },
    // What is a device's business today may be the node's tomorrow.
    filterSignature({ pod }) {
      const { requests } = podFacts(pod);
      for (const name in requests) if (name.includes("/") && classes.forResource(name)) return undefined;
      return JSON.stringify(requests);
    },
    score: (cycle) => (twoColumns ? leastAllocatedScorer(cycle) : strategyScorer(args.scoringStrategy, podFacts(cycle.pod))),
    queueingHints: [
      { event: "NodeAdd", concerns: (pod, _before, after) => fitsEmpty(pod, after as Node, counts, isDelegated) },
      {
        event: "NodeAllocatable",
        concerns: (pod, before, after) => fitsEmpty(pod, after as Node, counts, isDelegated) && grew(pod, before as Node, after as Node),
      },
      { event: "AssignedPodDelete" },
      { event: "AssignedPodUpdate", concerns: (pod, before, after) => shrank(pod, before as Pod, after as Pod) },
      { event: "UnscheduledPodUpdate" },
      {
        event: "DeviceClass",
        concerns: (pod, before, after) => bringsResource(podFacts(pod).requests, before as DeviceClass | undefined, after as DeviceClass),
      },
    ],
  };
}

export const nodeResourcesFit: Plugin = createNodeResourcesFit(defaultPluginArgs().NodeResourcesFit);

/** Which resources besides cpu, memory and pods must be free: all but the extended ones that the arguments name. */
function countedBy({ ignoredResources, ignoredResourceGroups }: FitArgs): Counted {
  if (ignoredResources.length + ignoredResourceGroups.length === 0) return counted;
  const [names, groups] = [new Set(ignoredResources), new Set(ignoredResourceGroups)];
  const ignored: Counted = (name) => isExtendedResource(name) && (names.has(name) || groups.has(name.slice(0, name.indexOf("/"))));
  return (name) => counted(name) && !ignored(name);
}

function isDefaultStrategy({ type, resources: [first, second, ...others] }: ScoringStrategy): boolean {
  const even = first?.name === "cpu" && second?.name === "memory" && first.weight === second.weight && others.length === 0;
  return type === "LeastAllocated" && even;
}

function leastAllocatedScorer({ pod, snapshot: { columns } }: SchedulingCycle): NodeScorer {
  const { scoredCpu, scoredMemory } = podFacts(pod);
  return (node) => {
    const at = node.index;
    const cpu = leastAllocated((columns.scoredCpu[at] ?? 0) + scoredCpu, columns.allocatableCpu[at] ?? 0);
    const memory = leastAllocated((columns.scoredMemory[at] ?? 0) + scoredMemory, columns.allocatableMemory[at] ?? 0);
    if (cpu === undefined) return memory ?? 0;
    return memory === undefined ? cpu : Math.floor((cpu + memory) / 2);
  };
}

/** Every resource that is short, in upstream's order: pods, cpu, memory, the others as the pod names them. */
function insufficient(pod: Pod, node: NodeInfo, counts: Counted): Rejection {
  const { requests } = podFacts(pod);
  const reasons: string[] = [];
  let unresolvable = false;
  if (node.podCount + 1 > (node.allocatable.pods ?? 0)) reasons.push("Too many pods");
  for (const name of ["cpu", "memory", ...Object.keys(requests).filter(counts)]) {
    const amount = requests[name] ?? 0;
    if (amount === 0 || amount <= (node.allocatable[name] ?? 0) - (node.requested[name] ?? 0)) continue;
    reasons.push(`Insufficient ${name}`);
    if (amount > (node.allocatable[name] ?? 0)) unresolvable = true;
  }
  return shared(reasons, unresolvable);
}

/** Rejections in the usual resources: the nodes of a large cluster are refused for the same few reasons. */
const usual = new Map<string, Rejection>();
const maxUsual = 64;

function shared(reasons: readonly string[], unresolvable: boolean): Rejection {
  const text = unresolvable ? `${reasons.join()}!` : reasons.join();
  let rejection = usual.get(text);
  if (!rejection) {
    rejection = { reasons, unresolvable };
    if (usual.size < maxUsual) usual.set(text, rejection);
  }
  return rejection;
}

/** Whether the pod would fit if the node were empty. */
function fitsEmpty(
  pod: Pod,
  node: Node,
  counts: Counted,
  isDelegated: (name: string, allocatable: number | undefined) => boolean,
): boolean {
  const allocatable = amountsOf(node.status?.allocatable);
  const matters = (name: string): boolean => (!counted(name) || counts(name)) && !isDelegated(name, allocatable[name]);
  return Object.entries(podFacts(pod).requests).every(([name, amount]) => !matters(name) || amount <= (allocatable[name] ?? 0));
}

/** Whether the node has more of something than before that the pod needs: every pod needs a place. */
function grew(pod: Pod, before: Node, after: Node): boolean {
  const [had, has] = [amountsOf(before.status?.allocatable), amountsOf(after.status?.allocatable)];
  return ["pods", ...asked(pod)].some((name) => (has[name] ?? 0) > (had[name] ?? 0));
}

/** Whether a placed pod gave up something that the waiting one needs. */
function shrank(pod: Pod, before: Pod, after: Pod): boolean {
  const [had, has] = [podFacts(before).requests, podFacts(after).requests];
  return asked(pod).some((name) => (has[name] ?? 0) < (had[name] ?? 0));
}

function asked(pod: Pod): readonly string[] {
  return Object.entries(podFacts(pod).requests).flatMap(([name, amount]) => (amount > 0 ? [name] : []));
}

function leastAllocated(requested: number, allocatable: number): number | undefined {
  if (allocatable === 0) return undefined;
  return requested > allocatable ? 0 : Math.floor(((allocatable - requested) * maxNodeScore) / allocatable);
}

export function createNodeResourcesBalancedAllocation({ resources }: PluginArgs["NodeResourcesBalancedAllocation"]): Plugin {
  const names = resources.map(({ name }) => name);
  const twoColumns = names.length === 2 && names.includes("cpu") && names.includes("memory");
  return {
    name: "NodeResourcesBalancedAllocation",
    score({ pod, snapshot: { columns } }) {
      const { requests } = podFacts(pod);
      if (names.every((name) => !requests[name])) return undefined; // such a pod balances nothing
      if (!twoColumns) return balanceScorer(names, requests);
      const cpu = requests.cpu ?? 0;
      const memory = requests.memory ?? 0;
      return (node) => {
        const without = balance(columns, node.index, 0, 0);
        const withPod = balance(columns, node.index, cpu, memory);
        // 75 where the pod changes nothing, more where it makes the node more even.
        return maxNodeScore / 2 + Math.trunc((maxNodeScore / 2 + withPod - without) / 2);
      };
    },
  };
}

export const nodeResourcesBalancedAllocation: Plugin = createNodeResourcesBalancedAllocation(
  defaultPluginArgs().NodeResourcesBalancedAllocation,
);

/** 100 where cpu and memory are used in the same proportion, down to 50. A resource the node does not have is left out. */
function balance(columns: Columns, at: number, cpu: number, memory: number): number {
  const allocatableCpu = columns.allocatableCpu[at] ?? 0;
  const allocatableMemory = columns.allocatableMemory[at] ?? 0;
  if (allocatableCpu === 0 || allocatableMemory === 0) return maxNodeScore;
  const cpuShare = Math.min(1, ((columns.requestedCpu[at] ?? 0) + cpu) / allocatableCpu);
  const memoryShare = Math.min(1, ((columns.requestedMemory[at] ?? 0) + memory) / allocatableMemory);
  return Math.trunc((1 - Math.abs(cpuShare - memoryShare) / 2) * maxNodeScore);
}

const mebibyte = 1024 * 1024;
const minImageBytes = 23 * mebibyte;
const maxImageBytesPerContainer = 1000 * mebibyte;

export const imageLocality: Plugin = {
  name: "ImageLocality",
  score({ pod, snapshot }) {
    const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const total = snapshot.nodes.length;
    const images = containers
      .map((c) => normalizedImageName(c.image ?? ""))
      .map((name) => ({ name, spread: snapshot.nodesWithImage(name) / total }))
      .filter((image) => image.spread > 0);
    if (images.length === 0) return undefined;
    const maxBytes = maxImageBytesPerContainer * containers.length;
    return (node) => {
      let bytes = 0;
      for (const { name, spread } of images) bytes += (node.imageBytes(name) ?? 0) * spread;
      const capped = Math.min(Math.max(bytes, minImageBytes), maxBytes);
      return Math.floor((maxNodeScore * (capped - minImageBytes)) / (maxBytes - minImageBytes));
    };
  },
};

/** With the tag that is meant where none is given. */
function normalizedImageName(name: string): string {
  return name.lastIndexOf(":") <= name.lastIndexOf("/") ? `${name}:latest` : name;
}

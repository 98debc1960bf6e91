// A node as the scheduler sees it: the node, the pods that hold room on it (bound or assumed), and running totals of what
// they ask for. Totals are kept incrementally and mirrored in the snapshot's columns.
import { oncePerPart } from "../api/meta/shared-parts.ts";
import { type CompiledPodAffinity, compilePodAffinity, identityOf, type PodIdentity } from "../api/semantics/pod-affinity.ts";
import { amountsOf, podAmounts, type ResourceAmounts, resizingStatus } from "../api/semantics/pod-resources.ts";
import type { Node, Pod, PodSpec, PodStatus } from "../api/types/core-v1.ts";

/** What scoring assumes of a container without requests, so that such pods spread too. */
const assumedRequests: ResourceAmounts = { cpu: 100, memory: 200 * 1024 * 1024 };

/** A pod's figures, computed once when it is first seen. */
export interface PodFacts {
  readonly pod: Pod;
  readonly requests: ResourceAmounts;
  /** Requests with assumed ones where there are none: cpu in thousandths, memory in bytes. */
  readonly scoredCpu: number;
  readonly scoredMemory: number;
  readonly hostPorts: readonly HostPort[];
  readonly identity: PodIdentity;
  readonly terminating: boolean;
  readonly affinity: CompiledPodAffinity | undefined;
  /** The same for pods of one namespace that no selector and no affinity can tell apart. */
  readonly groupKey: string;
}

export interface HostPort {
  readonly protocol: string;
  /** "0.0.0.0" for all addresses. */
  readonly ip: string;
  readonly port: number;
}

const known = new WeakMap<Pod, PodFacts>();

export function podFacts(pod: Pod): PodFacts {
  let facts = known.get(pod);
  if (!facts) {
    facts = {
      pod,
      ...amountsOfPod(pod),
      hostPorts: hostPortsOf(pod),
      identity: identityOf(pod),
      terminating: pod.metadata.deletionTimestamp !== undefined,
      affinity: compilePodAffinity(pod),
      groupKey: groupKeyOf(pod),
    };
    known.set(pod, facts);
  }
  return facts;
}

type Amounts = Pick<PodFacts, "requests" | "scoredCpu" | "scoredMemory">;

function amountsOfPod(pod: Pod): Amounts {
  const { spec } = pod;
  const status = resizingStatus(pod);
  // Of nothing but its containers in most pods, and those are often the same as other pods'.
  if (status || spec.initContainers || spec.overhead || spec.resources) return computeAmounts(spec, status);
  return amountsOfContainers(spec.containers);
}

function computeAmounts(spec: Parameters<typeof podAmounts>[0], status: PodStatus | undefined): Amounts {
  const scored = podAmounts(spec, { assumed: assumedRequests, status });
  return { requests: podAmounts(spec, { status }), scoredCpu: scored.cpu ?? 0, scoredMemory: scored.memory ?? 0 };
}

const amountsOfContainers = oncePerPart((containers: PodSpec["containers"]) => computeAmounts({ containers }, undefined));

function groupKeyOf({ metadata, spec }: Pod): string {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {};
  const labels = JSON.stringify(metadata.labels ?? {}) + (metadata.deletionTimestamp ? "!" : "");
  return podAffinity || podAntiAffinity ? labels + JSON.stringify([podAffinity, podAntiAffinity]) : labels;
}

const noPorts: readonly HostPort[] = [];

function hostPortsOf(pod: Pod): readonly HostPort[] {
  const found: HostPort[] = [];
  const sidecars = (pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === "Always");
  for (const container of [...pod.spec.containers, ...sidecars]) {
    for (const port of container.ports ?? []) {
      if (port.hostPort) found.push({ protocol: port.protocol ?? "TCP", ip: port.hostIP || "0.0.0.0", port: port.hostPort });
    }
  }
  return found.length === 0 ? noPorts : found;
}

export function portsConflict(a: HostPort, b: HostPort): boolean {
  return a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === "0.0.0.0" || b.ip === "0.0.0.0");
}

export class NodeInfo {
  /** Row in the snapshot's columns; stable while the node exists. */
  readonly index: number;
  readonly name: string;
  readonly #pods = new Map<string, PodFacts>();
  readonly #requested: Record<string, number> = {};
  readonly #hostPorts: HostPort[] = [];
  #node: Node | undefined;
  #allocatable: ResourceAmounts = {};
  #imageBytes: ReadonlyMap<string, number> = new Map();
  scoredCpu = 0;
  scoredMemory = 0;

  constructor(name: string, index: number) {
    this.name = name;
    this.index = index;
  }

  /** Undefined while only its pods are known. */
  get node(): Node | undefined {
    return this.#node;
  }

  get pods(): Iterable<PodFacts> {
    return this.#pods.values();
  }

  get podCount(): number {
    return this.#pods.size;
  }

  get allocatable(): ResourceAmounts {
    return this.#allocatable;
  }

  get requested(): ResourceAmounts {
    return this.#requested;
  }

  get hostPorts(): readonly HostPort[] {
    return this.#hostPorts;
  }

  /** Size in bytes of an image on the node, by any of its names; undefined where it is not there. */
  imageBytes(name: string): number | undefined {
    return this.#imageBytes.get(name);
  }

  setNode(node: Node | undefined): void {
    this.#node = node;
    this.#allocatable = amountsOf(node?.status?.allocatable);
    this.#imageBytes = new Map(
      (node?.status?.images ?? []).flatMap((image) => (image.names ?? []).map((name) => [name, image.sizeBytes ?? 0] as const)),
    );
  }

  addPod(facts: PodFacts): void {
    this.#pods.set(facts.pod.metadata.uid, facts);
    this.#count(facts, 1);
    this.#hostPorts.push(...facts.hostPorts);
  }

  removePod(uid: string): void {
    const facts = this.#pods.get(uid);
    if (!facts) return;
    this.#pods.delete(uid);
    this.#count(facts, -1);
    for (const port of facts.hostPorts) {
      const at = this.#hostPorts.indexOf(port);
      if (at >= 0) this.#hostPorts.splice(at, 1);
    }
  }

  #count(facts: PodFacts, sign: 1 | -1): void {
    for (const name in facts.requests) this.#requested[name] = (this.#requested[name] ?? 0) + sign * (facts.requests[name] ?? 0);
    this.scoredCpu += sign * facts.scoredCpu;
    this.scoredMemory += sign * facts.scoredMemory;
  }
}

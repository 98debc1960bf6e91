// FailureBackoff: steers pods away from nodes on which pods have kept failing lately. A node that is broken is empty, and an
// empty node scores best everywhere else: without this plugin it attracts everything. Not in the default profile; a profile
// enables it, with a weight that outdoes what it has to.
//
// A failure is a restart of a container, a pod that ends as Failed, or a container that cannot be started. It counts half after
// each half-life; a pod that becomes ready halves what its node has.
import { parseTime } from "../../api/meta/time.ts";
import { pods } from "../../api/resources.generated.ts";
import { isPodReady } from "../../api/semantics/pod-status.ts";
import type { ContainerStatus, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { InformerFactory } from "../../client/informer.ts";
import { maxNodeScore, type Plugin } from "../framework.ts";

export interface FailureBackoffOptions {
  /** After which a failure counts half. */
  readonly halfLifeSeconds: number;
}

export interface FailureBackoffDependencies {
  readonly informers: InformerFactory;
  readonly clock: Clock;
}

/** Less than this is nothing. */
const negligible = 0.05;

export function createFailureBackoff({ informers, clock }: FailureBackoffDependencies, options: FailureBackoffOptions): Plugin {
  let failures: NodeFailures | undefined;
  return {
    name: "FailureBackoff",
    score(_cycle, feasible) {
      // Pods are followed from the first question on; those that are there count by what their status tells.
      failures ??= new NodeFailures(informers, clock, options.halfLifeSeconds * 1000);
      const counts = new Map(feasible.map((node) => [node.name, failures?.of(node.name) ?? 0]));
      if ([...counts.values()].every((count) => count < negligible)) return undefined;
      return ({ name }) => Math.round(maxNodeScore / (1 + (counts.get(name) ?? 0)));
    },
  };
}

interface Tally {
  readonly count: number;
  readonly atMs: number;
}

/** Bounded by the nodes that pods name; a tally that has faded goes when it is looked at. */
class NodeFailures {
  readonly #clock: Clock;
  readonly #halfLifeMs: number;
  readonly #tallies = new Map<string, Tally>();

  constructor(informers: InformerFactory, clock: Clock, halfLifeMs: number) {
    this.#clock = clock;
    this.#halfLifeMs = halfLifeMs;
    informers.informer(pods).addHandler({
      onAdd: (pod) => this.#note(pod, undefined),
      onUpdate: (pod, before) => this.#note(pod, before),
    });
  }

  of(node: string): number {
    const tally = this.#tallies.get(node);
    if (!tally) return 0;
    const count = this.#faded(tally, this.#clock.now());
    if (count < negligible) this.#tallies.delete(node);
    return count;
  }

  #note(pod: Pod, before: Pod | undefined): void {
    const node = pod.spec.nodeName;
    if (!node || pod.metadata.uid !== (before ?? pod).metadata.uid) return;
    for (const atMs of failuresBetween(before, pod, this.#clock.now())) this.#add(node, atMs);
    const tally = this.#tallies.get(node);
    if (tally && before && !isPodReady(before) && isPodReady(pod)) this.#tallies.set(node, { ...tally, count: tally.count / 2 });
  }

  #add(node: string, atMs: number): void {
    const tally = this.#tallies.get(node);
    if (!tally) return void this.#tallies.set(node, { count: 1, atMs });
    const latest = Math.max(tally.atMs, atMs);
    this.#tallies.set(node, { count: this.#faded(tally, latest) + this.#faded({ count: 1, atMs }, latest), atMs: latest });
  }

  #faded({ count, atMs }: Tally, nowMs: number): number {
    return count * 0.5 ** (Math.max(0, nowMs - atMs) / this.#halfLifeMs);
  }
}

/** So many restarts of one container count at once: it may have failed for days. */
const maxRestartsAtOnce = 10;

/** When each failure happened that the newer status tells of and the older does not. */
function failuresBetween(before: Pod | undefined, after: Pod, nowMs: number): readonly number[] {
  const times: number[] = [];
  if (after.status?.phase === "Failed" && before?.status?.phase !== "Failed") times.push(endOf(after, nowMs));
  const earlier = new Map(statusesOf(before).map((status) => [status.name, status]));
  for (const status of statusesOf(after)) {
    const old = earlier.get(status.name);
    const restarts = Math.min(status.restartCount - (old?.restartCount ?? 0), maxRestartsAtOnce);
    const atMs = timeOf(status.lastState?.terminated?.finishedAt) ?? nowMs;
    for (let i = 0; i < restarts; i++) times.push(atMs);
    if (cannotStart(status) && !(old && cannotStart(old))) times.push(nowMs);
  }
  return times;
}

const statusesOf = (pod: Pod | undefined): readonly ContainerStatus[] => [
  ...(pod?.status?.initContainerStatuses ?? []),
  ...(pod?.status?.containerStatuses ?? []),
];

const startErrors = new Set(["CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"]);

const cannotStart = ({ state }: ContainerStatus): boolean =>
  startErrors.has(state?.waiting?.reason ?? "") || startErrors.has(state?.terminated?.reason ?? "");

function endOf(pod: Pod, nowMs: number): number {
  const ends = statusesOf(pod).flatMap(({ state }) => timeOf(state?.terminated?.finishedAt) ?? []);
  return ends.length > 0 ? Math.max(...ends) : nowMs;
}

const timeOf = (text: string | undefined): number | undefined => (text ? parseTime(text) : undefined);

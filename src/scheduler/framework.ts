// The scheduling framework: the extension points of kube-scheduler, by their names. A plugin is an object that has some of
// them. Where a point runs for many nodes (Filter, Score), it is asked once per cycle for a function that is then called
// with each node: what depends on the pod alone is worked out once, and the function can read the columns of the snapshot
// by the node's index instead of walking objects.
import type { Pod } from "../api/types/core-v1.ts";
import type { ClusterEvent } from "./cluster-events.ts";
import type { NodeInfo } from "./node-info.ts";
import type { Snapshot } from "./snapshot.ts";

/** Why a pod cannot go somewhere (or anywhere), with the plugin that says so filled in by the framework. */
export interface Rejection {
  /** One per problem: "Insufficient cpu". They are counted over the nodes in the pod's event. */
  readonly reasons: readonly string[];
  /** Removing pods from the node would not help, so preemption need not try it. */
  readonly unresolvable?: boolean;
}

/** One attempt to place one pod; plugins keep what they know between their extension points in `state`. */
export interface SchedulingCycle {
  readonly pod: Pod;
  readonly snapshot: Snapshot;
  /**
   * By plugin name or any key of the plugin's choosing. Nothing that depends on which pods stand where: a filter is asked
   * again, with the same state, under suppositions.
   */
  readonly state: Map<string, unknown>;
}

export type NodeFilter = (node: NodeInfo) => Rejection | undefined;
export type NodeScorer = (node: NodeInfo) => number;

/** Says whether an event may have made the pod schedulable for a plugin that rejected it. */
export interface QueueingHint {
  readonly event: ClusterEvent;
  /** Default: always worth a try. Pods, nodes: the object before and after. */
  readonly concerns?: (pod: Pod, before: unknown, after: unknown) => boolean;
}

export interface PostFilterContext {
  readonly profile: Profile;
  /** The same for pods that the filters cannot tell apart, where their answer about a node depends on that node alone. */
  readonly signature?: string;
  /** By node name; nodes that were not looked at are not in it. */
  readonly rejections: ReadonlyMap<string, Rejection>;
  /** In [0, 1). */
  readonly random: () => number;
  /** The room that was being made is there, or could not be made: a pod that PreEnqueue held back may be tried again. */
  readonly released: (pod: Pod, how: "done" | "failed") => void;
  /** Aborts when the scheduler stops. */
  readonly signal: AbortSignal;
}

export type PostFilterOutcome =
  /** Room is being made on this node; nobody else is asked. */
  | { readonly kind: "nominated"; readonly nodeName: string }
  /** Nothing can be done. `message` is added to the pod's event. `hopeless`: an earlier nomination is void, too. */
  | { readonly kind: "rejected"; readonly message: string; readonly hopeless?: boolean }
  /** Nothing can be done, and nobody else is asked. */
  | { readonly kind: "failed"; readonly message: string };

export interface QueuedPodInfo {
  readonly pod: Pod;
  /** Milliseconds since the epoch when the pod last entered the queue. */
  readonly timestampMs: number;
  readonly attempts: number;
  /** When the pod was first tried; 0 before that. */
  readonly firstAttemptMs: number;
  /** It waited so long for an event that it was tried without one. */
  readonly wasFlushed?: boolean;
}

export interface Plugin {
  /** Upstream's name: "NodeResourcesFit". */
  readonly name: string;

  // ---- queue
  /** QueueSort: negative when `a` goes first. Exactly one plugin of a profile has it. */
  readonly queueSort?: (a: QueuedPodInfo, b: QueuedPodInfo) => number;
  /** PreEnqueue: a pod that is rejected waits outside the queue until an event concerns it. */
  readonly preEnqueue?: (pod: Pod) => Rejection | undefined;
  /** EventsToRegister: what may make a pod that this plugin rejected schedulable. */
  readonly queueingHints?: readonly QueueingHint[];

  // ---- scheduling cycle
  /** PreFilter: rejects the pod for all nodes, or narrows them down to the named ones. */
  readonly preFilter?: (cycle: SchedulingCycle) => Rejection | { readonly nodeNames: ReadonlySet<string> } | undefined;
  /** Filter: undefined where the pod needs no filtering by this plugin in this cycle. */
  readonly filter?: (cycle: SchedulingCycle) => NodeFilter | undefined;
  /**
   * For plugins whose filter, for this pod, looks at nothing but the node and the pods placed on it or nominated to it: what it
   * looks at in the pod. Answers about a node are then kept, for all pods of which this is the same, until the node changes.
   * Undefined where the answer depends on more. Without it no answers are kept for pods of the profile.
   */
  readonly filterSignature?: (cycle: SchedulingCycle) => string | undefined;
  /** PostFilter: no node was feasible; may begin to make room. The plugins are asked in turn until one has an end. */
  readonly postFilter?: (cycle: SchedulingCycle, context: PostFilterContext) => PostFilterOutcome | Promise<PostFilterOutcome>;
  /** PreScore and Score: undefined where the plugin has no opinion in this cycle. */
  readonly score?: (cycle: SchedulingCycle, feasible: readonly NodeInfo[]) => NodeScorer | undefined;
  /** NormalizeScore: brings raw scores into 0 … 100, in place. */
  readonly normalizeScore?: (scores: Float64Array) => void;
  /** Reserve: what unreserve gives back when a later step fails. */
  readonly reserve?: (cycle: SchedulingCycle, nodeName: string) => Rejection | undefined;
  readonly unreserve?: (cycle: SchedulingCycle, nodeName: string) => void;
  /** Permit: resolves when the pod may be bound, with a rejection when not. */
  readonly permit?: (
    cycle: SchedulingCycle,
    nodeName: string,
    signal: AbortSignal,
  ) => Promise<Rejection | undefined> | Rejection | undefined;

  // ---- binding cycle
  readonly preBind?: (cycle: SchedulingCycle, nodeName: string, signal: AbortSignal) => Promise<void> | undefined;
  /** Bind: false hands on to the next Bind plugin. */
  readonly bind?: (cycle: SchedulingCycle, nodeName: string, signal: AbortSignal) => Promise<boolean>;
  readonly postBind?: (cycle: SchedulingCycle, nodeName: string) => void;
}

export const maxNodeScore = 100;

/** Scales raw scores so that the highest becomes 100; `reverse` where fewer is better. */
export function defaultNormalize(scores: Float64Array, reverse: boolean): void {
  let max = 0;
  for (const score of scores) if (score > max) max = score;
  for (let i = 0; i < scores.length; i++) {
    const scaled = max === 0 ? 0 : Math.floor(((scores[i] ?? 0) * maxNodeScore) / max);
    scores[i] = reverse ? maxNodeScore - scaled : scaled;
  }
}

/** A set of plugins under a scheduler name, with the weight of each score. */
export interface Profile {
  readonly schedulerName: string;
  readonly plugins: readonly Plugin[];
  /** By plugin name; default 1. */
  readonly scoreWeights?: Readonly<Record<string, number>>;
  /** 0 (default) adapts to the cluster's size, as upstream. */
  readonly percentageOfNodesToScore?: number;
}

// Resizes of pods that run here: whether the node can give a pod what its specification asks for now, at once or later, and
// the conditions PodResizePending and PodResizeInProgress with upstream's reasons, messages and events. What does not fit
// waits and is looked at again when room may have come: a pod went or shrank, or three minutes have passed.

import { semanticallyEqual } from "../../api/meta/equality.ts";
import { podQos } from "../../api/semantics/pod-qos.ts";
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Pod, PodCondition } from "../../api/types/core-v1.ts";
import { type Clock, formatTime, type Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { podReference } from "../references.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import type { PodAllocations } from "./pod-allocations.ts";
import { resizeMessage } from "./resize-message.ts";
import type { ResizeMetrics, RetryTrigger } from "./resize-metrics.ts";

export interface PodResizesDependencies {
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly allocations: PodAllocations;
  /** As its specification asks; undefined when it is gone. */
  readonly desired: (podUid: string) => Pod | undefined;
  /** Why the pod, asking for what it asks, does not fit beside the others; undefined when it does. */
  readonly refusal: (pod: Pod) => PodVerdict | undefined;
  /** Why this node can never resize the pod so (static managers of devices); undefined when it can. */
  readonly infeasible?: (pod: Pod, allocated: Pod) => InfeasibleResize | undefined;
  /** Resources of a pod as a whole can be changed. Default true. */
  readonly podLevelAllowed?: boolean;
  readonly metrics: ResizeMetrics;
  /** All pods of the node are known. */
  readonly isReady: () => boolean;
  /** The pod has been allocated something else, or one of its conditions has changed. */
  readonly onChange: (podUid: string) => void;
}

/** A resize that can never be. */
export interface InfeasibleResize {
  readonly message: string;
  /** Of the metric kubelet_pod_infeasible_resizes_total. */
  readonly detail: string;
}

interface Conditions {
  readonly pending?: PodCondition;
  readonly inProgress?: PodCondition;
}

const firstRetryMs = 30_000;
const retryMs = 3 * 60_000;
const none: Conditions = {};

export class PodResizes implements Running {
  readonly #deps: PodResizesDependencies;
  readonly #conditions = new Map<string, Conditions>();
  readonly #pending = new Set<string>();
  /** Allocated anew, and not yet set in full. */
  readonly #unset = new Set<string>();
  #timer: Timer | undefined;

  constructor(deps: PodResizesDependencies) {
    this.#deps = deps;
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
  }

  /** Those the pod's status is to have. */
  conditionsOf(podUid: string): readonly PodCondition[] {
    const { pending, inProgress } = this.#conditions.get(podUid) ?? none;
    return [...(pending ? [pending] : []), ...(inProgress ? [inProgress] : [])];
  }

  /** Takes over what an earlier kubelet has reported. */
  adopt(pod: Pod): void {
    const known = (type: string): PodCondition | undefined => pod.status?.conditions?.find((c) => c.type === type && c.status === "True");
    const [pending, inProgress] = [known("PodResizePending"), known("PodResizeInProgress")];
    if (inProgress) this.#unset.add(pod.metadata.uid);
    if (pending ?? inProgress) this.#set(pod.metadata.uid, { ...(pending ? { pending } : {}), ...(inProgress ? { inProgress } : {}) });
  }

  /** The specification of a pod that runs here was seen, as it is (`pod`) and with what it has been allocated. */
  seen(pod: Pod, allocated: Pod, trigger: RetryTrigger): void {
    const { uid } = pod.metadata;
    if (allocated === pod) {
      this.#pending.delete(uid);
      this.#clearPending(uid);
      return;
    }
    const before = this.#conditions.get(uid)?.pending?.observedGeneration;
    if (this.#pending.has(uid) && before === pod.metadata.generation) return;
    this.#pending.add(uid);
    this.retry(trigger);
  }

  /** Room may have come for what waits. */
  retry(trigger: RetryTrigger): void {
    if (this.#pending.size === 0) return;
    const ready = this.#deps.isReady();
    if (ready) for (const pod of this.#inOrder()) this.#try(pod, trigger);
    this.#schedule(ready ? retryMs : firstRetryMs);
  }

  /** The pod was allocated something that has not been set in full, whatever its containers have. */
  isUnset(podUid: string): boolean {
    return this.#unset.has(podUid);
  }

  /** All that the pod was allocated has been set. */
  succeeded(podUid: string): void {
    this.#unset.delete(podUid);
  }

  /** Called with each look at a running pod: whether it has all it was allocated. */
  observed(pod: Pod, differs: boolean): void {
    const { uid, generation } = pod.metadata;
    const known = this.#conditions.get(uid)?.inProgress;
    if (differs) {
      if (!known) this.#setInProgress(uid, generation);
    } else if (known) {
      this.#clearInProgress(uid);
      this.#event(pod, "Normal", "ResizeCompleted", resizeMessage("completed", pod, known.observedGeneration));
      this.retry("pod_resized");
    }
  }

  /** Setting it has failed. */
  failed(pod: Pod, message: string): void {
    const { uid, generation } = pod.metadata;
    const known = this.#conditions.get(uid)?.inProgress;
    const observedGeneration = known?.observedGeneration ?? generation;
    if (known?.reason === "Error" && known.message === message) return;
    this.#setInProgress(uid, observedGeneration, { reason: "Error", message });
    this.#event(pod, "Warning", "ResizeError", resizeMessage("error", pod, observedGeneration, message));
  }

  /** The pod is over, or gone. */
  forget(podUid: string): void {
    if (this.#conditions.delete(podUid)) this.#count();
    this.#pending.delete(podUid);
    this.#unset.delete(podUid);
    if (this.#pending.size === 0) this.#timer?.cancel();
  }

  #try(pod: Pod, trigger: RetryTrigger): void {
    const { allocations, refusal, infeasible, onChange, metrics } = this.#deps;
    const { uid, generation } = pod.metadata;
    const allocated = allocations.allocatedPod(pod);
    if (allocated === pod) {
      this.#pending.delete(uid);
      if (this.#clearPending(uid)) onChange(uid);
      return;
    }
    const never = this.#podLevelRefusal(pod, allocated) ?? infeasible?.(pod, allocated);
    const refused = never === undefined ? refusal(pod) : undefined;
    if (never === undefined && !refused) {
      if (this.#conditions.get(uid)?.pending?.reason === "Deferred") metrics.accepted.series(trigger).add();
      allocations.allocate(pod, { now: true });
      this.#unset.add(uid);
      this.#pending.delete(uid);
      this.#clearPending(uid);
      this.#clearInProgress(uid);
      this.#setInProgress(uid, generation);
      this.#event(pod, "Normal", "ResizeStarted", resizeMessage("started", pod, generation));
      return onChange(uid);
    }
    const reason = never === undefined ? "Deferred" : "Infeasible";
    const message = never?.message ?? refused?.message.replace(/^Pod was rejected: /, "") ?? "";
    if (never !== undefined) {
      this.#pending.delete(uid);
      metrics.infeasible.series(never.detail).add();
    }
    this.#setPending(pod, reason, message);
  }

  #podLevelRefusal(pod: Pod, allocated: Pod): InfeasibleResize | undefined {
    if (this.#deps.podLevelAllowed !== false || semanticallyEqual(pod.spec.resources, allocated.spec.resources)) return undefined;
    return { message: "InPlacePodLevelResourcesVerticalScaling is disabled", detail: "plr_feature_gate_off" };
  }

  #setPending(pod: Pod, reason: "Deferred" | "Infeasible", message: string): void {
    const { uid, generation } = pod.metadata;
    const known = this.#conditions.get(uid)?.pending;
    if (known?.reason === reason && known.message === message && known.observedGeneration === generation) return;
    const pending = this.#condition("PodResizePending", known, generation, { reason, message });
    this.#set(uid, { ...this.#conditions.get(uid), pending });
    if (known?.reason !== reason || known.observedGeneration !== generation)
      this.#event(pod, "Warning", `Resize${reason}`, resizeMessage(reason, pod, generation, message));
    this.#deps.onChange(uid);
  }

  /** First what asks for nothing more, then by priority, class of service, and how long it has waited. */
  #inOrder(): readonly Pod[] {
    const waiting: { readonly pod: Pod; readonly rank: readonly (number | string)[] }[] = [];
    for (const uid of this.#pending) {
      const pod = this.#deps.desired(uid);
      if (pod) waiting.push({ pod, rank: this.#rankOf(pod) });
      else this.#pending.delete(uid);
    }
    return waiting.sort((a, b) => compareRanks(a.rank, b.rank)).map((w) => w.pod);
  }

  #rankOf(pod: Pod): readonly (number | string)[] {
    const [has, asks] = [podAmounts(this.#deps.allocations.allocatedPod(pod).spec), podAmounts(pod.spec)];
    const grows = ["cpu", "memory"].some((name) => (asks[name] ?? 0) > (has[name] ?? 0));
    const since = this.#conditions.get(pod.metadata.uid)?.pending?.lastTransitionTime ?? "~";
    return [grows ? 1 : 0, -(pod.spec.priority ?? 0), podQos(pod) === "Guaranteed" ? 0 : 1, since];
  }

  #setInProgress(uid: string, generation: number | undefined, fields: Partial<PodCondition> = {}): void {
    const known = this.#conditions.get(uid) ?? none;
    this.#set(uid, { ...known, inProgress: this.#condition("PodResizeInProgress", known.inProgress, generation, fields) });
  }

  #condition(type: string, before: PodCondition | undefined, generation: number | undefined, fields: Partial<PodCondition>): PodCondition {
    const now = formatTime(this.#deps.clock.now());
    const lastTransitionTime = before && before.reason === fields.reason ? (before.lastTransitionTime ?? now) : now;
    const observed = generation === undefined ? {} : { observedGeneration: generation };
    return { type, status: "True", lastProbeTime: now, lastTransitionTime, ...observed, ...fields };
  }

  #clearPending(uid: string): boolean {
    const { pending, ...rest } = this.#conditions.get(uid) ?? none;
    if (pending) this.#set(uid, rest);
    return pending !== undefined;
  }

  #clearInProgress(uid: string): void {
    const { inProgress, ...rest } = this.#conditions.get(uid) ?? none;
    if (inProgress) this.#set(uid, rest);
  }

  #set(uid: string, conditions: Conditions): void {
    if (conditions.pending ?? conditions.inProgress) this.#conditions.set(uid, conditions);
    else this.#conditions.delete(uid);
    this.#count();
  }

  #count(): void {
    const { metrics } = this.#deps;
    const counts = { deferred: 0, infeasible: 0 };
    let inProgress = 0;
    for (const { pending, inProgress: running } of this.#conditions.values()) {
      if (pending) counts[pending.reason === "Infeasible" ? "infeasible" : "deferred"]++;
      if (running) inProgress++;
    }
    for (const [reason, count] of Object.entries(counts))
      if (count > 0) metrics.pending.series(reason).set(count);
      else metrics.pending.remove(reason);
    metrics.inProgress.set(inProgress);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#pending.size > 0) this.#timer = this.#deps.clock.after(delayMs, () => this.retry("periodic_retry"));
  }

  #event(pod: Pod, type: "Normal" | "Warning", reason: string, message: string): void {
    this.#deps.recorder.record(podReference(pod), { type, reason, message });
  }
}

function compareRanks(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (const [i, value] of a.entries()) {
    const other = b[i] as number | string;
    if (value !== other) return value < other ? -1 : 1;
  }
  return 0;
}

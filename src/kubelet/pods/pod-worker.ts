// One pod's life on this node, as a state machine with one step at a time:
//   syncing      bring the runtime to what the specification says, again and again;
//   terminating  the pod is deleted, over, or was refused: stop everything that runs;
//   terminated   unmount its volumes, remove its cgroup, report the final status;
//   finished     nothing runs; dead containers stay for logs until the API object is gone, then all is removed.
// Whatever may matter (a new version of the pod, the runtime, a probe, a referenced object, the clock) only wakes the
// worker; each step looks at everything anew. A step that fails is repeated with back-off.
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { type SpanAttributes, traced } from "../../base/tracing.ts";
import type { Turns } from "../../base/turns.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { ProbeManager } from "../probes/probe-manager.ts";
import { podReference } from "../references.ts";
import type { PodResizes } from "../resize/pod-resizes.ts";
import { type Actuated, isResizing } from "../resize/resize-plan.ts";
import { ignoringGone, removeDead } from "../runtime/dead-containers.ts";
import { emptyRuntimePod, hasRunningContainers, type RuntimePod } from "../runtime/runtime-pod.ts";
import type { RuntimeReader } from "../runtime/runtime-reader.ts";
import type { PodStep } from "../stats/kubelet-metrics.ts";
import type { PodReport, PodReporter } from "../status/pod-reporter.ts";
import type { ComputedStatus, PodVerdict } from "../status/pod-status.ts";
import type { CrashBackOff } from "./crash-backoff.ts";
import { computePodActions, type PodActions } from "./pod-actions.ts";
import type { PodKiller } from "./pod-killer.ts";
import { type PodPreparationDependencies, preparePod } from "./pod-preparation.ts";
import { isTerminalPhase, podText } from "./pod-spec.ts";
import { crashKey, type PodStarter } from "./pod-starter.ts";
import { PodWaits } from "./pod-waits.ts";
import { onlyStatusDiffers } from "./start-holds.ts";

export interface PodWorkerDependencies extends PodPreparationDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly reader: RuntimeReader;
  readonly starter: PodStarter;
  readonly killer: PodKiller;
  readonly crashes: CrashBackOff;
  readonly probes: ProbeManager;
  readonly reporter: PodReporter;
  readonly resizes: PodResizes;
  readonly removeCgroup: (pod: Pod) => Promise<void>;
  /** Its containers have ended: nobody uses its claims any more. Before the final status, which gives them to others. */
  readonly releaseClaims?: ((pod: Pod) => Promise<void>) | undefined;
  /** When pods may be begun. Default at once. */
  readonly starts?: Turns;
  /** For metrics: a step has ended well. */
  readonly onStep?: (step: PodStep) => void;
  /** Everything else that is kept for the pod: logs, tokens, back-offs. Called once, when nothing is left. */
  readonly onGone: (pod: Pod) => Promise<void>;
}

export type PodWorkerState = "syncing" | "terminating" | "terminated" | "finished" | "gone";

const resyncMs = 60_000;
/** After a resize could not be done. */
const resizeRetryMs = 10_000;
const forcedGraceSeconds = 1;
const firstRetryMs = 500;
const maxRetryMs = 60_000;

export class PodWorker {
  readonly #deps: PodWorkerDependencies;
  #pod: Pod;
  #state: PodWorkerState = "syncing";
  /** No longer in any source. */
  #removed = false;
  #hurried = false;
  #verdict: PodVerdict | undefined;
  #refused: boolean;
  /** To be settled before anything else: whether the node admits the pod, and room made for it. */
  #admission: Promise<PodVerdict | undefined> | undefined;
  /** At most so long is the pod given to end, in seconds. */
  #graceLimit = Infinity;
  #resizeHold: { readonly generation: number | undefined; readonly untilMs: number } | undefined;
  #whenEnded: (() => void)[] = [];
  #runtime: RuntimePod;
  #runtimeChanged: boolean;
  readonly #waits: PodWaits;
  #failures = 0;
  readonly #seenMs: number;
  #hasStepped = false;
  #timer: Timer | undefined;
  #step: AbortController | undefined;
  #again = false;
  /** Containers of the ending pod are being stopped. */
  #killing = false;
  #running: Promise<void> | undefined;
  #stopped = false;

  /**
   * `fresh`: the runtime is known to have nothing of the pod. `refused`: the node does not admit it. `admission`: that is not
   * known yet; nothing happens before it is.
   */
  constructor(
    pod: Pod,
    deps: PodWorkerDependencies,
    options: { readonly fresh?: boolean; readonly refused?: PodVerdict; readonly admission?: Promise<PodVerdict | undefined> } = {},
  ) {
    this.#pod = pod;
    this.#deps = deps;
    this.#seenMs = deps.clock.monotonic();
    this.#waits = new PodWaits(deps);
    this.#runtime = emptyRuntimePod(pod);
    this.#runtimeChanged = options.fresh !== true;
    this.#refused = options.refused !== undefined;
    this.#verdict = options.refused;
    this.#admission = options.admission;
    if (isTerminalPhase(pod.status?.phase)) this.#state = "terminating";
  }

  get pod(): Pod {
    return this.#pod;
  }

  get state(): PodWorkerState {
    return this.#state;
  }

  /** As of the last step. */
  get runtime(): RuntimePod {
    return this.#runtime;
  }

  /** Holds resources of the node. */
  get active(): boolean {
    return this.#verdict === undefined && (this.#state === "syncing" || this.#state === "terminating");
  }

  /** The kubelet ends the pod for a reason of its own, or has already. */
  get ending(): boolean {
    return this.#verdict !== undefined;
  }

  /** None of its containers runs any more, and nothing is mounted. */
  get cleanedUp(): boolean {
    return this.#state === "finished" || this.#state === "gone";
  }

  /** The kubelet ends the pod for a reason of its own. Resolves when its containers have ended, or the worker is stopped. */
  end(verdict: PodVerdict, graceSeconds = Infinity): Promise<void> {
    const shorter = graceSeconds < this.#graceLimit;
    this.#verdict ??= verdict;
    this.#graceLimit = Math.min(this.#graceLimit, graceSeconds);
    if (this.#stopped || (this.#state !== "syncing" && this.#state !== "terminating")) return Promise.resolve();
    if (this.#state === "syncing" || shorter) this.#interrupt();
    this.wake();
    return new Promise((resolve) => this.#whenEnded.push(resolve));
  }

  /** A new version of the pod. */
  update(pod: Pod): void {
    const shorter = (pod.metadata.deletionGracePeriodSeconds ?? Infinity) < (this.#pod.metadata.deletionGracePeriodSeconds ?? Infinity);
    const deleted = pod.metadata.deletionTimestamp !== undefined;
    // The status is mostly what this kubelet has written: no reason to try again what has just failed.
    if (!onlyStatusDiffers(this.#pod, pod)) this.#waits.retry();
    this.#pod = pod;
    // What is under way would go on for nothing, or for too long.
    if (deleted && (this.#state === "syncing" || (this.#state === "terminating" && shorter))) this.#interrupt();
    this.#look();
  }

  /** The pod is no longer in its source: end it, and leave nothing. */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    // Only someone who deletes by force removes a pod that is still being ended: its grace is over.
    this.#hurried = this.#state === "terminating";
    if (this.#hurried || this.#state === "syncing") this.#interrupt();
    this.wake();
  }

  runtimeHasChanged(): void {
    this.#runtimeChanged = true;
    this.#look();
  }

  /** Something the pod depends on has changed: looks at everything again, soon. */
  wake(): void {
    this.#waits.retry();
    // Stopping containers may take minutes, in which they become unready: who sends them requests must know.
    if (this.#killing) this.#report(this.#runtime, false);
    this.#look();
  }

  #look(): void {
    if (this.#stopped || this.#state === "gone") return;
    this.#again = true;
    this.#running ??= this.#loop();
  }

  /** Ends the worker, not the pod. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#interrupt();
    this.#hasEnded();
    await this.#running;
  }

  #interrupt(): void {
    this.#step?.abort(new Error("interrupted"));
  }

  async #loop(): Promise<void> {
    // Several wake-ups of one turn are one step.
    await Promise.resolve();
    if (this.#admission) await this.#settleAdmission(this.#admission);
    while (this.#again && !this.#stopped && this.#state !== "gone") {
      this.#again = false;
      this.#timer?.cancel();
      await this.#runStep();
    }
    this.#running = undefined;
  }

  async #settleAdmission(admission: Promise<PodVerdict | undefined>): Promise<void> {
    const refused = await admission;
    this.#admission = undefined;
    if (!refused || this.#verdict) return;
    this.#verdict = refused;
    this.#refused = true;
  }

  #hasEnded(): void {
    for (const resolve of this.#whenEnded.splice(0)) resolve();
  }

  async #runStep(): Promise<void> {
    const step = new AbortController();
    this.#step = step;
    const begunMs = this.#deps.clock.monotonic();
    try {
      const { tracer, starts } = this.#deps;
      const run = (): Promise<number | undefined> =>
        traced(tracer, this.#spanName(), { attributes: this.#attributes() }, () => this.#nextStep(step.signal));
      const wakeAtMs = await (starts && !this.#hasStepped ? starts.take(run, { signal: step.signal }) : run());
      this.#stepped(this.#deps.clock.monotonic() - begunMs);
      this.#failures = 0;
      if (wakeAtMs !== undefined) this.#wakeAfter(wakeAtMs - this.#deps.clock.now());
    } catch (error) {
      // The runtime may be in any state now.
      this.#runtimeChanged = true;
      if (this.#stopped || step.signal.aborted) {
        this.#again ||= !this.#stopped;
        return;
      }
      this.#deps.logger.info("Error syncing pod, skipping", { pod: podText(this.#pod), state: this.#state, error }, 2);
      this.#wakeAfter(Math.min(firstRetryMs * 2 ** this.#failures++, maxRetryMs));
    } finally {
      this.#step = undefined;
    }
  }

  /** Upstream's. */
  #spanName(): string {
    return this.#state === "syncing" ? "syncPod" : this.#state === "terminating" ? "syncTerminatingPod" : "syncTerminatedPod";
  }

  #attributes(): SpanAttributes {
    const { uid, name, namespace } = this.#pod.metadata;
    const type = this.#state !== "syncing" ? "kill" : this.#hasStepped ? "update" : "create";
    return {
      ...{ "k8s.pod.uid": uid, "k8s.pod": `${namespace}/${name}`, "k8s.pod.name": name, "k8s.namespace.name": namespace },
      "k8s.pod.update_type": type,
    };
  }

  #stepped(durationMs: number): void {
    const operation = this.#state !== "syncing" ? "kill" : this.#hasStepped ? "sync" : "create";
    const waitedMs = this.#hasStepped ? undefined : this.#deps.clock.monotonic() - durationMs - this.#seenMs;
    this.#hasStepped = true;
    const status = this.#deps.reporter.previous(this.#pod);
    this.#deps.onStep?.({ pod: this.#pod, operation, durationMs, status, ...(waitedMs === undefined ? {} : { waitedMs }) });
  }

  #wakeAfter(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.after(Math.max(0, delayMs), () => this.#look());
  }

  /** Returns when to look again although nothing happened. */
  async #nextStep(signal: AbortSignal): Promise<number | undefined> {
    if (this.#state === "syncing" && this.#mustEnd()) this.#state = "terminating";
    switch (this.#state) {
      case "syncing":
        return await this.#sync(signal);
      case "terminating":
        return await this.#terminate(signal);
      case "terminated":
        return await this.#finish();
      case "finished":
        return this.#removed ? await this.#vanish() : undefined;
      case "gone":
        return undefined;
    }
  }

  #mustEnd(): boolean {
    this.#verdict ??= this.#pastDeadline();
    return this.#removed || this.#verdict !== undefined || this.#pod.metadata.deletionTimestamp !== undefined;
  }

  #deadlineMs(): number | undefined {
    const { activeDeadlineSeconds } = this.#pod.spec;
    const { startTime } = this.#deps.reporter.previous(this.#pod);
    return activeDeadlineSeconds === undefined || startTime === undefined
      ? undefined
      : Date.parse(startTime) + activeDeadlineSeconds * 1000;
  }

  #pastDeadline(): PodVerdict | undefined {
    const deadlineMs = this.#deadlineMs();
    if (deadlineMs === undefined || this.#deps.clock.now() < deadlineMs) return undefined;
    const [reason, message] = ["DeadlineExceeded", "Pod was active on the node longer than the specified deadline"];
    this.#deps.recorder.record(podReference(this.#pod), { type: "Normal", reason, message });
    return { phase: "Failed", reason, message };
  }

  async #sync(signal: AbortSignal): Promise<number | undefined> {
    const { probes, starter } = this.#deps;
    const pod = this.#pod;
    const runtime = await this.#readRuntime();
    probes.update(pod, runtime, this.#deps.reporter.previous(this.#pod));
    this.#deps.resizes.observed(pod, isResizing(pod, runtime.containers, this.#actuated(pod)));
    const { over, restartingAll = false } = this.#report(runtime, false);
    if (over) {
      this.#state = "terminating";
      this.#again = true;
      return undefined;
    }
    const actions = this.#decide(pod, runtime, restartingAll);
    const prepared = await preparePod(this.#deps, pod, signal);
    const result = await starter.apply({
      ...{ pod, runtime, actions, ...prepared, signal },
      onSandboxReady: () => this.#deps.reporter.sandboxReady(pod),
    });
    this.#waits.tried(result);
    // A start that failed may have got far: what the runtime has now is read before it is tried again.
    if (result.changed || result.failed.size > 0) this.#runtimeChanged = true;
    if (result.resized) this.#deps.resizes.succeeded(pod.metadata.uid);
    if (result.resizeProblem !== undefined) {
      this.#deps.resizes.failed(pod, result.resizeProblem);
      this.#report(await this.#readRuntime(), false);
      this.#resizeHold = { generation: pod.metadata.generation, untilMs: this.#deps.clock.now() + resizeRetryMs };
    }
    if (result.changed || result.failed.size > 0) this.#refresh(result.changed);
    else if (await removeDead(this.#deps.cri, runtime)) this.#runtimeChanged = true;
    return this.#nextWakeMs(actions);
  }

  /** After changes of the runtime the worker goes round once more; failures only have to be shown. */
  #refresh(changed: boolean): void {
    if (changed) this.#again = true;
    else this.#report(this.#runtime, false);
  }

  #actuated(pod: Pod): Actuated {
    const { uid } = pod.metadata;
    const { allocations, resizes } = this.#deps;
    return {
      container: (name) => allocations.actuated(uid, name),
      pod: allocations.actuatedPodLevel(uid),
      unset: resizes.isUnset(uid),
    };
  }

  #decide(pod: Pod, runtime: RuntimePod, restartingAll: boolean): PodActions {
    const { probes, crashes } = this.#deps;
    const actions = computePodActions(pod, runtime, {
      actuated: this.#actuated(pod),
      restartingAll,
      liveness: (id) => probes.result("Liveness", id),
      startup: (id) => probes.result("Startup", id),
      backOff: (container, finishedAtMs) => crashes.delayAfter(crashKey(pod, container), finishedAtMs),
    });
    if (this.#waits.backOff(pod, actions.waiting)) this.#report(runtime, false);
    return this.#withoutHeldResize(this.#waits.without(actions));
  }

  /** What could not be set is not tried again with every look, but with every new wish. */
  #withoutHeldResize(actions: PodActions): PodActions {
    const hold = this.#resizeHold;
    if (!hold || hold.generation !== this.#pod.metadata.generation || this.#deps.clock.now() >= hold.untilMs) return actions;
    const { resize: _later, ...others } = actions;
    return others;
  }

  #nextWakeMs({ waiting }: PodActions): number {
    const now = this.#deps.clock.now();
    const deadline = this.#deadlineMs();
    const held = this.#resizeHold && this.#resizeHold.untilMs > now ? [this.#resizeHold.untilMs] : [];
    return Math.min(
      now + resyncMs,
      ...held,
      ...waiting.map((w) => w.untilMs),
      ...this.#waits.ends(),
      ...(deadline === undefined ? [] : [deadline]),
    );
  }

  async #terminate(signal: AbortSignal): Promise<undefined> {
    const { killer, probes } = this.#deps;
    const uid = this.#pod.metadata.uid;
    probes.stopLivenessAndStartup(uid);
    const runtime = await this.#readRuntime();
    this.#report(runtime, false);
    const podIP = this.#deps.reporter.previous(this.#pod).podIP ?? "";
    if (runtime.sandboxes.some((s) => s.ready) || runtime.containers.some((c) => c.state !== "exited")) {
      this.#killing = true;
      try {
        await killer.killPod(this.#pod, runtime, { signal, podIP, ...this.#shortGrace() });
      } finally {
        this.#killing = false;
      }
      this.#runtimeChanged = true;
    }
    probes.remove(uid);
    const stopped = await this.#readRuntime();
    if (hasRunningContainers(stopped)) throw new Error(`pod ${podText(this.#pod)} still has running containers after it was stopped`);
    if (this.#deps.releaseClaims) await this.#deps.releaseClaims(this.#pod);
    this.#deps.resizes.forget(uid);
    this.#report(stopped, true);
    this.#state = "terminated";
    this.#again = true;
    this.#hasEnded();
    return undefined;
  }

  /** Less than the pod asks for, where someone is in a hurry. */
  #shortGrace(): { readonly graceSeconds?: number } {
    const limit = this.#hurried ? Math.min(this.#graceLimit, forcedGraceSeconds) : this.#graceLimit;
    if (limit === Infinity) return {};
    return { graceSeconds: Math.min(limit, this.#pod.metadata.deletionGracePeriodSeconds ?? Infinity) };
  }

  async #finish(): Promise<undefined> {
    const { volumes, reporter } = this.#deps;
    await volumes.tearDown(this.#pod.metadata.uid);
    await this.#deps.removeCgroup(this.#pod);
    reporter.finish(this.#facts(this.#runtime, true));
    this.#state = "finished";
    this.#deps.resizes.retry("pod_terminated");
    this.#again = true;
    return undefined;
  }

  /** Removes what the runtime and the disk still have of the pod. */
  async #vanish(): Promise<undefined> {
    const { cri, volumes } = this.#deps;
    const runtime = await this.#readRuntime();
    for (const { id } of runtime.containers) await ignoringGone(() => cri.removeContainer({ containerId: id }));
    for (const { id } of runtime.sandboxes) await ignoringGone(() => cri.removePodSandbox({ podSandboxId: id }));
    await volumes.removePod(this.#pod.metadata.uid);
    await this.#deps.onGone(this.#pod);
    this.#state = "gone";
    return undefined;
  }

  async #readRuntime(): Promise<RuntimePod> {
    if (!this.#runtimeChanged) return this.#runtime;
    // Before the call: a change during it must be read again.
    this.#runtimeChanged = false;
    const { uid, name, namespace } = this.#pod.metadata;
    try {
      this.#runtime = await this.#deps.reader.read({ uid, name, namespace });
    } catch (error) {
      this.#runtimeChanged = true;
      throw error;
    }
    return this.#runtime;
  }

  #report(runtime: RuntimePod, terminated: boolean): ComputedStatus {
    return this.#deps.reporter.report(this.#facts(runtime, terminated));
  }

  #facts(runtime: RuntimePod, terminated: boolean): PodReport {
    const verdict = this.#verdict ? { verdict: this.#verdict } : {};
    return { pod: this.#pod, runtime, terminated, waiting: this.#waits.reasons, refused: this.#refused, ...verdict };
  }
}

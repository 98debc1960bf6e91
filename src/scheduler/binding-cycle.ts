// The binding cycle: Permit, PreBind, Bind and PostBind of a pod whose room has been assumed. It runs in the background while
// the next pods are decided on; what fails gives the room back.
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { errorText } from "../base/log.ts";
import { SpareControllers } from "../base/spare-controllers.ts";
import type { Attempt, SchedulerState } from "./attempt.ts";
import type { FailureHandling } from "./failure-handling.ts";
import type { Plugin, Profile } from "./framework.ts";

type With<P extends keyof Plugin> = Plugin & Required<Pick<Plugin, P>>;

/** The plugins of a profile that a binding passes, found once. */
interface Binders {
  readonly permitting: readonly With<"permit">[];
  readonly preBinding: readonly With<"preBind">[];
  readonly binding: readonly With<"bind">[];
  readonly postBinding: readonly With<"postBind">[];
}

/** Where a binding is. */
interface Stage {
  point: "Permit" | "PreBind" | "Bind";
  plugin: string;
}

export class BindingCycles {
  readonly #state: SchedulerState;
  readonly #failures: FailureHandling;
  readonly #timeoutMs: number;
  /** Of the bindings under way: a signal of several would cost more than the rest of a binding. */
  readonly #limits = new Set<AbortController>();
  readonly #spareLimits = new SpareControllers();
  readonly #binders = new WeakMap<Profile, Binders>();

  constructor(state: SchedulerState, failures: FailureHandling, options: { readonly timeoutMs: number }) {
    this.#state = state;
    this.#failures = failures;
    this.#timeoutMs = options.timeoutMs;
  }

  /** Ends what is under way. */
  abort(reason: Error): void {
    for (const limit of this.#limits) limit.abort(reason);
  }

  /** Never rejects. */
  async run(attempt: Attempt, nodeName: string): Promise<void> {
    const { deps } = this.#state;
    const limit = this.#spareLimits.take();
    this.#limits.add(limit);
    const timer = deps.clock.after(this.#timeoutMs, () => limit.abort(new Error(`binding took longer than ${this.#timeoutMs} ms`)));
    const stage: Stage = { point: "Bind", plugin: "" };
    try {
      const asksPermit = this.#bindersOf(attempt.profile).permitting.length > 0;
      if (asksPermit && (await this.#refused(attempt, nodeName, { stage, signal: limit.signal }))) return;
      await this.#bind(attempt, nodeName, { stage, signal: limit.signal });
    } catch (error) {
      return this.#broken(attempt, nodeName, { stage, error });
    } finally {
      timer.cancel();
      this.#limits.delete(limit);
      this.#spareLimits.giveBack(limit);
    }
    this.#bound(attempt, nodeName);
  }

  /** Permit: gives the room back where a plugin refuses. */
  async #refused(
    attempt: Attempt,
    nodeName: string,
    { stage, signal }: { readonly stage: Stage; readonly signal: AbortSignal },
  ): Promise<boolean> {
    for (const plugin of this.#bindersOf(attempt.profile).permitting) {
      stage.point = "Permit";
      stage.plugin = plugin.name;
      const rejection = await plugin.permit(attempt.cycle, nodeName, signal);
      if (!rejection) continue;
      this.#failures.giveBack(attempt, { nodeName, rejectedBy: new Set([plugin.name]), message: rejection.reasons.join(", ") });
      return true;
    }
    return false;
  }

  /** PreBind and Bind. */
  async #bind(
    { cycle, profile }: Attempt,
    nodeName: string,
    { stage, signal }: { readonly stage: Stage; readonly signal: AbortSignal },
  ): Promise<void> {
    const { clock, metrics } = this.#state.deps;
    const { preBinding, binding } = this.#bindersOf(profile);
    stage.point = "PreBind";
    for (const plugin of preBinding) {
      stage.plugin = plugin.name;
      const pending = plugin.preBind(cycle, nodeName, signal);
      if (pending) await pending;
    }
    stage.point = "Bind";
    stage.plugin = "";
    const startedMs = clock.monotonic();
    for (const plugin of binding) {
      stage.plugin = plugin.name;
      if (!(await plugin.bind(cycle, nodeName, signal))) continue;
      metrics?.ranPoint("Bind", { profile: profile.schedulerName, ok: true, ms: clock.monotonic() - startedMs });
      return;
    }
    throw new Error("no Bind plugin bound the pod");
  }

  #broken(attempt: Attempt, nodeName: string, { stage, error }: { readonly stage: Stage; readonly error: unknown }): void {
    const { deps, signal } = this.#state;
    const gone = isStatus(error, "NotFound");
    if (!gone && !signal.aborted) deps.logger.error("Binding a pod failed", { pod: keyOf(attempt.cycle.pod), node: nodeName, error });
    const where = `${stage.point} plugin ${JSON.stringify(stage.plugin)}`;
    this.#failures.giveBack(attempt, { nodeName, rejectedBy: new Set(), message: `running ${where}: ${errorText(error)}`, gone });
  }

  #bound({ info, cycle, profile, startedMs }: Attempt, nodeName: string): void {
    const { deps, queue, recorderOf } = this.#state;
    const { clock, metrics, logger } = deps;
    const { pod } = cycle;
    queue.done(pod);
    metrics?.attempted("scheduled", profile.schedulerName, clock.monotonic() - startedMs);
    metrics?.placed(info.attempts, clock.now() - info.firstAttemptMs, info.wasFlushed);
    for (const plugin of this.#bindersOf(profile).postBinding) plugin.postBind(cycle, nodeName);
    const key = keyOf(pod);
    logger.info("Bound pod", { pod: key, node: nodeName }, 2);
    const note = `Successfully assigned ${key} to ${nodeName}`;
    recorderOf(profile).record(pod, { type: "Normal", reason: "Scheduled", action: "Binding", note });
  }

  #bindersOf(profile: Profile): Binders {
    let binders = this.#binders.get(profile);
    if (!binders) {
      binders = {
        permitting: havingPoint(profile, "permit"),
        preBinding: havingPoint(profile, "preBind"),
        binding: havingPoint(profile, "bind"),
        postBinding: havingPoint(profile, "postBind"),
      };
      this.#binders.set(profile, binders);
    }
    return binders;
  }
}

function havingPoint<P extends keyof Plugin>({ plugins }: Profile, point: P): readonly With<P>[] {
  return plugins.filter((plugin): plugin is With<P> => plugin[point] !== undefined);
}

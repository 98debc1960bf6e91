// horizontal-pod-autoscaler-controller: every 15 s each autoscaler reads its metrics and sets the scale of its target, and
// says in its conditions what it could do: AbleToScale (the target's scale), ScalingActive (the metrics), ScalingLimited
// (bounds and rates). What it reads, proposes and limits is in the files beside this one.
import { keyOf } from "../../api/meta/object.ts";
import { parseQuantity } from "../../api/meta/quantity.ts";
import { type LabelMatcher, parseLabelSelector } from "../../api/meta/selectors.ts";
import { horizontalpodautoscalers, pods } from "../../api/resources.generated.ts";
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus } from "../../api/types/autoscaling-v2.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { Informer } from "../../client/informer.ts";
import type { Controller, ControllerContext } from "../controller.ts";
import { AutoscalerLook, actionOf, showAutoscalers } from "./autoscaler-figures.ts";
import { type AutoscalerOptions, defaultAutoscalerOptions, type Tolerances } from "./autoscaler-options.ts";
import { AutoscalerStatus } from "./autoscaler-status.ts";
import { changeWindowMs, limitReplicas, recommendationWindowMs } from "./limit-replicas.ts";
import { MetricError } from "./metric-error.ts";
import { type Proposal, type ProposalContext, proposeReplicas } from "./metric-proposal.ts";
import { MetricSource } from "./metric-source.ts";
import { ScaleTargets, type TargetScale } from "./scale-target.ts";
import { emptyHistory, remember, type ScalingHistory } from "./scaling-history.ts";

export const horizontalPodAutoscalerController: Controller = {
  name: "horizontal-pod-autoscaler-controller",
  component: "horizontal-pod-autoscaler",
  serviceAccount: "horizontal-pod-autoscaler",
  create(context) {
    const autoscalers = context.informers.informer(horizontalpodautoscalers);
    const loop = new Autoscaling(context, autoscalers);
    const { syncPeriodMs } = loop.options;
    // A change is looked at with the next turn, not at once: otherwise each write of a status would be one more turn.
    const soon = (autoscaler: HorizontalPodAutoscaler): void => context.enqueue(keyOf(autoscaler), syncPeriodMs);
    const gone = (autoscaler: HorizontalPodAutoscaler): void => loop.forget(keyOf(autoscaler));
    return {
      watches: [{ start: () => autoscalers.addHandler({ onAdd: soon, onUpdate: soon, onDelete: gone }) }],
      start: () => showAutoscalers(context, autoscalers),
      async reconcile(key, { signal }) {
        const autoscaler = autoscalers.get(key);
        if (!autoscaler) {
          loop.forget(key);
          return undefined;
        }
        const look = new AutoscalerLook(context);
        try {
          await loop.reconcile(key, autoscaler, { look, signal });
        } catch (error) {
          look.failed();
          // No back-off: the next turn is the next try.
          context.logger.error("Failed, trying again with the next turn", { autoscaler: key, error });
        } finally {
          look.end();
        }
        return { requeueAfterMs: syncPeriodMs };
      },
    };
  },
};

/** What the metrics of an autoscaler come to. */
interface Outcome {
  /** Undefined where nothing may be done. */
  readonly best: Proposal | undefined;
  readonly statuses: readonly MetricStatus[];
  /** What is to be told about metrics that could not be had. */
  readonly problem: string | undefined;
}

class Autoscaling {
  readonly options: AutoscalerOptions;
  readonly #context: ControllerContext;
  readonly #autoscalers: Informer<HorizontalPodAutoscaler>;
  readonly #pods: Informer<Pod>;
  readonly #source: MetricSource;
  readonly #targets: ScaleTargets;
  readonly #histories = new Map<string, ScalingHistory>();
  /** What each autoscaler's target selects, as last seen: two must not scale the same pods. */
  readonly #selectors = new Map<string, LabelMatcher>();

  constructor(context: ControllerContext, autoscalers: Informer<HorizontalPodAutoscaler>) {
    this.options = { ...defaultAutoscalerOptions, ...context.options.autoscaler };
    this.#context = context;
    this.#autoscalers = autoscalers;
    this.#pods = context.informers.informer(pods);
    this.#source = new MetricSource(context);
    this.#targets = new ScaleTargets(context);
  }

  forget(key: string): void {
    this.#histories.delete(key);
    this.#selectors.delete(key);
  }

  async reconcile(key: string, autoscaler: HorizontalPodAutoscaler, { look, signal }: Pick<Turn, "look" | "signal">): Promise<void> {
    const { client, clock, recorder } = this.#context;
    const status = new AutoscalerStatus(autoscaler, clock);
    let scale: TargetScale;
    try {
      scale = await this.#targets.find(autoscaler.spec.scaleTargetRef, autoscaler.metadata.namespace, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      look.failed();
      const why = messageOf(error);
      recorder.record(autoscaler, { type: "Warning", reason: "FailedGetScale", message: why });
      status.set("AbleToScale", "False", "FailedGetScale", `the HPA controller was unable to get the target's current scale: ${why}`);
      await status.write(client, recorder, signal);
      return;
    }
    status.set("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    this.#rememberFirst(key, scale.replicas);
    await this.#scale({ key, autoscaler, scale, status, look, signal });
  }

  /** Until there is a recommendation of its own, the number that it found counts as one. */
  #rememberFirst(key: string, replicas: number): void {
    if (this.#histories.has(key)) return;
    this.#histories.set(key, { ...emptyHistory, recommendations: [{ replicas, atMs: this.#context.clock.now() }] });
  }

  async #scale(turn: Turn): Promise<void> {
    const { autoscaler, scale, status, signal } = turn;
    const { client, recorder } = this.#context;
    const current = scale.replicas;
    const { maxReplicas, minReplicas = 1 } = autoscaler.spec;
    if (current === 0) {
      status.set("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero");
      status.count({ current, desired: 0, metrics: [] });
      await status.write(client, recorder, signal);
    } else if (current > maxReplicas) {
      await this.#resize(turn, { replicas: maxReplicas, reason: "Current number of replicas above Spec.MaxReplicas", metrics: [] });
    } else if (current < minReplicas) {
      await this.#resize(turn, { replicas: minReplicas, reason: "Current number of replicas below Spec.MinReplicas", metrics: [] });
    } else await this.#scaleByMetrics(turn, minReplicas);
  }

  async #scaleByMetrics(turn: Turn, minReplicas: number): Promise<void> {
    const { key, autoscaler, scale, status, signal } = turn;
    const { client, recorder, logger } = this.#context;
    const { best, statuses, problem } = await this.#measure(turn);
    const current = scale.replicas;
    if (!best) {
      turn.look.failed();
      status.count({ current, metrics: statuses });
      await status.write(client, recorder, signal);
      recorder.record(autoscaler, { type: "Warning", reason: "FailedComputeMetricsReplicas", message: problem ?? "" });
      return;
    }
    const reason = best.replicas > current ? `${best.metric} above target` : best.replicas < current ? "All metrics below target" : "";
    const replicas = this.#limit(turn, best.replicas, minReplicas);
    if (problem !== undefined) logger.warn("Some metrics cannot be had", { autoscaler: key, problem });
    if (replicas !== current) await this.#resize(turn, { replicas, reason, metrics: statuses });
    else {
      status.count({ current, desired: current, metrics: statuses });
      await status.write(client, recorder, signal);
    }
  }

  #limit({ key, autoscaler, scale, status }: Turn, desired: number, minReplicas: number): number {
    const nowMs = this.#context.clock.now();
    const { downscaleStabilizationMs } = this.options;
    const history = this.#histories.get(key) ?? emptyHistory;
    const input = { spec: autoscaler.spec, minReplicas, current: scale.replicas, desired, history, nowMs, downscaleStabilizationMs };
    const { replicas, stabilized, limited } = limitReplicas(input);
    const window = { windowMs: recommendationWindowMs(input), nowMs };
    this.#histories.set(key, {
      ...history,
      recommendations: remember(history.recommendations, { replicas: desired, atMs: nowMs }, window),
    });
    status.set("AbleToScale", "True", stabilized.reason, stabilized.message);
    status.set("ScalingLimited", limited.status, limited.reason, limited.message);
    return replicas;
  }

  /** Reads all metrics. Some may fail as long as the others do not ask for fewer pods. */
  async #measure(turn: Turn): Promise<Outcome> {
    const { autoscaler, scale, status, signal } = turn;
    const { recorder } = this.#context;
    const metrics = autoscaler.spec.metrics ?? [];
    const selected = this.#selectPods(turn);
    if (typeof selected === "string") return { best: undefined, statuses: [], problem: selected };
    const context: ProposalContext = { ...this.#proposalContext(turn), pods: selected };
    const statuses: MetricStatus[] = [];
    const failures: MetricError[] = [];
    let best: Proposal | undefined;
    for (const metric of metrics) {
      const measured = turn.look.metric(metric.type);
      const proposal = await this.#propose(metric, context);
      measured(proposal instanceof MetricError ? undefined : actionOf(scale.replicas, proposal.replicas));
      if (proposal instanceof MetricError) {
        recorder.record(autoscaler, { type: "Warning", reason: proposal.reason, message: proposal.detail });
        failures.push(proposal);
        statuses.push({ type: "" });
        continue;
      }
      statuses.push(proposal.status);
      if (!best || proposal.replicas > best.replicas) best = proposal;
    }
    signal.throwIfAborted();
    const [first] = failures;
    const problem = first && `invalid metrics (${failures.length} invalid out of ${metrics.length}), first error is: ${first.message}`;
    if (first && (!best || best.replicas < scale.replicas)) {
      status.set("ScalingActive", "False", first.reason, `the HPA was unable to compute the replica count: ${first.detail}`);
      return { best: undefined, statuses, problem };
    }
    const metric = best?.metric ?? "";
    status.set("ScalingActive", "True", "ValidMetricFound", `the HPA was able to successfully calculate a replica count from ${metric}`);
    return { best, statuses, problem };
  }

  async #propose(metric: MetricSpec, context: ProposalContext): Promise<Proposal | MetricError> {
    try {
      return await proposeReplicas(metric, context);
    } catch (error) {
      if (error instanceof MetricError) return error;
      throw error;
    }
  }

  #proposalContext({ autoscaler, scale, signal }: Turn): Omit<ProposalContext, "pods"> {
    return {
      source: this.#source,
      namespace: autoscaler.metadata.namespace,
      selector: scale.selector,
      specReplicas: scale.replicas,
      statusReplicas: scale.statusReplicas,
      tolerances: tolerancesOf(autoscaler, this.options.tolerance),
      nowMs: this.#context.clock.now(),
      options: this.options,
      signal,
    };
  }

  /** The target's pods, or why they cannot be told. */
  #selectPods({ key, autoscaler, scale, status }: Turn): readonly Pod[] | string {
    const { recorder } = this.#context;
    const refuse = (reason: string, message: string, condition: { readonly reason: string; readonly message: string }): string => {
      recorder.record(autoscaler, { type: "Warning", reason, message });
      status.set("ScalingActive", "False", condition.reason, condition.message);
      return message;
    };
    if (scale.selector === "") {
      const message = "the HPA target's scale is missing a selector";
      return refuse("SelectorRequired", "selector is required", { reason: "InvalidSelector", message });
    }
    let selector: LabelMatcher;
    try {
      selector = parseLabelSelector(scale.selector);
    } catch (error) {
      const message = `couldn't convert selector into a corresponding internal selector object: ${messageOf(error)}`;
      return refuse("InvalidSelector", message, { reason: "InvalidSelector", message });
    }
    this.#selectors.set(key, selector);
    const { namespace } = autoscaler.metadata;
    const selected = this.#pods.inNamespace(namespace).filter((pod) => selector.matches(pod.metadata.labels));
    const rivals = this.#autoscalersOf(namespace, selected);
    if (rivals.length <= 1) return selected;
    const message = `pods by selector ${scale.selector} are controlled by multiple HPAs: [${rivals.join(" ")}]`;
    return refuse("AmbiguousSelector", message, { reason: "AmbiguousSelector", message });
  }

  #autoscalersOf(namespace: string, selected: readonly Pod[]): readonly string[] {
    return this.#autoscalers
      .inNamespace(namespace)
      .map(keyOf)
      .filter((key) => selected.some((pod) => this.#selectors.get(key)?.matches(pod.metadata.labels)))
      .sort();
  }

  async #resize(
    turn: Turn,
    { replicas, reason, metrics }: { readonly replicas: number; readonly reason: string; readonly metrics: readonly MetricStatus[] },
  ): Promise<void> {
    const { autoscaler, scale, status, signal } = turn;
    const { client, recorder, logger } = this.#context;
    const current = scale.replicas;
    try {
      await scale.resize(replicas, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      turn.look.failed();
      const why = messageOf(error);
      const message = `New size: ${replicas}; reason: ${reason}; error: ${why}`;
      recorder.record(autoscaler, { type: "Warning", reason: "FailedRescale", message });
      status.set("AbleToScale", "False", "FailedUpdateScale", `the HPA controller was unable to update the target scale: ${why}`);
      status.count({ current, metrics });
      await status.write(client, recorder, signal);
      return;
    }
    status.set("AbleToScale", "True", "SucceededRescale", `the HPA controller was able to update the target scale to ${replicas}`);
    recorder.record(autoscaler, { type: "Normal", reason: "SuccessfulRescale", message: `New size: ${replicas}; reason: ${reason}` });
    logger.info("Scaled", { autoscaler: turn.key, from: current, to: replicas, reason });
    this.#rememberChange(turn, replicas);
    turn.look.scaled(current, replicas);
    status.count({ current, desired: replicas, metrics, scaledAt: formatTime(this.#context.clock.now()) });
    await status.write(client, recorder, signal);
  }

  /** Changes are counted only where there are policies to count them against. */
  #rememberChange({ key, autoscaler, scale }: Turn, replicas: number): void {
    const { behavior } = autoscaler.spec;
    if (!behavior) return;
    const history = this.#histories.get(key) ?? emptyHistory;
    const nowMs = this.#context.clock.now();
    const isUp = replicas > scale.replicas;
    const change = { pods: Math.abs(replicas - scale.replicas), atMs: nowMs };
    const windowMs = Math.max(changeWindowMs(behavior.scaleUp), changeWindowMs(behavior.scaleDown));
    const changes = remember(isUp ? history.added : history.removed, change, { windowMs, nowMs });
    this.#histories.set(key, isUp ? { ...history, added: changes } : { ...history, removed: changes });
  }
}

/** One look at one autoscaler. */
interface Turn {
  readonly key: string;
  readonly autoscaler: HorizontalPodAutoscaler;
  readonly scale: TargetScale;
  readonly status: AutoscalerStatus;
  readonly look: AutoscalerLook;
  readonly signal: AbortSignal;
}

function tolerancesOf({ spec: { behavior } }: HorizontalPodAutoscaler, otherwise: number): Tolerances {
  const { scaleDown, scaleUp } = behavior ?? {};
  return {
    down: scaleDown?.tolerance === undefined ? otherwise : parseQuantity(scaleDown.tolerance).toNumber(),
    up: scaleUp?.tolerance === undefined ? otherwise : parseQuantity(scaleUp.tolerance).toNumber(),
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

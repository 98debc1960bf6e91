// disruption-controller: keeps the status of pod disruption budgets, which the eviction API asks and charges. It also takes
// back the condition DisruptionTarget of pods that were to be disrupted but were never deleted.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { keyOf } from "../../api/meta/object.ts";
import { labelMatcher } from "../../api/meta/selectors.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { poddisruptionbudgets, pods } from "../../api/resources.generated.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodDisruptionBudget } from "../../api/types/policy-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { Informer } from "../../client/informer.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { patchPodStatus } from "../pod-control.ts";
import { countsByControllers, failedStatus, planBudget, selectorText } from "./budget-status.ts";
import { ControllerScales } from "./controller-scales.ts";

const staleConditionMs = 2 * 60_000;

/** A kind of controller that is not known yet may become so. */
const retryMs = 60_000;

/** Keys of pods, whose condition may be stale; all others are keys of budgets. A colon is in no name. */
const podPrefix = "pod:";

interface Work {
  readonly budget: PodDisruptionBudget;
  readonly selected: readonly Pod[];
  readonly scales: ControllerScales;
  readonly signal: AbortSignal;
}

export const disruptionController: Controller = {
  name: "disruption-controller",
  component: "controllermanager",
  create(context) {
    const budgetInformer = context.informers.informer(poddisruptionbudgets);
    const podInformer = context.informers.informer(pods);
    const scales = new ControllerScales(context);
    return {
      watches: [
        watch(budgetInformer, (budget) => [keyOf(budget)]),
        watch(podInformer, (pod) => [
          ...budgetsOf(pod, budgetInformer),
          ...(staleAtMs(pod) === undefined ? [] : [`${podPrefix}${keyOf(pod)}`]),
        ]),
      ],
      async reconcile(key, { signal }) {
        if (key.startsWith(podPrefix)) {
          const pod = podInformer.get(key.slice(podPrefix.length));
          return pod && reconcilePod(context, pod, signal);
        }
        const budget = budgetInformer.get(key);
        if (!budget) return undefined;
        const selector = labelMatcher(budget.spec.selector);
        const selected = podInformer.inNamespace(budget.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels));
        return reconcileBudget(context, { budget, selected, scales, signal });
      },
    };
  },
};

function budgetsOf(pod: Pod, budgets: Informer<PodDisruptionBudget>): readonly string[] {
  return budgets
    .inNamespace(pod.metadata.namespace)
    .filter((budget) => labelMatcher(budget.spec.selector).matches(pod.metadata.labels))
    .map(keyOf);
}

async function reconcileBudget(context: ControllerContext, work: Work): Promise<RequeueAfter | undefined> {
  const { client, clock, recorder, logger } = context;
  const { budget, signal } = work;
  const write = async (status: NonNullable<PodDisruptionBudget["status"]>): Promise<void> => {
    if (!semanticallyEqual(status, budget.status)) await client.updateStatus(poddisruptionbudgets, { ...budget, status }, { signal });
  };
  try {
    const expectedPods = await expectedCount(context, work);
    const plan = planBudget({ budget, pods: work.selected, expectedPods, nowMs: clock.now() });
    for (const pod of plan.notDeleted) {
      // Upstream names the budget's namespace twice; its name is of more use.
      const message = `Pod was expected by PDB ${keyOf(budget)} to be deleted but it wasn't`;
      recorder.record(pod, { type: "Warning", reason: "NotDeleted", message });
    }
    await write(plan.status);
    return plan.recheckMs === undefined ? undefined : { requeueAfterMs: plan.recheckMs + 1 };
  } catch (error) {
    // The budget has changed, by an eviction for example: what was computed is out of date, and nothing is wrong.
    if (isStatus(error, "Conflict") || signal.aborted) throw error;
    logger.warn("Cannot tell how many pods may be disrupted", { budget: keyOf(budget), error });
    await write(failedStatus(budget, error instanceof Error ? error.message : String(error), clock.now()));
    return { requeueAfterMs: retryMs };
  }
}

/** How many pods there should be: by their controllers, or, for a plain number that must be available, as many as there are. */
async function expectedCount({ recorder }: ControllerContext, { budget, selected, scales, signal }: Work): Promise<number> {
  if (selected.length === 0) recorder.record(budget, { type: "Normal", reason: "NoPods", message: "No matching pods found" });
  if (!countsByControllers(budget)) return budget.spec.minAvailable === undefined ? 0 : selected.length;
  try {
    const { count, hasUnmanaged } = await scales.expectedOf(selected, signal);
    if (hasUnmanaged) {
      const message =
        `Pods selected by this PodDisruptionBudget (selector: ${selectorText(budget.spec.selector ?? {})}) were found to be unmanaged. ` +
        "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. " +
        'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.';
      recorder.record(budget, { type: "Warning", reason: "UnmanagedPods", message });
    }
    return count;
  } catch (error) {
    const message = `Failed to calculate the number of expected pods: ${error instanceof Error ? error.message : String(error)}`;
    recorder.record(budget, { type: "Warning", reason: "CalculateExpectedPodCountFailed", message });
    throw error;
  }
}

/** When a pod's announcement that it will be deleted goes stale; undefined where it has made none. */
function staleAtMs(pod: Pod): number | undefined {
  if (pod.metadata.deletionTimestamp !== undefined || isPodTerminal(pod)) return undefined;
  const condition = findCondition(pod.status?.conditions, "DisruptionTarget");
  // The kubelet may take as long as it likes.
  if (condition?.status !== "True" || condition.reason === "TerminationByKubelet") return undefined;
  return (parseTime(condition.lastTransitionTime ?? "") ?? 0) + staleConditionMs;
}

async function reconcilePod({ client, clock }: ControllerContext, pod: Pod, signal: AbortSignal): Promise<RequeueAfter | undefined> {
  const dueMs = staleAtMs(pod);
  if (dueMs === undefined) return undefined;
  const nowMs = clock.now();
  if (dueMs > nowMs) return { requeueAfterMs: dueMs - nowMs };
  const generation = pod.metadata.generation;
  const condition = {
    type: "DisruptionTarget",
    status: "False",
    reason: "",
    message: "",
    lastTransitionTime: formatTime(nowMs),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
  try {
    await patchPodStatus(client, pod, { status: { conditions: [condition] }, signal });
  } catch (error) {
    if (!isStatus(error, "NotFound", "Conflict")) throw error;
  }
  return undefined;
}

// pods/eviction: a delete that asks the pod's disruption budget first. A budget that allows no disruption now answers 429;
// one that does is charged for it before the pod is deleted. Pods that do not run need no budget.
import { invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { selects } from "../../api/meta/selectors.ts";
import { badRequest, forbidden, invalid, notFound, StatusError } from "../../api/meta/status-error.ts";
import { poddisruptionbudgets } from "../../api/resources.generated.ts";
import type { Pod, PodCondition } from "../../api/types/core-v1.ts";
import type { Condition, DeleteOptions } from "../../api/types/meta-v1.ts";
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from "../../api/types/policy-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { checkPreconditions, deleteObject } from "./delete.ts";
import type { ExpectedKind } from "./expected-kind.ts";
import { answeringRevisionErrors } from "./read-errors.ts";
import { checkDeleteOptions } from "./request-options.ts";
import type { ResourceStore } from "./resource-store.ts";
import { updateObject } from "./update.ts";
import { admissionRequest, type WriteEnvironment, type WriteRequest } from "./write-environment.ts";

export const evictionKind: ExpectedKind = {
  group: "policy",
  version: "v1",
  kind: "Eviction",
  schema: "policy-v1.Eviction",
  alsoVersions: ["policy/v1beta1"],
};

interface Eviction extends KubernetesObject {
  readonly deleteOptions?: DeleteOptions;
}

/** Evictions that the budget's controller has not confirmed yet; more are refused. */
const maxDisruptedPods = 2000;

export async function evictPod(env: WriteEnvironment, pods: ResourceStore, request: WriteRequest, sent: KubernetesObject): Promise<void> {
  const subject = { operation: "CREATE", type: pods.type, name: request.name, object: sent, kind: evictionKind } as const;
  const eviction = (await env.admission.mutate(admissionRequest(request, subject))) ?? sent;
  const { deleteOptions = {} } = eviction as Eviction;
  if ((eviction.metadata.name ?? "") !== request.name) throw badRequest("name in URL does not match name in Eviction object");
  if (deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential) throw invalid(evictionKind, request.name, [unreadable]);
  const dryRun = dryRunOf(request, deleteOptions);
  await env.admission.validate(admissionRequest(request, { ...subject, object: eviction }));
  const version = await pods.read(pods.keyOf(request.namespace, request.name));
  if (!version) throw notFound(pods.type, request.name);
  const pod = version.object as Pod;
  if (needsBudget(pod)) await charge(env, { ...request, dryRun }, pod);
  // From here on it is a delete: what is wrong with its options is found when the budget has been charged and the pod told.
  const options = dryRun ? deleteOptions : await markDisrupted(env, pods, request, deleteOptions);
  checkDeleteOptions(options);
  await deleteObject(env, pods, { ...request, subresource: "", dryRun }, options, { admission: false });
}

const unreadable = invalidValue(
  "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential",
  true,
  "can not be set for pod eviction, try after removing the option",
);

/** Where a request and its body both speak of dry runs, they have to say the same. */
function dryRunOf(request: WriteRequest, { dryRun = [] }: DeleteOptions): boolean {
  const asked = request.dryRun ? ["All"] : [];
  if (dryRun.length === 0 || asked.length === 0) return dryRun.length + asked.length > 0;
  const same = dryRun.length === asked.length && dryRun.every((value, i) => value === asked[i]);
  if (same) return true;
  const message = `Non-matching dry-run options in request and content: [${asked.join(" ")}] and [${dryRun.join(" ")}]`;
  throw new StatusError({ code: 500, message });
}

/** Tells why the pod ends, for those who watch it. The options then mean the version that it has now. */
async function markDisrupted(
  env: WriteEnvironment,
  pods: ResourceStore,
  request: WriteRequest,
  options: DeleteOptions,
): Promise<DeleteOptions> {
  const { version } = await updateObject(env, pods, {
    ...request,
    strategy: {},
    admitted: true,
    keepsGeneration: true,
    change: (current) => {
      const pod = current as Pod; // an absent pod has been refused
      checkPreconditions(pods, pod, options);
      const conditions = withDisruptionTarget(pod.status?.conditions ?? [], formatTime(env.clock.now()));
      return { object: { ...pod, status: { ...pod.status, conditions } }, fieldsManaged: true };
    },
  });
  const { preconditions } = options;
  if (preconditions?.resourceVersion === undefined) return options;
  return { ...options, preconditions: { ...preconditions, resourceVersion: String(version.revision) } };
}

function withDisruptionTarget(conditions: readonly PodCondition[], now: string): readonly PodCondition[] {
  const before = conditions.find((c) => c.type === "DisruptionTarget");
  const target = {
    type: "DisruptionTarget",
    status: "True",
    reason: "EvictionByEvictionAPI",
    message: "Eviction API: evicting",
    lastProbeTime: null, // always on the wire, as null
    lastTransitionTime: before?.status === "True" ? (before.lastTransitionTime ?? null) : now,
  } as unknown as PodCondition;
  return before ? conditions.map((c) => (c === before ? target : c)) : [...conditions, target];
}

function needsBudget({ metadata, status }: Pod): boolean {
  const phase = status?.phase;
  return phase !== "Succeeded" && phase !== "Failed" && phase !== "Pending" && metadata.deletionTimestamp === undefined;
}

async function charge(env: WriteEnvironment, request: WriteRequest, pod: Pod): Promise<void> {
  const store = env.stores.forType(poddisruptionbudgets);
  await answeringRevisionErrors(() => store.cache.catchUp());
  const budgets = store.cache.objects
    .list({ prefix: `${request.namespace}/` })
    .map((version) => version.object as PodDisruptionBudget)
    .filter((budget) => selects(budget.spec?.selector, pod.metadata.labels));
  const [budget, ...others] = budgets;
  if (!budget) return;
  if (others.length > 0)
    throw new StatusError({
      code: 500,
      message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    });
  if (!isReady(pod) && mayEvictUnready(budget)) return;
  await updateObject(env, store, {
    ...request,
    name: budget.metadata.name,
    subresource: "status",
    // The server does this, whoever evicts.
    manager: "kube-apiserver",
    strategy: {},
    admitted: true,
    keepsGeneration: true,
    change: (current) => ({ object: charged(current as PodDisruptionBudget, pod, env.clock.now()) }),
  });
}

const isReady = ({ status }: Pod): boolean => (status?.conditions ?? []).some((c) => c.type === "Ready" && c.status === "True");

function mayEvictUnready({ spec, status }: PodDisruptionBudget): boolean {
  if (spec?.unhealthyPodEvictionPolicy === "AlwaysAllow") return true;
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return desiredHealthy > 0 && currentHealthy >= desiredHealthy;
}

/** The budget with one disruption taken from it. Throws 429 where it has none to give. */
function charged(budget: PodDisruptionBudget, pod: Pod, nowMs: number): PodDisruptionBudget {
  const { name, generation = 0 } = budget.metadata;
  const status = budget.status as PodDisruptionBudgetStatus | undefined;
  if ((status?.observedGeneration ?? 0) < generation || !status)
    throw wouldViolate(`The disruption budget ${name} is still being processed by the server.`, 10);
  const { disruptionsAllowed: allowed = 0, disruptedPods = {} } = status;
  const refuse = (why: string): StatusError => forbidden({ ...poddisruptionbudgets, resource: "poddisruptionbudget" }, name, why);
  if (allowed < 0) throw refuse("pdb disruptions allowed is negative");
  if (Object.keys(disruptedPods).length > maxDisruptedPods)
    throw refuse("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  if (allowed === 0) throw wouldViolate(explainRefusal(name, status));
  return {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: allowed - 1,
      disruptedPods: { ...disruptedPods, [pod.metadata.name]: formatTime(nowMs) },
      ...(allowed === 1 ? { conditions: withoutDisruptions(status.conditions ?? [], generation, nowMs) } : {}),
    },
  };
}

function explainRefusal(name: string, { conditions, desiredHealthy = 0, currentHealthy = 0 }: PodDisruptionBudgetStatus): string {
  const told = conditions?.find((c) => c.type === "DisruptionAllowed" && c.status === "False" && c.message !== "");
  // Where the counting itself has failed the counts mean nothing.
  if (told?.reason === "SyncFailed")
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${told.message}`;
  if (currentHealthy <= desiredHealthy)
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
  const refusal = `The disruption budget ${name} does not allow evicting pods currently`;
  return told ? `${refusal} (${told.reason}): ${told.message}` : refusal;
}

function withoutDisruptions(conditions: readonly Condition[], generation: number, nowMs: number): readonly Condition[] {
  const before = conditions.find((c) => c.type === "DisruptionAllowed");
  const condition: Condition = {
    type: "DisruptionAllowed",
    status: "False",
    reason: "InsufficientPods",
    message: "",
    observedGeneration: generation,
    lastTransitionTime: before?.status === "False" ? before.lastTransitionTime : formatTime(nowMs),
  };
  return before ? conditions.map((c) => (c === before ? condition : c)) : [...conditions, condition];
}

function wouldViolate(message: string, retryAfterSeconds?: number): StatusError {
  return new StatusError({
    code: 429,
    reason: "TooManyRequests",
    message: "Cannot evict pod as it would violate the pod's disruption budget.",
    details: { causes: [{ reason: "DisruptionBudget", message }], ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) },
  });
}

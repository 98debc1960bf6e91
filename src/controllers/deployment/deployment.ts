// deployment-controller: rolls a template out over replica sets. plan.ts decides each step; this file observes, takes the
// step and records what it did.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { controllerOf, keyOf } from "../../api/meta/object.ts";
import { labelMatcher } from "../../api/meta/selectors.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { deployments, pods, replicasets } from "../../api/resources.generated.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { Deployment, ReplicaSet } from "../../api/types/apps-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { claim } from "../claim.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { addOwnerIndex, orphansIn, ownedBy } from "../owner-index.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { nextProgressCheckMs, progressDeadlineMs, setCondition } from "./deployment-status.ts";
import { type DeploymentAction, planDeployment } from "./plan.ts";
import { isSameTemplate, revisionOf, rollbackAnnotation, rolledBack, withoutRollback } from "./revisions.ts";
import { desiredReplicas } from "./rollout-numbers.ts";

interface Work {
  readonly key: string;
  readonly deployment: Deployment;
  readonly recent: RecentWrites<ReplicaSet>;
  readonly signal: AbortSignal;
}

export const deploymentController: Controller = {
  name: "deployment-controller",
  create(context) {
    const deploymentInformer = context.informers.informer(deployments);
    const setInformer = context.informers.informer(replicasets);
    const podInformer = context.informers.informer(pods);
    addOwnerIndex(setInformer);
    addOwnerIndex(podInformer);
    const recentSets = new RecentWrites<ReplicaSet>(setInformer);
    const recentDeployments = new RecentWrites<Deployment>(deploymentInformer);
    return {
      watches: [
        watch(deploymentInformer, (deployment) => [keyOf(deployment)]),
        watch(setInformer, (set) => keysOfSet(set, deploymentInformer)),
        // Only Recreate waits for pods: until those of old versions have ended.
        watch(podInformer, (pod) => keysOfPod(pod, setInformer, deploymentInformer)),
      ],
      async reconcile(key, { signal }) {
        const cached = deploymentInformer.get(key);
        if (!cached) {
          recentSets.forget(key);
          recentDeployments.forget(key);
          return undefined;
        }
        const deployment = recentDeployments.correct(key, [cached])[0] ?? cached;
        const work = { key, deployment, recent: recentSets, signal };
        if (isEmptySelector(deployment)) return refuseEmptySelector(context, work);
        const selector = labelMatcher(deployment.spec.selector);
        const { namespace, uid } = deployment.metadata;
        const candidates = [
          ...ownedBy(setInformer, uid),
          ...orphansIn(setInformer, namespace).filter((set) => selector.matches(set.metadata.labels)),
        ];
        const replicaSets = await claim(recentSets.correct(key, candidates), {
          client: context.client,
          signal,
          ownerType: deployments,
          owner: deployment,
          type: replicasets,
          selector,
          onWrite: (set) => recentSets.written(key, set),
        });
        if (deployment.metadata.annotations?.[rollbackAnnotation] !== undefined && !deployment.spec.paused) {
          return rollBack(context, work, replicaSets);
        }
        const hasOldPods = (newSet: ReplicaSet | undefined): boolean =>
          replicaSets.some((set) => set !== newSet && ownedBy(podInformer, set.metadata.uid).some((pod) => !isPodTerminal(pod)));
        return step(context, { ...work, replicaSets, hasOldPods, onWrite: (written) => recentDeployments.written(key, written) });
      },
    };
  },
};

async function step(
  context: ControllerContext,
  work: Work & {
    readonly replicaSets: readonly ReplicaSet[];
    readonly hasOldPods: (newSet: ReplicaSet | undefined) => boolean;
    readonly onWrite: (deployment: Deployment) => void;
  },
): Promise<RequeueAfter | undefined> {
  const { deployment, replicaSets, hasOldPods, signal } = work;
  const nowMs = context.clock.now();
  const plan = planDeployment({ deployment, replicaSets, hasOldPods, nowMs });
  for (const action of plan.actions) await act(context, work, action);
  const isChanged =
    !semanticallyEqual(plan.deployment.status, deployment.status) ||
    !semanticallyEqual(plan.deployment.metadata.annotations, deployment.metadata.annotations);
  if (isChanged) work.onWrite(await context.client.updateStatus(deployments, plan.deployment, { signal }));
  const nextMs = nextProgressCheckMs(plan.deployment, plan.deployment.status ?? {}, nowMs);
  return nextMs === undefined ? undefined : { requeueAfterMs: nextMs };
}

async function act(context: ControllerContext, work: Work, action: DeploymentAction): Promise<void> {
  const { client, recorder } = context;
  const { key, deployment, recent, signal } = work;
  const { set } = action;
  const { namespace, name, uid } = set.metadata;
  const scaled = (from: number, to: number): void => {
    const message = `Scaled ${from < to ? "up" : "down"} replica set ${name} from ${from} to ${to}`;
    recorder.record(deployment, { type: "Normal", reason: "ScalingReplicaSet", message });
  };
  switch (action.kind) {
    case "create":
      recent.written(key, await createSet(context, work, set));
      if (desiredReplicas(set) > 0) scaled(0, desiredReplicas(set));
      return;
    case "update":
      recent.written(key, await client.update(replicasets, set, { signal }));
      if (action.scaling) scaled(action.scaling.from, action.scaling.to);
      return;
    case "delete":
      try {
        await client.delete(replicasets, { namespace, name }, { signal, body: { preconditions: { uid } } });
      } catch (error) {
        if (!isStatus(error, "NotFound")) throw error;
      }
      recent.deleted(key, set);
  }
}

async function createSet(context: ControllerContext, work: Work, set: ReplicaSet): Promise<ReplicaSet> {
  const { client, clock, recorder } = context;
  const { deployment, signal } = work;
  try {
    return await client.create(replicasets, set, { signal });
  } catch (error) {
    if (isStatus(error, "AlreadyExists")) return resolveCollision(context, work, { set, error });
    if (isNamespaceGoing(error)) throw error;
    const reason = "ReplicaSetCreateError";
    const message = `Failed to create new replica set "${set.metadata.name}": ${error instanceof Error ? error.message : String(error)}`;
    recorder.record(deployment, { type: "Warning", reason, message });
    if (progressDeadlineMs(deployment) !== undefined) {
      const conditions = setCondition(
        deployment.status?.conditions ?? [],
        { type: "Progressing", status: "False", reason, message },
        clock.now(),
      );
      await client.updateStatus(deployments, { ...deployment, status: { ...deployment.status, conditions } }, { signal });
    }
    throw error;
  }
}

/** The name is taken: by our own set, which the cache did not show, or by one that has the same hash and another template. */
async function resolveCollision(
  { client }: ControllerContext,
  { deployment, signal }: Work,
  { set, error }: { readonly set: ReplicaSet; readonly error: unknown },
): Promise<ReplicaSet> {
  const { namespace, name } = set.metadata;
  const existing = await client.get(replicasets, { namespace, name }, { signal });
  const isOurs = controllerOf(existing)?.uid === deployment.metadata.uid;
  if (isOurs && isSameTemplate(existing.spec.template, deployment.spec.template)) return existing;
  const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
  await client.updateStatus(deployments, { ...deployment, status: { ...deployment.status, collisionCount } }, { signal });
  throw error;
}

/** Puts the template of an earlier revision back, as the deprecated annotation asks; revision 0 is the last but one. */
async function rollBack(
  { client, recorder }: ControllerContext,
  { deployment, signal }: Work,
  sets: readonly ReplicaSet[],
): Promise<undefined> {
  const text = deployment.metadata.annotations?.[rollbackAnnotation] ?? "";
  const wanted = /^\d{1,19}$/.test(text) ? BigInt(text) : undefined;
  const revisions = sets.map(revisionOf).sort((a, b) => Number(b - a));
  const revision = wanted === 0n ? (revisions[1] ?? 0n) : (wanted ?? 0n);
  const target = revision > 0n ? sets.find((set) => revisionOf(set) === revision) : undefined;
  const { name } = deployment.metadata;
  if (target && !isSameTemplate(target.spec.template, deployment.spec.template)) {
    await client.update(deployments, rolledBack(deployment, target), { signal });
    recorder.record(deployment, {
      type: "Normal",
      reason: "DeploymentRollback",
      message: `Rolled back deployment "${name}" to revision ${revision}`,
    });
    return undefined;
  }
  const [reason, message] = target
    ? ["DeploymentRollbackTemplateUnchanged", `The rollback revision contains the same template as current deployment "${name}"`]
    : [
        "DeploymentRollbackRevisionNotFound",
        wanted === 0n ? "Unable to find last revision." : "Unable to find the revision to rollback to.",
      ];
  recorder.record(deployment, { type: "Warning", reason, message });
  await client.update(deployments, withoutRollback(deployment), { signal });
  return undefined;
}

function isEmptySelector({ spec }: Deployment): boolean {
  return Object.keys(spec.selector.matchLabels ?? {}).length === 0 && (spec.selector.matchExpressions ?? []).length === 0;
}

async function refuseEmptySelector({ client, recorder }: ControllerContext, { deployment, signal }: Work): Promise<undefined> {
  const message = "This deployment is selecting all pods. A non-empty selector is required.";
  recorder.record(deployment, { type: "Warning", reason: "SelectingAll", message });
  const observedGeneration = deployment.metadata.generation ?? 0;
  if ((deployment.status?.observedGeneration ?? 0) >= observedGeneration) return undefined;
  await client.updateStatus(deployments, { ...deployment, status: { ...deployment.status, observedGeneration } }, { signal });
  return undefined;
}

function keysOfSet(set: ReplicaSet, informer: Informer<Deployment>): readonly string[] {
  const owner = controllerOf(set);
  if (owner) return owner.kind === deployments.kind ? [`${set.metadata.namespace}/${owner.name}`] : [];
  if (!set.metadata.labels) return [];
  return informer
    .inNamespace(set.metadata.namespace)
    .filter((deployment) => !isEmptySelector(deployment) && labelMatcher(deployment.spec.selector).matches(set.metadata.labels))
    .map(keyOf);
}

function keysOfPod(pod: Pod, sets: Informer<ReplicaSet>, informer: Informer<Deployment>): readonly string[] {
  const { namespace } = pod.metadata;
  const set = sets.get(`${namespace}/${controllerOf(pod)?.name ?? ""}`);
  const owner = set && controllerOf(set);
  const key = `${namespace}/${owner?.name ?? ""}`;
  return owner && informer.get(key)?.spec.strategy?.type === "Recreate" ? [key] : [];
}

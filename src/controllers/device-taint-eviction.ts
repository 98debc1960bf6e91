// device-taint-eviction-controller: deletes pods that use devices with NoExecute taints which their claims do not tolerate, or
// no longer than so many seconds after the taint was set. Taints are those of ResourceSlices; DeviceTaintRules are an API that
// is off in v1.36.
import { keyOf, parseKey } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { parseTime } from "../api/meta/time.ts";
import { pods, resourceclaims, resourceslices } from "../api/resources.generated.ts";
import { findCondition } from "../api/semantics/conditions.ts";
import { toleratesDeviceTaint } from "../api/semantics/device-taints.ts";
import { hasClaims, isReservedFor, isUsable, podClaimOf } from "../api/semantics/pod-claims.ts";
import type { Pod } from "../api/types/core-v1.ts";
import type { DeviceTaint, DeviceToleration, ResourceClaim, ResourceSlice } from "../api/types/resource-v1.ts";
import { formatTime } from "../base/clock.ts";
import { type Controller, type ControllerContext, watch } from "./controller.ts";
import { disruptionTarget, patchPodStatus } from "./pod-control.ts";

const bySlicePool = "devicePool";
const byClaimPool = "allocatedPool";

const poolKey = (driver: string, pool: string): string => `${driver}/${pool}`;
const poolOf = ({ spec }: ResourceSlice): readonly string[] => [poolKey(spec.driver, spec.pool.name)];
const poolsOf = ({ status }: ResourceClaim): readonly string[] => [
  ...new Set((status?.allocation?.devices?.results ?? []).map(({ driver, pool }) => poolKey(driver, pool))),
];
const hasEvictingTaint = ({ spec }: ResourceSlice): boolean =>
  spec.devices?.some(({ taints = [] }) => taints.some(({ effect }) => effect === "NoExecute")) ?? false;

/** When the pods that use a claim have to go; undefined where they may stay. */
export function claimEvictionMs(claim: ResourceClaim, slicesOfPool: (pool: string) => readonly ResourceSlice[]): number | undefined {
  let earliest: number | undefined;
  for (const { driver, pool, device, tolerations = [] } of claim.status?.allocation?.devices?.results ?? []) {
    const slices = slicesOfPool(poolKey(driver, pool));
    // Only the newest generation of a pool counts; older slices are being replaced.
    const generation = Math.max(...slices.map(({ spec }) => spec.pool.generation));
    const found = slices
      .filter(({ spec }) => spec.pool.generation === generation)
      .flatMap(({ spec }) => spec.devices ?? [])
      .find(({ name }) => name === device);
    for (const taint of found?.taints ?? []) {
      const atMs = taintEvictionMs(taint, tolerations);
      if (atMs !== undefined && (earliest === undefined || atMs < earliest)) earliest = atMs;
    }
  }
  return earliest;
}

function taintEvictionMs(taint: DeviceTaint, tolerations: readonly DeviceToleration[]): number | undefined {
  if (taint.effect !== "NoExecute") return undefined;
  const matching = tolerations.filter((toleration) => toleration.effect === "NoExecute" && toleratesDeviceTaint(toleration, taint));
  const seconds = matching.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
  if (seconds.length < matching.length) return undefined;
  const waitMs = seconds.length === 0 ? 0 : Math.max(0, Math.min(...seconds)) * 1000;
  return (parseTime(taint.timeAdded ?? "") ?? 0) + waitMs;
}

export const deviceTaintEvictionController: Controller = {
  name: "device-taint-eviction-controller",
  workers: 8,
  create(context) {
    const podInformer = context.informers.informer(pods);
    const claimInformer = context.informers.informer(resourceclaims);
    const sliceInformer = context.informers.informer(resourceslices);
    sliceInformer.addIndex(bySlicePool, poolOf);
    claimInformer.addIndex(byClaimPool, poolsOf);
    /** Pods that are to be deleted, or have been, by key. */
    const pending = new Map<string, { readonly uid: string; readonly isEvicted: boolean }>();
    const podsOf = (claim: ResourceClaim): readonly string[] =>
      (claim.status?.reservedFor ?? []).flatMap(({ apiGroup = "", resource, name }) =>
        apiGroup === "" && resource === "pods" ? [`${claim.metadata.namespace}/${name}`] : [],
      );
    const evictionMs = (pod: Pod): number | undefined => {
      const times = (pod.spec.resourceClaims ?? []).flatMap((each) => {
        const found = podClaimOf(pod, each);
        const claim = found.kind === "named" ? claimInformer.get(`${pod.metadata.namespace}/${found.name}`) : undefined;
        if (!claim || found.kind !== "named" || !isUsable(claim, pod, found) || !isReservedFor(claim, pod)) return [];
        return claimEvictionMs(claim, (pool) => sliceInformer.byIndex(bySlicePool, pool)) ?? [];
      });
      return times.length === 0 ? undefined : Math.min(...times);
    };
    const cancel = (key: string): void => {
      const known = pending.get(key);
      pending.delete(key);
      if (known && !known.isEvicted) record(context, key, { uid: known.uid, message: "Cancelling deletion" });
    };
    return {
      watches: [
        watch(podInformer, (pod) => (pod.spec.nodeName && hasClaims(pod) ? [keyOf(pod)] : [])),
        watch(claimInformer, podsOf),
        watch(sliceInformer, (slice) =>
          hasEvictingTaint(slice) || pending.size > 0
            ? poolOf(slice).flatMap((pool) => claimInformer.byIndex(byClaimPool, pool).flatMap(podsOf))
            : [],
        ),
      ],
      async reconcile(key, { signal }) {
        const pod = podInformer.get(key);
        if (!pod || pod.metadata.deletionTimestamp !== undefined) {
          pending.delete(key);
          return undefined;
        }
        const { uid } = pod.metadata;
        const atMs = pod.spec.nodeName ? evictionMs(pod) : undefined;
        if (atMs === undefined) {
          cancel(key);
          return undefined;
        }
        const known = pending.get(key);
        // Until the cache shows the deletion the pod looks as it did before.
        if (known?.uid === uid && known.isEvicted) return undefined;
        pending.set(key, { uid, isEvicted: false });
        const leftMs = atMs - context.clock.now();
        if (leftMs > 0) return { requeueAfterMs: leftMs };
        if (await evict(context, pod, signal)) context.metrics?.claims.evicted(Math.max(0, -leftMs));
        pending.set(key, { uid, isEvicted: true });
        return undefined;
      },
    };
  },
};

function record({ recorder }: ControllerContext, key: string, { uid, message }: { readonly uid: string; readonly message: string }): void {
  const about = { apiVersion: "v1", kind: "Pod", ...parseKey(key), uid };
  recorder.record(about, { type: "Normal", reason: "DeviceTaintManagerEviction", message });
}

/** Whether it was there to be deleted. */
async function evict(context: ControllerContext, cached: Pod, signal: AbortSignal): Promise<boolean> {
  const { client, clock } = context;
  const { namespace, name, uid } = cached.metadata;
  try {
    const pod = await client.get(pods, { namespace, name }, { signal });
    if (pod.metadata.uid !== uid || pod.metadata.deletionTimestamp !== undefined) return false;
    record(context, keyOf(pod), { uid, message: "Marking for deletion" });
    if (findCondition(pod.status?.conditions, "DisruptionTarget")?.reason !== "DeletionByDeviceTaintManager") {
      const message = "Device Taint manager: deleting due to NoExecute taint";
      const cause = { reason: "DeletionByDeviceTaintManager", message, at: formatTime(clock.now()) };
      // Upstream's says nothing of the generation here.
      const { observedGeneration: _generation, ...condition } = disruptionTarget(pod, cause);
      await patchPodStatus(client, pod, { status: { conditions: [condition] }, signal });
    }
    await client.delete(pods, { namespace, name }, { signal, body: { preconditions: { uid } } });
    return true;
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
    return false;
  }
}

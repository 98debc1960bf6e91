// What is done with a volume: its phase follows its claim's binding, and once its claim is gone it goes the way of its reclaim
// policy. What that way is decides plan-binding.ts.
import { type KubernetesObject, keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import { errorText } from "../../base/log.ts";
import type { EventToRecord } from "../../client/event-recorder.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import type { ControllerContext } from "../controller.ts";
import { inTreeFinalizer, withDriverOfVolume } from "./migrated-plugins.ts";
import { planVolume, type Reclaim, withoutClaim } from "./plan-binding.ts";
import { recyclerPod } from "./recycler-pod.ts";
import { removeDirectory } from "./volume-plugins.ts";
import { claimOf, claimPrefix, podsOfClaimIndex, syncPeriodMs, type Work, writePhase, writeVolume } from "./volume-work.ts";

export async function reconcileVolume(
  context: ControllerContext,
  work: Work,
  observed: PersistentVolume,
): Promise<RequeueAfter | undefined> {
  const volume = await writeVolume(context, work, observed, withDriverOfVolume(observed));
  const claim = await claimReferredTo(context, work, volume);
  const plan = planVolume(volume, claim);
  if (plan.kind !== "release") await work.recycler.abandon(volume.metadata.name, work.signal);
  switch (plan.kind) {
    case "phase":
      await writePhase(context, work, volume, { phase: plan.phase });
      return undefined;
    case "await-claim":
      if (claim) context.enqueue(`${claimPrefix}${keyOf(claim)}`);
      return undefined;
    case "mismatch":
      if (claim) tellMismatch(context, volume, claim);
      return undefined;
    case "unbind":
      await unbind(context, work, volume);
      return undefined;
    case "release":
      return release(context, work, volume, plan.reclaim);
  }
}

async function release(
  context: ControllerContext,
  work: Work,
  volume: PersistentVolume,
  reclaim: Reclaim,
): Promise<RequeueAfter | undefined> {
  const phase = volume.status?.phase;
  const isReleased = phase === "Released" || phase === "Failed";
  const released = isReleased ? volume : await writePhase(context, work, volume, { phase: "Released" });
  if (reclaim.kind !== "recycle") await work.recycler.abandon(volume.metadata.name, work.signal);
  switch (reclaim.kind) {
    case "leave":
      return undefined;
    case "fail":
      await fail(context, work, released, reclaim.event);
      return undefined;
    case "directory":
      return deleteDirectory(context, work, released, reclaim.path);
    case "recycle":
      return recycle(context, work, released);
  }
}

/** Says once that a volume cannot be given back, however often it is tried. */
async function fail(context: ControllerContext, work: Work, volume: PersistentVolume, event: EventToRecord): Promise<void> {
  if (volume.status?.phase === "Failed") return;
  context.recorder.record(await writePhase(context, work, volume, { phase: "Failed", message: event.message }), event);
}

async function deleteDirectory(
  context: ControllerContext,
  work: Work,
  volume: PersistentVolume,
  path: string,
): Promise<RequeueAfter | undefined> {
  try {
    await removeDirectory(path);
  } catch (error) {
    await fail(context, work, volume, { type: "Warning", reason: "VolumeFailedDelete", message: errorText(error) });
    return { requeueAfterMs: context.options.volumes?.syncPeriodMs ?? syncPeriodMs };
  }
  const { finalizers } = volume.metadata;
  const held = finalizers?.includes(inTreeFinalizer) ? { finalizers: finalizers.filter((name) => name !== inTreeFinalizer) } : {};
  const { name, uid } = (await writeVolume(context, work, volume, { ...volume, metadata: { ...volume.metadata, ...held } })).metadata;
  await context.client.delete(persistentvolumes, { name }, { signal: work.signal, body: { preconditions: { uid } } });
  return undefined;
}

/** One step of emptying a volume; the next comes with a change of the pod that does it, or after a while. */
async function recycle(context: ControllerContext, work: Work, volume: PersistentVolume): Promise<RequeueAfter | undefined> {
  const { recorder, options } = context;
  const again = { requeueAfterMs: options.volumes?.syncPeriodMs ?? syncPeriodMs };
  const users = work.recycler.isRecycling(volume.metadata.name) ? [] : usersOf(work, volume);
  if (users.length > 0) {
    recorder.record(volume, { type: "Normal", reason: "VolumeFailedRecycle", message: `Volume is used by pods: ${users.join(",")}` });
    return again;
  }
  const failed = (message: string): EventToRecord => ({ type: "Warning", reason: "VolumeFailedRecycle", message });
  const pod = recyclerPod(volume, options.volumes?.recycler ?? {});
  if (!pod) {
    await fail(context, work, volume, failed("No recycler plugin found for the volume!"));
    return again;
  }
  const step = await work.recycler.step(volume, pod, work.signal);
  if (step.kind === "working") return again;
  if (step.kind === "failed") {
    await fail(context, work, volume, failed(`Recycle failed: ${step.message}`));
    return again;
  }
  recorder.record(volume, { type: "Normal", reason: "VolumeRecycled", message: "Volume recycled" });
  await unbind(context, work, volume);
  return undefined;
}

/** Pods that still use the volume, unless its claim's name is another claim's now. */
function usersOf(work: Work, { spec }: PersistentVolume): readonly string[] {
  const claimKey = `${spec?.claimRef?.namespace}/${spec?.claimRef?.name}`;
  return work.claims.get(claimKey) ? [] : work.pods.byIndex(podsOfClaimIndex, claimKey).map(keyOf).sort();
}

async function unbind(context: ControllerContext, work: Work, volume: PersistentVolume): Promise<void> {
  await writePhase(context, work, await writeVolume(context, work, volume, withoutClaim(volume)), { phase: "Available" });
}

function tellMismatch({ recorder }: ControllerContext, volume: PersistentVolume, claim: PersistentVolumeClaim): void {
  const tell = (about: KubernetesObject, message: string): void =>
    recorder.record(about, { type: "Warning", reason: "VolumeMismatch", message: `${message} due to incompatible volumeMode.` });
  tell(volume, `Cannot bind PersistentVolume to requested PersistentVolumeClaim ${JSON.stringify(claim.metadata.name)}`);
  tell(claim, `Cannot bind PersistentVolume ${JSON.stringify(volume.metadata.name)} to requested PersistentVolumeClaim`);
}

/** The claim of a volume's claimRef. That it is gone is believed of the server only: the volume's data hangs on it. */
async function claimReferredTo(
  { client }: ControllerContext,
  work: Work,
  { spec, status }: PersistentVolume,
): Promise<PersistentVolumeClaim | undefined> {
  const { namespace = "", name = "", uid } = spec?.claimRef ?? {};
  if (!uid) return undefined;
  const cached = claimOf(work, `${namespace}/${name}`);
  if (cached?.metadata.uid === uid) return cached;
  if (status?.phase === "Released" || status?.phase === "Failed") return undefined;
  try {
    const claim = await client.get(persistentvolumeclaims, { namespace, name }, { signal: work.signal });
    return claim.metadata.uid === uid ? claim : undefined;
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

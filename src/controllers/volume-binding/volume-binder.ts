// persistentvolume-binder-controller: brings claims and volumes together, and gives volumes back when their claim is gone.
// plan-binding.ts decides; this file looks up what a decision needs and carries it out, one write after another, each from
// the answer to the one before.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { type KubernetesObject, keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumeclaims, persistentvolumes, pods, storageclasses } from "../../api/resources.generated.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import { bindCompletedAnnotation, claimNameOf, storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { findVolume } from "./find-volume.ts";
import {
  claimStatus,
  defaultClassOf,
  planClaim,
  planVolume,
  type Reclaim,
  withAnnotations,
  withClaim,
  withoutClaim,
  withVolume,
} from "./plan-binding.ts";
import { removeDirectory } from "./volume-plugins.ts";

/** After so long a claim that waits is looked at again, and told of again in an event. */
const waitingPeriodMs = 15_000;

const claimPrefix = "claim:";
const volumePrefix = "volume:";
const claimKey = (claim: KubernetesObject): string => `${claimPrefix}${keyOf(claim)}`;

/** Claims without a volume by class, all claims by the volume they name, volumes by class and by claim, pods without a node. */
const unboundIndex = "unboundOfClass";
const byVolumeIndex = "volumeName";
const byClassIndex = "storageClass";
const byClaimIndex = "claimRef";
const waitingPodsIndex = "waitingForClaim";

const unboundClass = (claim: PersistentVolumeClaim): readonly string[] =>
  claim.spec?.volumeName || claim.metadata.annotations?.[bindCompletedAnnotation] ? [] : [storageClassOf(claim)];
const volumeNameOf = ({ spec }: PersistentVolumeClaim): readonly string[] => (spec?.volumeName ? [spec.volumeName] : []);
const classOf = (volume: PersistentVolume): readonly string[] => [storageClassOf(volume)];
const claimRefOf = ({ spec }: PersistentVolume): readonly string[] =>
  spec?.claimRef ? [`${spec.claimRef.namespace}/${spec.claimRef.name}`] : [];
const claimsWaitedFor = (pod: Pod): readonly string[] =>
  pod.spec.nodeName || isPodTerminal(pod)
    ? []
    : (pod.spec.volumes ?? []).flatMap((volume) => {
        const name = claimNameOf(pod, volume);
        return name === undefined ? [] : [`${pod.metadata.namespace}/${name}`];
      });

interface Caches {
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly classes: Informer<StorageClass>;
  readonly pods: Informer<Pod>;
  /** One list of writes for all keys: a volume that one claim has just got must not be given to another. */
  readonly recentClaims: RecentWrites<PersistentVolumeClaim>;
  readonly recentVolumes: RecentWrites<PersistentVolume>;
}

const allKeys = "";

interface Work extends Caches {
  readonly signal: AbortSignal;
}

export const volumeBinder: Controller = {
  name: "persistentvolume-binder-controller",
  serviceAccount: "persistent-volume-binder",
  component: "persistentvolume-controller",
  create(context) {
    const caches = cachesOf(context);
    return {
      watches: [
        watch(caches.claims, (claim) => [
          claimKey(claim),
          ...[...volumeNameOf(claim), ...caches.volumes.byIndex(byClaimIndex, keyOf(claim)).map((volume) => volume.metadata.name)].map(
            (name) => `${volumePrefix}${name}`,
          ),
        ]),
        watch(caches.volumes, (volume) => [
          `${volumePrefix}${volume.metadata.name}`,
          ...caches.claims.byIndex(byVolumeIndex, volume.metadata.name).map(claimKey),
          ...claimRefOf(volume).map((key) => `${claimPrefix}${key}`),
          ...(volume.status?.phase === "Available" ? caches.claims.byIndex(unboundIndex, storageClassOf(volume)).map(claimKey) : []),
        ]),
        watch(caches.classes, ({ metadata }) =>
          [metadata.name, ""].flatMap((name) => caches.claims.byIndex(unboundIndex, name)).map(claimKey),
        ),
      ],
      async reconcile(key, { signal }) {
        const work: Work = { ...caches, signal };
        if (key.startsWith(claimPrefix)) {
          const claim = claimOf(work, key.slice(claimPrefix.length));
          return claim && reconcileClaim(context, work, claim);
        }
        const volume = volumeNamed(work, key.slice(volumePrefix.length));
        return volume && reconcileVolume(context, work, volume);
      },
    };
  },
};

function cachesOf({ informers }: ControllerContext): Caches {
  const claims = informers.informer(persistentvolumeclaims);
  const volumes = informers.informer(persistentvolumes);
  const podInformer = informers.informer(pods);
  claims.addIndex(unboundIndex, unboundClass);
  claims.addIndex(byVolumeIndex, volumeNameOf);
  volumes.addIndex(byClassIndex, classOf);
  volumes.addIndex(byClaimIndex, claimRefOf);
  podInformer.addIndex(waitingPodsIndex, claimsWaitedFor);
  return {
    claims,
    volumes,
    classes: informers.informer(storageclasses),
    pods: podInformer,
    recentClaims: new RecentWrites<PersistentVolumeClaim>(claims),
    recentVolumes: new RecentWrites<PersistentVolume>(volumes),
  };
}

function claimOf({ claims, recentClaims }: Caches, key: string): PersistentVolumeClaim | undefined {
  const cached = claims.get(key);
  return cached && (recentClaims.correct(allKeys, [cached])[0] ?? cached);
}

function volumeNamed({ volumes, recentVolumes }: Caches, name: string): PersistentVolume | undefined {
  const cached = volumes.get(name);
  return cached && (recentVolumes.correct(allKeys, [cached])[0] ?? cached);
}

async function reconcileClaim(context: ControllerContext, work: Work, claim: PersistentVolumeClaim): Promise<RequeueAfter | undefined> {
  const plan = planClaim({
    claim,
    named: claim.spec?.volumeName ? volumeNamed(work, claim.spec.volumeName) : undefined,
    storageClass: work.classes.get(storageClassOf(claim)),
    defaultClass: () => defaultClassOf(work.classes.list()),
    find: (options) => findVolume(claim, candidatesFor(work, claim), options),
    waitingPods: () => work.pods.byIndex(waitingPodsIndex, keyOf(claim)).map((pod) => pod.metadata.name),
  });
  const { recorder } = context;
  const again = { requeueAfterMs: waitingPeriodMs };
  switch (plan.kind) {
    case "bind":
      await bind(context, work, { claim, volume: plan.volume });
      return undefined;
    case "wait":
      if (plan.event) recorder.record(claim, plan.event);
      await writeClaimStatus(context, work, claim, claimStatus(claim, "Pending"));
      return plan.retry ? again : undefined;
    case "lose":
      if (claim.status?.phase === "Lost") return undefined;
      recorder.record(await writeClaimStatus(context, work, claim, claimStatus(claim, "Lost")), plan.event);
      return undefined;
    case "assign-class":
      await writeClaim(context, work, claim, { ...claim, spec: { ...claim.spec, storageClassName: plan.className } });
      return undefined;
    case "provision":
      await writeClaim(context, work, claim, withProvisioner(claim, plan.provisioner));
      recorder.record(claim, plan.event);
      return again;
    case "cannot-provision":
      recorder.record(claim, plan.event);
      return again;
  }
}

const withProvisioner = (claim: PersistentVolumeClaim, provisioner: string): PersistentVolumeClaim =>
  withAnnotations(claim, {
    "volume.beta.kubernetes.io/storage-provisioner": provisioner,
    "volume.kubernetes.io/storage-provisioner": provisioner,
  });

/** Volumes of the claim's class, and those reserved for it whatever their class. */
function candidatesFor({ volumes, recentVolumes }: Caches, claim: PersistentVolumeClaim): readonly PersistentVolume[] {
  const reserved = volumes.byIndex(byClaimIndex, keyOf(claim));
  return recentVolumes.correct(allKeys, [...reserved, ...volumes.byIndex(byClassIndex, storageClassOf(claim))]);
}

async function bind(
  context: ControllerContext,
  work: Work,
  { claim, volume }: { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume },
): Promise<void> {
  const reserved = await writeVolume(context, work, volume, withClaim(volume, claim));
  const bound = await writePhase(context, work, reserved, { phase: "Bound" });
  const named = await writeClaim(context, work, claim, withVolume(claim, bound));
  await writeClaimStatus(context, work, named, claimStatus(named, "Bound", bound));
}

async function reconcileVolume(context: ControllerContext, work: Work, volume: PersistentVolume): Promise<undefined> {
  const claim = await claimReferredTo(context, work, volume);
  const plan = planVolume(volume, claim);
  switch (plan.kind) {
    case "phase":
      await writePhase(context, work, volume, { phase: plan.phase });
      return undefined;
    case "await-claim":
      if (claim) context.enqueue(claimKey(claim));
      return undefined;
    case "mismatch":
      if (claim) tellMismatch(context, volume, claim);
      return undefined;
    case "unbind":
      await writePhase(context, work, await writeVolume(context, work, volume, withoutClaim(volume)), { phase: "Available" });
      return undefined;
    case "release":
      return release(context, work, volume, plan.reclaim);
  }
}

async function release(context: ControllerContext, work: Work, volume: PersistentVolume, reclaim: Reclaim): Promise<undefined> {
  const phase = volume.status?.phase;
  const isReleased = phase === "Released" || phase === "Failed";
  const released = isReleased ? volume : await writePhase(context, work, volume, { phase: "Released" });
  if (reclaim.kind === "leave" || phase === "Failed") return undefined;
  if (reclaim.kind === "directory") {
    await removeDirectory(reclaim.path);
    const { name, uid } = released.metadata;
    await context.client.delete(persistentvolumes, { name }, { signal: work.signal, body: { preconditions: { uid } } });
    return undefined;
  }
  const failed = await writePhase(context, work, released, { phase: "Failed", message: reclaim.event.message });
  context.recorder.record(failed, reclaim.event);
  return undefined;
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

async function writeVolume(
  { client }: ControllerContext,
  work: Work,
  from: PersistentVolume,
  to: PersistentVolume,
): Promise<PersistentVolume> {
  if (to === from) return from;
  return work.recentVolumes.written(allKeys, await client.update(persistentvolumes, to, { signal: work.signal }));
}

async function writePhase(
  { client }: ControllerContext,
  work: Work,
  volume: PersistentVolume,
  { phase, message }: { readonly phase: "Available" | "Bound" | "Released" | "Failed"; readonly message?: string },
): Promise<PersistentVolume> {
  if (volume.status?.phase === phase) return volume;
  const { message: _, ...status } = volume.status ?? {};
  const changed = { ...volume, status: { ...status, phase, ...(message === undefined ? {} : { message }) } };
  return work.recentVolumes.written(allKeys, await client.updateStatus(persistentvolumes, changed, { signal: work.signal }));
}

async function writeClaim(
  { client }: ControllerContext,
  work: Work,
  from: PersistentVolumeClaim,
  to: PersistentVolumeClaim,
): Promise<PersistentVolumeClaim> {
  if (to === from) return from;
  return work.recentClaims.written(allKeys, await client.update(persistentvolumeclaims, to, { signal: work.signal }));
}

async function writeClaimStatus(
  { client }: ControllerContext,
  work: Work,
  claim: PersistentVolumeClaim,
  status: NonNullable<PersistentVolumeClaim["status"]>,
): Promise<PersistentVolumeClaim> {
  if (semanticallyEqual(status, claim.status)) return claim;
  const changed = { ...claim, status };
  return work.recentClaims.written(allKeys, await client.updateStatus(persistentvolumeclaims, changed, { signal: work.signal }));
}

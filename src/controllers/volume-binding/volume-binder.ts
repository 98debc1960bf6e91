// persistentvolume-binder-controller: brings claims and volumes together, and gives volumes back when their claim is gone.
// plan-binding.ts decides; this file looks up what a decision about a claim needs and carries it out, one write after another,
// each from the answer to the one before. What is done with volumes that nobody has is in reclaim-volume.ts.
import { type KubernetesObject, keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumes } from "../../api/resources.generated.ts";
import { storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { findVolume } from "./find-volume.ts";
import { directoryFor, hostPathVolume, makeDirectory } from "./host-path-provisioner.ts";
import { withDriverOfClaim } from "./migrated-plugins.ts";
import { claimStatus, defaultClassOf, planClaim, withAnnotations, withClaim, withVolume } from "./plan-binding.ts";
import { reconcileVolume } from "./reclaim-volume.ts";
import { showVolumes } from "./volume-figures.ts";
import { VolumeRecycler } from "./volume-recycler.ts";
import {
  allKeys,
  byClaimIndex,
  byClassIndex,
  byVolumeIndex,
  type Caches,
  cachesOf,
  claimOf,
  claimPrefix,
  claimRefOf,
  podsOfClaimIndex,
  syncPeriodMs,
  unboundIndex,
  volumeNamed,
  volumeNameOf,
  type Work,
  writeClaim,
  writeClaimStatus,
  writePhase,
  writeVolume,
} from "./volume-work.ts";

const volumePrefix = "volume:";
const volumeKey = (name: string): string => `${volumePrefix}${name}`;
const claimKey = (claim: KubernetesObject): string => `${claimPrefix}${keyOf(claim)}`;

export const volumeBinder: Controller = {
  name: "persistentvolume-binder-controller",
  serviceAccount: "persistent-volume-binder",
  component: "persistentvolume-controller",
  create(context) {
    const caches = cachesOf(context);
    const recycler = new VolumeRecycler({ ...context, pods: caches.pods });
    return {
      watches: [
        watch(caches.claims, (claim) => [
          claimKey(claim),
          ...[...volumeNameOf(claim), ...caches.volumes.byIndex(byClaimIndex, keyOf(claim)).map((volume) => volume.metadata.name)].map(
            volumeKey,
          ),
        ]),
        watch(caches.volumes, (volume) => [
          volumeKey(volume.metadata.name),
          ...caches.claims.byIndex(byVolumeIndex, volume.metadata.name).map(claimKey),
          ...claimRefOf(volume).map((key) => `${claimPrefix}${key}`),
          ...(volume.status?.phase === "Available" ? caches.claims.byIndex(unboundIndex, storageClassOf(volume)).map(claimKey) : []),
        ]),
        watch(caches.classes, ({ metadata }) =>
          [metadata.name, ""].flatMap((name) => caches.claims.byIndex(unboundIndex, name)).map(claimKey),
        ),
        watch(caches.pods, (pod) => {
          const volumeName = recycler.volumeOf(pod);
          return volumeName === undefined ? [] : [volumeKey(volumeName)];
        }),
      ],
      async reconcile(key, { signal }) {
        const work: Work = { ...caches, recycler, signal };
        if (key.startsWith(claimPrefix)) {
          const claim = claimOf(work, key.slice(claimPrefix.length));
          return claim && reconcileClaim(context, work, claim);
        }
        const name = key.slice(volumePrefix.length);
        const volume = volumeNamed(work, name);
        if (volume) return reconcileVolume(context, work, volume);
        await recycler.abandon(name, signal);
        return undefined;
      },
      start() {
        const figures = showVolumes(context, caches);
        return {
          async stop() {
            await figures.stop();
            await recycler.stop();
          },
        };
      },
    };
  },
};

async function reconcileClaim(context: ControllerContext, work: Work, observed: PersistentVolumeClaim): Promise<RequeueAfter | undefined> {
  const claim = await writeClaim(context, work, observed, withDriverOfClaim(observed));
  const { recorder, options } = context;
  const plan = planClaim({
    claim,
    named: claim.spec?.volumeName ? volumeNamed(work, claim.spec.volumeName) : undefined,
    storageClass: work.classes.get(storageClassOf(claim)),
    defaultClass: () => defaultClassOf(work.classes.list()),
    find: (options) => findVolume(claim, candidatesFor(work, claim), options),
    waitingPods: () => {
      const users = work.pods.byIndex(podsOfClaimIndex, keyOf(claim));
      return users.filter(({ spec }) => !spec.nodeName).map((pod) => pod.metadata.name);
    },
    ...(options.volumes?.provisioning ? { provisioning: options.volumes.provisioning } : {}),
  });
  const again = { requeueAfterMs: options.volumes?.syncPeriodMs ?? syncPeriodMs };
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
      await assignClass(context, work, claim, plan.className);
      return undefined;
    case "provision":
      await writeClaim(context, work, claim, withProvisioner(claim, plan.provisioner));
      recorder.record(claim, plan.event);
      return again;
    case "make-directory":
      await provisionDirectory(context, work, claim, plan);
      return undefined;
    case "leave":
      return undefined;
    case "cannot-provision":
      recorder.record(claim, plan.event);
      return again;
  }
}

const withProvisioner = (claim: PersistentVolumeClaim, provisioner: string): PersistentVolumeClaim =>
  withDriverOfClaim(
    withAnnotations(claim, {
      "volume.beta.kubernetes.io/storage-provisioner": provisioner,
      "volume.kubernetes.io/storage-provisioner": provisioner,
    }),
  );

/** Makes the claim a volume of a directory of this machine; binding them follows when the volume is seen. */
async function provisionDirectory(
  context: ControllerContext,
  work: Work,
  claim: PersistentVolumeClaim,
  { provisioner, storageClass }: { readonly provisioner: string; readonly storageClass: StorageClass },
): Promise<void> {
  const marked = await writeClaim(context, work, claim, withProvisioner(claim, provisioner));
  const volume = hostPathVolume(marked, storageClass);
  await makeDirectory(directoryFor(marked));
  try {
    const made = await context.client.create(persistentvolumes, volume, { signal: work.signal });
    work.recentVolumes.written(allKeys, made);
    const message = `Successfully provisioned volume ${made.metadata.name} using ${provisioner}`;
    context.recorder.record(marked, { type: "Normal", reason: "ProvisioningSucceeded", message });
  } catch (error) {
    // An earlier try made it.
    if (!isStatus(error, "AlreadyExists")) throw error;
  }
}

async function assignClass(context: ControllerContext, work: Work, claim: PersistentVolumeClaim, className: string): Promise<void> {
  try {
    await writeClaim(context, work, claim, { ...claim, spec: { ...claim.spec, storageClassName: className } });
  } catch (error) {
    context.metrics?.own.count("retroactive_storageclass_errors_total");
    throw error;
  } finally {
    context.metrics?.own.count("retroactive_storageclass_total");
  }
}

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

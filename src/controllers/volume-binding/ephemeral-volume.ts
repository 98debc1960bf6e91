// ephemeral-volume-controller: makes the claim of each ephemeral volume of a pod, owned by the pod and named after both.
import { controllerRef, isControlledBy, keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumeclaims, pods } from "../../api/resources.generated.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import { claimNameOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolumeClaim, Pod, Volume } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { isNamespaceGoing } from "../service-account.ts";

const byClaim = "ephemeralClaim";

const isEphemeral = (volume: Volume): boolean => volume.ephemeral !== undefined;
/** Keys of the claims that a pod's ephemeral volumes have. */
const claimKeysOf = (pod: Pod): readonly string[] =>
  (pod.spec.volumes ?? []).filter(isEphemeral).map((volume) => `${pod.metadata.namespace}/${claimNameOf(pod, volume)}`);

export const ephemeralVolumeController: Controller = {
  name: "ephemeral-volume-controller",
  component: "ephemeral_volume",
  create(context) {
    const podInformer = context.informers.informer(pods);
    const claimInformer = context.informers.informer(persistentvolumeclaims);
    podInformer.addIndex(byClaim, claimKeysOf);
    return {
      watches: [
        watch(podInformer, (pod) => (pod.spec.volumes?.some(isEphemeral) ? [keyOf(pod)] : [])),
        // A claim that is in the way goes, or ours is deleted before its pod.
        watch(claimInformer, (claim) => podInformer.byIndex(byClaim, keyOf(claim)).map(keyOf)),
      ],
      async reconcile(key, { signal }) {
        const pod = podInformer.get(key);
        if (!pod || pod.metadata.deletionTimestamp !== undefined || isPodTerminal(pod)) return undefined;
        for (const volume of (pod.spec.volumes ?? []).filter(isEphemeral))
          await ensureClaim(context, claimInformer, { pod, volume, signal });
        return undefined;
      },
    };
  },
};

async function ensureClaim(
  { client, recorder, metrics }: ControllerContext,
  claims: Informer<PersistentVolumeClaim>,
  { pod, volume, signal }: { readonly pod: Pod; readonly volume: Volume; readonly signal: AbortSignal },
): Promise<void> {
  const { namespace } = pod.metadata;
  const name = claimNameOf(pod, volume) ?? "";
  const { metadata, spec } = volume.ephemeral?.volumeClaimTemplate ?? {};
  const refuse = (problem: string): void =>
    recorder.record(pod, { type: "Warning", reason: "FailedBinding", message: `ephemeral volume ${volume.name}: ${problem}` });
  const known = claims.get(`${namespace}/${name}`);
  if (known) {
    if (!isControlledBy(known, pod)) refuse(`PVC ${namespace}/${name} was not created for pod ${keyOf(pod)} (pod is not owner)`);
    return;
  }
  const claim = {
    metadata: {
      name,
      namespace,
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
      ...(metadata?.annotations ? { annotations: metadata.annotations } : {}),
      ownerReferences: [controllerRef(pod, pods)],
    },
    spec: spec ?? {},
  };
  try {
    metrics?.own.count("ephemeral_volume_controller_create_total");
    await client.create(persistentvolumeclaims, claim, { signal });
  } catch (error) {
    // Whose it is shows when the cache has it.
    if (isStatus(error, "AlreadyExists") || isNamespaceGoing(error)) return;
    metrics?.own.count("ephemeral_volume_controller_create_failures_total");
    refuse(`create PVC ${name}: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  }
}

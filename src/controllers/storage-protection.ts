// persistentvolumeclaim-protection-controller, persistentvolume-protection-controller and
// volumeattributesclass-protection-controller: what is in use is not deleted. A finalizer, which admission puts on every new
// claim, volume and attributes class, keeps one that is being deleted until no pod, no claim or neither uses it any more.
import { controllerOf, type KubernetesObject, keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { persistentvolumeclaims, persistentvolumes, pods, volumeattributesclasses } from "../api/resources.generated.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "../api/types/core-v1.ts";
import type { Informer } from "../client/informer.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "./controller.ts";

interface Protection<T extends KubernetesObject> {
  /** Upstream's short name, which is its account's. */
  readonly serviceAccount: string;
  readonly name: string;
  readonly type: ResourceType<T>;
  readonly finalizer: string;
  /** Called once, when the controller is created. */
  readonly users: (context: ControllerContext) => {
    readonly isUsed: (object: T, signal: AbortSignal) => boolean | Promise<boolean>;
    /** What may set an object free. */
    readonly watches: readonly Watched[];
  };
}

function protectionController<T extends KubernetesObject>(protection: Protection<T>): Controller {
  const { name, serviceAccount, type, finalizer } = protection;
  return {
    name,
    serviceAccount,
    create(context) {
      const informer = context.informers.informer(type);
      const { isUsed, watches } = protection.users(context);
      const write = async (object: T, finalizers: readonly string[], signal: AbortSignal): Promise<void> => {
        try {
          await context.client.update(type, { ...object, metadata: { ...object.metadata, finalizers } }, { signal });
        } catch (error) {
          if (!isStatus(error, "NotFound")) throw error;
        }
      };
      return {
        watches: [watch(informer, (object) => [keyOf(object)]), ...watches],
        async reconcile(key, { signal }) {
          const object = informer.get(key);
          if (!object) return undefined;
          const { finalizers = [], deletionTimestamp } = object.metadata;
          const isProtected = finalizers.includes(finalizer);
          if (deletionTimestamp === undefined) {
            // From before there was such an admission.
            if (!isProtected) await write(object, [...finalizers, finalizer], signal);
          } else if (isProtected && !(await isUsed(object, signal))) {
            await write(
              object,
              finalizers.filter((each) => each !== finalizer),
              signal,
            );
          }
          return undefined;
        },
      };
    },
  };
}

const podsByClaim = "claim";

/** Keys of the claims a pod uses, those of its ephemeral volumes among them. */
function claimKeysOf(pod: Pod): readonly string[] {
  const { namespace, name } = pod.metadata;
  return (pod.spec.volumes ?? []).flatMap((volume) => {
    if (volume.persistentVolumeClaim) return [`${namespace}/${volume.persistentVolumeClaim.claimName}`];
    return volume.ephemeral ? [`${namespace}/${name}-${volume.name}`] : [];
  });
}

/**
 * Whether a pod keeps a claim. One without a node does not: no kubelet would start it with a claim that is being deleted. One
 * that has ended still does. But a claim that was made for a pod alone goes as soon as the kubelet is done with the pod, for
 * the pod may in its turn wait for the claim.
 */
function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  if (!pod.spec.nodeName || pod.metadata.namespace !== claim.metadata.namespace) return false;
  const { name } = claim.metadata;
  return (pod.spec.volumes ?? []).some((volume) => {
    if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim.claimName === name;
    const isItsOwn = volume.ephemeral !== undefined && `${pod.metadata.name}-${volume.name}` === name;
    return isItsOwn && !isShutDown(pod) && controllerOf(claim)?.uid === pod.metadata.uid;
  });
}

/** The kubelet has unmounted its volumes, or somebody has forced its deletion. */
function isShutDown({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined && metadata.deletionGracePeriodSeconds === 0;
}

export const claimProtectionController: Controller = protectionController({
  name: "persistentvolumeclaim-protection-controller",
  serviceAccount: "pvc-protection-controller",
  type: persistentvolumeclaims,
  finalizer: "kubernetes.io/pvc-protection",
  users({ client, informers }) {
    const podInformer = informers.informer(pods);
    podInformer.addIndex(podsByClaim, claimKeysOf);
    return {
      watches: [watch(podInformer, claimKeysOf)],
      async isUsed(claim, signal) {
        if (podInformer.byIndex(podsByClaim, keyOf(claim)).some((pod) => usesClaim(pod, claim))) return true;
        // A cache that lags must not cost a pod its data: the server has the last word.
        const { items } = await client.list(pods, { namespace: claim.metadata.namespace, signal });
        return items.some((pod) => usesClaim(pod, claim));
      },
    };
  },
});

export const volumeProtectionController: Controller = protectionController({
  name: "persistentvolume-protection-controller",
  serviceAccount: "pv-protection-controller",
  type: persistentvolumes,
  finalizer: "kubernetes.io/pv-protection",
  users: () => ({ watches: [], isUsed: (volume) => volume.status?.phase === "Bound" }),
});

const byAttributesClass = "volumeAttributesClass";

/** The attributes classes that a claim has, wants, or is on its way to. */
function classesOfClaim({ spec, status }: PersistentVolumeClaim): readonly string[] {
  const names = [
    spec.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ];
  return [...new Set(names.flatMap((name) => name || []))];
}

const classesOfVolume = ({ spec }: PersistentVolume): readonly string[] =>
  spec?.volumeAttributesClassName ? [spec.volumeAttributesClassName] : [];

export const attributesClassProtectionController: Controller = protectionController({
  name: "volumeattributesclass-protection-controller",
  serviceAccount: "volumeattributesclass-protection-controller",
  type: volumeattributesclasses,
  finalizer: "kubernetes.io/vac-protection",
  users({ client, informers }) {
    const claimInformer = informers.informer(persistentvolumeclaims);
    const volumeInformer = informers.informer(persistentvolumes);
    claimInformer.addIndex(byAttributesClass, classesOfClaim);
    volumeInformer.addIndex(byAttributesClass, classesOfVolume);
    const isKnown = (informer: Pick<Informer<KubernetesObject>, "byIndex">, name: string): boolean =>
      informer.byIndex(byAttributesClass, name).length > 0;
    return {
      watches: [watch(claimInformer, classesOfClaim), watch(volumeInformer, classesOfVolume)],
      async isUsed({ metadata: { name } }, signal) {
        if (isKnown(claimInformer, name) || isKnown(volumeInformer, name)) return true;
        const claims = await client.list(persistentvolumeclaims, { signal });
        const volumes = await client.list(persistentvolumes, { signal });
        return (
          claims.items.some((claim) => classesOfClaim(claim).includes(name)) ||
          volumes.items.some((volume) => classesOfVolume(volume).includes(name))
        );
      },
    };
  },
});

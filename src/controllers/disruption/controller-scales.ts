// How many pods the controllers of some pods ask for. Those of the built-in kinds are known from informers; any other kind is
// asked for its scale subresource, be it a custom one.
import { controllerOf, type KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { groupResourceOf } from "../../api/resource-type.ts";
import { deployments, replicasets, replicationcontrollers, statefulsets } from "../../api/resources.generated.ts";
import type { Scale } from "../../api/types/autoscaling-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { InformerFactory, Lister } from "../../client/informer.ts";
import { ServedResources } from "../served-resources.ts";

export interface ExpectedPods {
  readonly count: number;
  /** Whether there are pods without a controller, which cannot be counted. */
  readonly hasUnmanaged: boolean;
}

interface ScaleOfController {
  readonly uid: string;
  readonly replicas: number;
}

type Scaled = KubernetesObject & { readonly spec?: { readonly replicas?: number } };

export interface ControllerScalesDeps {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
}

export class ControllerScales {
  readonly #client: Client;
  /** By group and kind. */
  readonly #listers: ReadonlyMap<string, Lister<Scaled>>;
  readonly #served: ServedResources;

  constructor(deps: ControllerScalesDeps) {
    this.#client = deps.client;
    this.#served = new ServedResources(deps);
    const { informers } = deps;
    this.#listers = new Map<string, Lister<Scaled>>([
      ["/ReplicationController", informers.informer(replicationcontrollers)],
      ["apps/ReplicaSet", informers.informer(replicasets)],
      ["apps/Deployment", informers.informer(deployments)],
      ["apps/StatefulSet", informers.informer(statefulsets)],
    ]);
  }

  /** The sum over the controllers of the pods. Throws where one cannot be found out. */
  async expectedOf(pods: readonly Pod[], signal: AbortSignal): Promise<ExpectedPods> {
    const seen = new Set<string>();
    const scales = new Map<string, number>();
    let hasUnmanaged = false;
    for (const pod of pods) {
      const controller = controllerOf(pod);
      if (!controller) hasUnmanaged = true;
      if (!controller || seen.has(controller.uid)) continue;
      seen.add(controller.uid);
      const scale = await this.#scaleOf(controller, pod.metadata.namespace, signal);
      if (!scale) throw new Error(`found no controllers for pod "${pod.metadata.name}"`);
      scales.set(scale.uid, scale.replicas);
    }
    return { count: [...scales.values()].reduce((sum, replicas) => sum + replicas, 0), hasUnmanaged };
  }

  async #scaleOf(reference: OwnerReference, namespace: string, signal: AbortSignal): Promise<ScaleOfController | undefined> {
    const owner = this.#known(reference, namespace);
    const ownerOfOwner = owner && controllerOf(owner);
    // A replica set's size is its deployment's business: in a rollout several share it.
    const top = ownerOfOwner?.kind === "Deployment" ? this.#known(ownerOfOwner, namespace) : owner;
    if (top) return { uid: top.metadata.uid, replicas: top.spec?.replicas ?? 1 };
    return this.#askForScale(reference, namespace, signal);
  }

  #known({ apiVersion, kind, name, uid }: OwnerReference, namespace: string): Scaled | undefined {
    const object = this.#listers.get(`${groupOf(apiVersion)}/${kind}`)?.get(`${namespace}/${name}`);
    return object?.metadata.uid === uid ? object : undefined;
  }

  async #askForScale(reference: OwnerReference, namespace: string, signal: AbortSignal): Promise<ScaleOfController | undefined> {
    const { apiVersion, kind, name, uid } = reference;
    const group = groupOf(apiVersion);
    const type = await this.#served.find((served) => served.group === group && served.kind === kind, signal);
    if (!type) throw new Error(`no matches for kind "${kind}" in version "${apiVersion}"`);
    if (!type.subresources.some((subresource) => subresource.name === "scale"))
      throw new Error(`${groupResourceOf(type)} does not implement the scale subresource`);
    try {
      const scale = await this.#client.getSubresource<Scale>(type, { namespace, name, subresource: "scale" }, { signal });
      return scale.metadata?.uid === uid ? { uid, replicas: scale.spec?.replicas ?? 0 } : undefined;
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  }
}

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "");

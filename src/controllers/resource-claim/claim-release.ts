// Takes reservations of a claim away from pods that are done or gone, gives back the allocation with the last of them, and
// deletes claims that were made for pods which will never use them.
import { controllerOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods, resourceclaims } from "../../api/resources.generated.ts";
import { isPodDone } from "../../api/semantics/pod-claims.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { ResourceClaim, ResourceClaimConsumerReference } from "../../api/types/resource-v1.ts";
import { LruMap } from "../../base/lru-map.ts";
import type { Informer } from "../../client/informer.ts";
import type { ControllerContext } from "../controller.ts";

const finalizer = "resource.kubernetes.io/delete-protection";
const maxRemembered = 500;

export class ClaimRelease {
  readonly #context: ControllerContext;
  readonly #pods: Informer<Pod>;
  /** Pods whose deletion was seen: of others that are not in the cache the server has to be asked. */
  readonly #deleted = new LruMap<string, true>(maxRemembered);

  constructor(context: ControllerContext, podInformer: Informer<Pod>) {
    this.#context = context;
    this.#pods = podInformer;
  }

  noteDeleted(pod: Pod): void {
    this.#deleted.set(pod.metadata.uid, true);
  }

  async release(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const { reservedFor = [] } = claim.status ?? {};
    const remaining: ResourceClaimConsumerReference[] = [];
    for (const consumer of reservedFor) if (await this.#keeps(claim, consumer, signal)) remaining.push(consumer);
    const isProtected = claim.metadata.finalizers?.includes(finalizer) ?? false;
    if (remaining.length < reservedFor.length) await this.#free(claim, { remaining, isProtected, signal });
    else if (isProtected && claim.metadata.deletionTimestamp !== undefined && remaining.length === 0)
      await this.#unprotect(claim.status?.allocation ? await this.#deallocate(claim, [], signal) : claim, signal);
    if (remaining.length === 0) await this.#deleteUnused(claim, signal);
  }

  /** Whether a consumer may still use the claim. What is no pod is somebody else's business. */
  async #keeps(claim: ResourceClaim, consumer: ResourceClaimConsumerReference, signal: AbortSignal): Promise<boolean> {
    const { apiGroup = "", resource, name, uid } = consumer;
    if (apiGroup !== "" || resource !== "pods") return true;
    if (this.#deleted.get(uid)) return false;
    const { namespace } = claim.metadata;
    const cached = this.#pods.get(`${namespace}/${name}`);
    if (cached) return cached.metadata.uid === uid && !isPodDone(cached);
    try {
      // The scheduler may have been faster than our cache.
      const pod = await this.#context.client.get(pods, { namespace, name }, { signal });
      return pod.metadata.uid === uid;
    } catch (error) {
      if (isStatus(error, "NotFound")) return false;
      throw error;
    }
  }

  async #free(
    claim: ResourceClaim,
    {
      remaining,
      isProtected,
      signal,
    }: { readonly remaining: readonly ResourceClaimConsumerReference[]; readonly isProtected: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    // Without its finalizer the allocation is not the scheduler's.
    if (remaining.length === 0 && isProtected) await this.#unprotect(await this.#deallocate(claim, remaining, signal), signal);
    else {
      const status = { ...claim.status, reservedFor: remaining };
      await this.#context.client.updateStatus(resourceclaims, { ...claim, status }, { signal });
    }
  }

  #deallocate(claim: ResourceClaim, reservedFor: readonly ResourceClaimConsumerReference[], signal: AbortSignal): Promise<ResourceClaim> {
    const { allocation: _, ...status } = claim.status ?? {};
    return this.#context.client.updateStatus(resourceclaims, { ...claim, status: { ...status, reservedFor } }, { signal });
  }

  async #unprotect(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const finalizers = claim.metadata.finalizers?.filter((each) => each !== finalizer) ?? [];
    try {
      await this.#context.client.update(resourceclaims, { ...claim, metadata: { ...claim.metadata, finalizers } }, { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  }

  /** The garbage collector would wait for the pod's deletion, which may take long. */
  async #deleteUnused(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const owner = controllerOf(claim);
    if (owner?.apiVersion !== "v1" || owner.kind !== "Pod") return;
    const { namespace, name, uid } = claim.metadata;
    const pod = this.#pods.get(`${namespace}/${owner.name}`);
    if (!pod || (pod.metadata.uid === owner.uid && !isPodDone(pod))) return;
    try {
      await this.#context.client.delete(resourceclaims, { namespace, name }, { signal, body: { preconditions: { uid } } });
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  }
}

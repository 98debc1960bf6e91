// Who owns what a selector matches: a workload takes over matching objects without a controller (adoption) and gives up
// those of its own that no longer match (release). An owner that is being deleted does neither. Both patches carry the
// object's uid, so that they cannot hit a successor of the same name.
import { controllerOf, controllerRef, type KubernetesObject } from "../api/meta/object.ts";
import type { LabelMatcher } from "../api/meta/selectors.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { groupResourceOf, type ResourceType } from "../api/resource-type.ts";
import type { Client } from "../client/client.ts";

export interface ClaimOptions<O extends KubernetesObject, T extends KubernetesObject> {
  readonly client: Client;
  readonly signal: AbortSignal;
  readonly ownerType: ResourceType<O>;
  readonly owner: O;
  readonly type: ResourceType<T>;
  readonly selector: LabelMatcher;
  /** Put on what is adopted and taken off what is released. */
  readonly finalizer?: string;
  /** Told of every object that was adopted or released, in its new state. */
  readonly onWrite?: (object: T) => void;
}

/** What is to become of one object. */
export type ClaimDecision = "mine" | "adopt" | "release" | "not-mine";

export function decideClaim(owner: KubernetesObject, selector: LabelMatcher, object: KubernetesObject): ClaimDecision {
  const controller = controllerOf(object);
  const matches = selector.matches(object.metadata.labels);
  const ownerGoes = owner.metadata.deletionTimestamp !== undefined;
  if (controller) {
    if (controller.uid !== owner.metadata.uid) return "not-mine";
    if (matches) return "mine";
    return ownerGoes ? "not-mine" : "release";
  }
  return matches && !ownerGoes && object.metadata.deletionTimestamp === undefined ? "adopt" : "not-mine";
}

/** Adopts and releases as decided; returns the objects that are the owner's now. */
export async function claim<O extends KubernetesObject, T extends KubernetesObject>(
  objects: readonly T[],
  options: ClaimOptions<O, T>,
): Promise<readonly T[]> {
  const claimed: T[] = [];
  let mayAdopt: boolean | undefined;
  for (const object of objects) {
    const decision = decideClaim(options.owner, options.selector, object);
    if (decision === "mine") claimed.push(object);
    else if (decision === "release") await release(object, options);
    else if (decision === "adopt") {
      mayAdopt ??= await isOwnerAlive(options);
      const adopted = mayAdopt ? await adopt(object, options) : undefined;
      if (adopted) claimed.push(adopted);
    }
  }
  return claimed;
}

/** Our cache may be behind: whether the owner is there and stays, by the server's word. */
async function isOwnerAlive<O extends KubernetesObject, T extends KubernetesObject>(options: ClaimOptions<O, T>): Promise<boolean> {
  const { client, owner, ownerType, signal } = options;
  const { namespace = "", name, uid } = owner.metadata;
  try {
    const fresh = await client.get(ownerType, { namespace, name }, { signal });
    return fresh.metadata.uid === uid && fresh.metadata.deletionTimestamp === undefined;
  } catch (error) {
    if (isStatus(error, "NotFound")) return false;
    throw error;
  }
}

async function adopt<O extends KubernetesObject, T extends KubernetesObject>(
  object: T,
  { client, owner, ownerType, type, signal, finalizer, onWrite }: ClaimOptions<O, T>,
): Promise<T | undefined> {
  const { namespace = "", name, uid } = object.metadata;
  const finalizers = finalizer === undefined ? {} : { finalizers: [finalizer] };
  const patch = { metadata: { uid, ownerReferences: [controllerRef(owner, ownerType)], ...finalizers } };
  try {
    const adopted = await client.patch(type, { namespace, name }, patch, { type: "strategic", signal });
    onWrite?.(adopted);
    return adopted;
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw new Error(`adopting ${groupResourceOf(type)} ${namespace}/${name}`, { cause: error });
  }
}

async function release<O extends KubernetesObject, T extends KubernetesObject>(
  object: T,
  { client, owner, type, signal, finalizer, onWrite }: ClaimOptions<O, T>,
): Promise<void> {
  const { namespace = "", name, uid } = object.metadata;
  const finalizers = finalizer === undefined ? {} : { "$deleteFromPrimitiveList/finalizers": [finalizer] };
  const patch = { metadata: { uid, ownerReferences: [{ $patch: "delete", uid: owner.metadata.uid }], ...finalizers } };
  try {
    onWrite?.(await client.patch(type, { namespace, name }, patch, { type: "strategic", signal }));
  } catch (error) {
    // Gone, or replaced by another of the same name, or already without the reference: nothing is left to release.
    if (isStatus(error, "NotFound", "Invalid", "Conflict")) return;
    throw new Error(`releasing ${groupResourceOf(type)} ${namespace}/${name}`, { cause: error });
  }
}

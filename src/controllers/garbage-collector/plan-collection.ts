// What becomes of an object with owners: nothing while one of them lives, except that references to dead ones go; its
// deletion when none does. Pure, so that every constellation can be tested with plain values.
import type { KubernetesObject } from "../../api/meta/object.ts";

export const orphanFinalizer = "orphan";
export const foregroundFinalizer = "foregroundDeletion";

/** What an owner reference points to. */
export type OwnerState =
  /** An owner that lives, or is being deleted without regard to its dependents. */
  | "solid"
  /** Nothing. */
  | "dangling"
  /** An owner that is being deleted and waits until its dependents are gone. */
  | "waiting";

export interface OwnedObject {
  readonly object: KubernetesObject;
  /** State of each owner, by the uid of the reference. */
  readonly owners: ReadonlyMap<string, OwnerState>;
  readonly hasDependents: boolean;
  /** One of its dependents is itself waiting for its dependents: there may be a cycle. */
  readonly hasWaitingDependents: boolean;
}

export type CollectionPlan =
  | { readonly kind: "keep" }
  /** Take away the references to these owners. */
  | { readonly kind: "dropReferences"; readonly uids: readonly string[] }
  | {
      readonly kind: "delete";
      readonly propagation: "Foreground" | "Background" | "Orphan";
      /** First make its references non-blocking, so that a cycle of waiting objects comes apart. */
      readonly unblockFirst: boolean;
    };

export function planCollection({ object, owners, hasDependents, hasWaitingDependents }: OwnedObject): CollectionPlan {
  const uidsIn = (state: OwnerState): readonly string[] => [...owners].filter(([, s]) => s === state).map(([uid]) => uid);
  if (owners.size === 0) return { kind: "keep" };
  if (uidsIn("solid").length > 0) {
    const uids = [...uidsIn("dangling"), ...uidsIn("waiting")];
    return uids.length === 0 ? { kind: "keep" } : { kind: "dropReferences", uids };
  }
  if (uidsIn("waiting").length > 0 && hasDependents) {
    return { kind: "delete", propagation: "Foreground", unblockFirst: hasWaitingDependents };
  }
  return { kind: "delete", propagation: propagationOf(object), unblockFirst: false };
}

/** What its finalizers say was asked for; background where nothing was. */
function propagationOf(object: KubernetesObject): "Foreground" | "Background" | "Orphan" {
  if (hasFinalizer(object, orphanFinalizer)) return "Orphan";
  return hasFinalizer(object, foregroundFinalizer) ? "Foreground" : "Background";
}

export function hasFinalizer(object: KubernetesObject, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false;
}

/** It is being deleted and waits until its dependents are gone. */
export function isDeletingDependents(object: KubernetesObject): boolean {
  return object.metadata.deletionTimestamp !== undefined && hasFinalizer(object, foregroundFinalizer);
}

/** It is being deleted and waits until its dependents no longer refer to it. */
export function isOrphaningDependents(object: KubernetesObject): boolean {
  return object.metadata.deletionTimestamp !== undefined && hasFinalizer(object, orphanFinalizer);
}

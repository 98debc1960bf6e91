// What is too large for the store (etcd takes 1.5 MiB in a request) may be so only for the record of who owns its fields, which
// can be as large as the object itself. It is stored without the record then, as upstream does, unless it was applied: without
// owners an apply would mean something else.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { WriteTooLargeError } from "../../storage/store.ts";
import type { ObjectVersion } from "../watch-cache/object-version.ts";
import { withMetadata } from "./object-meta.ts";
import type { CommitResult, Companions, ResourceStore } from "./resource-store.ts";

export interface FittingCommit {
  readonly key: string;
  readonly object: KubernetesObject;
  /** The version that was read; absent: creates it. */
  readonly over: ObjectVersion | undefined;
  readonly companions: Companions | undefined;
  /** The owners are what the request is about (an apply). */
  readonly keepsOwners: boolean;
}

/** ResourceStore.commit, of an object that is too large without the owners of its fields. Throws 500 where that is too large too. */
export async function commitFitting(store: ResourceStore, commit: FittingCommit): Promise<CommitResult> {
  const { key, object, over, companions, keepsOwners } = commit;
  try {
    return await store.commit(key, object, over, companions);
  } catch (error) {
    if (!(error instanceof WriteTooLargeError)) throw error;
    // Upstream has no reason for this error.
    if (keepsOwners || !object.metadata.managedFields) throw new StatusError({ code: 500, message: error.message });
  }
  const { managedFields: _, ...metadata } = object.metadata;
  return commitFitting(store, { ...commit, object: withMetadata(object, metadata) });
}

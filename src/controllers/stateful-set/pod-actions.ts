// Carries out what a stateful set's plan says, with the events that tell of it: makes, restores and deletes pods, makes
// claims and changes their owners.
import { isStatus } from "../../api/meta/status-error.ts";
import { persistentvolumeclaims, pods } from "../../api/resources.generated.ts";
import type { StatefulSet } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { RecentWrites } from "../../client/recent-writes.ts";
import type { ControllerContext } from "../controller.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { type Claims, claimOwners, claimsFor, hasForeignController } from "./claims.ts";
import { podName } from "./identity.ts";
import type { StatefulAction } from "./plan.ts";

export interface ActionWork {
  readonly context: Pick<ControllerContext, "client" | "recorder">;
  readonly key: string;
  readonly set: StatefulSet;
  readonly claims: Claims;
  readonly recentPods: RecentWrites<Pod>;
  readonly recentClaims: RecentWrites<PersistentVolumeClaim>;
  readonly signal: AbortSignal;
}

/** Throws what the API threw, after an event has told of it. */
export async function act(work: ActionWork, action: StatefulAction): Promise<void> {
  switch (action.kind) {
    case "create":
      return create(work, action);
    case "delete":
      return told(work, "Delete", action.pod.metadata.name, () => remove(work, action.pod));
    case "claims":
      await makeClaims(work, action.ordinal);
      return quietly(work, action.pod.metadata.name, () => putOwnersRight(work, action));
    case "restore":
      return told(work, "Update", action.pod.metadata.name, async () => {
        await makeClaims(work, action.ordinal);
        await putOwnersRight(work, action);
        const { client } = work.context;
        work.recentPods.written(work.key, await client.update(pods, action.restored, { signal: work.signal }));
      });
  }
}

async function create(work: ActionWork, { ordinal, pod }: StatefulAction & { readonly kind: "create" }): Promise<void> {
  const { client } = work.context;
  try {
    await told(work, "Create", podName(work.set, ordinal), async () => {
      await makeClaims(work, ordinal);
      const created = await client.create(pods, pod, { signal: work.signal });
      work.recentPods.written(work.key, created);
      await putOwnersRight(work, { ordinal, pod: created });
    });
  } catch (error) {
    if (!isNamespaceGoing(error)) throw error;
  }
}

async function remove({ context, key, recentPods, signal }: ActionWork, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  try {
    await context.client.delete(pods, { namespace, name }, { signal, body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound", "Conflict")) throw error;
  }
  recentPods.deleted(key, pod);
}

/** Makes the claims of an ordinal that are not there. One that is being deleted has to go first. */
async function makeClaims(work: ActionWork, ordinal: number): Promise<void> {
  const { context, key, set, claims, recentClaims, signal } = work;
  const { client, recorder } = context;
  const pod = podName(set, ordinal);
  for (const claim of claimsFor(set, ordinal)) {
    const { name = "" } = claim.metadata;
    const known = claims.get(name);
    if (known?.metadata.deletionTimestamp !== undefined) throw new Error(`pvc ${name} is being deleted`);
    if (known) continue;
    try {
      recentClaims.written(key, await client.create(persistentvolumeclaims, claim, { signal }));
    } catch (error) {
      if (isStatus(error, "AlreadyExists")) continue;
      const message = `Create Claim ${name} for Pod ${pod} in StatefulSet ${set.metadata.name} failed error: ${textOf(error)}`;
      recorder.record(set, { type: "Warning", reason: "FailedCreate", message });
      throw new Error(`failed to create PVC ${name}: ${textOf(error)}`, { cause: error });
    }
    const message = `Create Claim ${name} Pod ${pod} in StatefulSet ${set.metadata.name} success`;
    recorder.record(set, { type: "Normal", reason: "SuccessfulCreate", message });
  }
}

async function putOwnersRight(
  { context, key, set, claims, recentClaims, signal }: ActionWork,
  { pod, ordinal }: { readonly pod: Pod; readonly ordinal: number },
): Promise<void> {
  for (const { metadata } of claimsFor(set, ordinal)) {
    const known = claims.get(metadata.name ?? "");
    if (!known) continue;
    const { name } = known.metadata;
    if (hasForeignController(set, known, pod)) {
      const message = `PersistentVolumeClaim ${name} has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim`;
      context.recorder.record(set, { type: "Warning", reason: "ConflictingController", message });
    }
    const wanted = claimOwners(set, known, { pod, ordinal });
    if (!wanted) continue;
    const { claim, owners } = wanted;
    const updated = { ...claim, metadata: { ...claim.metadata, ownerReferences: owners } };
    try {
      recentClaims.written(key, await context.client.update(persistentvolumeclaims, updated, { signal }));
    } catch (error) {
      throw new Error(`could not update claim ${name} for delete policy ownerRefs: ${textOf(error)}`, { cause: error });
    }
  }
}

type Verb = "Create" | "Delete" | "Update";

async function told(work: ActionWork, verb: Verb, pod: string, action: () => Promise<void>): Promise<void> {
  await quietly(work, pod, action, verb);
  const message = `${verb} Pod ${pod} in StatefulSet ${work.set.metadata.name} successful`;
  work.context.recorder.record(work.set, { type: "Normal", reason: `Successful${verb}`, message });
}

/** Only a failure is told: none where a pod of the name is there, which must go first. */
async function quietly(work: ActionWork, pod: string, action: () => Promise<void>, verb: Verb = "Update"): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!isStatus(error, "AlreadyExists") && !isNamespaceGoing(error)) {
      const message = `${verb} Pod ${pod} in StatefulSet ${work.set.metadata.name} failed error: ${textOf(error)}`;
      work.context.recorder.record(work.set, { type: "Warning", reason: `Failed${verb}`, message });
    }
    throw error;
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

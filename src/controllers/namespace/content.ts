// The content of a namespace that is being deleted: finds it by discovery, deletes it, and counts what remains and why.
// Pods go first; as long as any is left nothing else is touched, for what they use must outlive them.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { groupResourceOf, type ResourceType } from "../../api/resource-type.ts";
import { pods } from "../../api/resources.generated.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Client, ObjectList } from "../../client/client.ts";

/** What was left of a namespace's content after it was deleted. */
export interface RemainingContent {
  /** Objects that are still there, by resource. */
  readonly objects: ReadonlyMap<ResourceType, number>;
  /** Objects that wait for each finalizer. */
  readonly finalizers: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
  /** Pods were left, so that nothing else was deleted yet. */
  readonly waitsForPods: boolean;
}

export interface DeleteContentOptions {
  readonly client: Client;
  readonly signal: AbortSignal;
  /** Namespaced resources that can be listed and deleted. */
  readonly resources: readonly ResourceType[];
  readonly namespace: string;
}

/** Resources looked at at a time. */
const parallel = 8;

export async function deleteContent(options: DeleteContentOptions): Promise<RemainingContent> {
  const tally = new Tally();
  if (options.resources.includes(pods)) await deleteAll(pods, options, tally);
  if (tally.objects.size > 0) return tally.result(true);
  const others = options.resources.filter((type) => type !== pods);
  const next = others.values();
  const worker = async (): Promise<void> => {
    for (const type of next) await deleteAll(type, options, tally);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return tally.result(false);
}

class Tally {
  readonly objects = new Map<ResourceType, number>();
  readonly #finalizers = new Map<string, number>();
  readonly #failures: string[] = [];

  remaining(type: ResourceType, objects: readonly KubernetesObject[]): void {
    if (objects.length > 0) this.objects.set(type, objects.length);
    for (const { metadata } of objects) {
      for (const finalizer of metadata.finalizers ?? []) this.#finalizers.set(finalizer, (this.#finalizers.get(finalizer) ?? 0) + 1);
    }
  }

  failed(message: string): void {
    this.#failures.push(message);
  }

  result(waitsForPods: boolean): RemainingContent {
    return { objects: this.objects, finalizers: this.#finalizers, failures: this.#failures, waitsForPods };
  }
}

async function deleteAll(type: ResourceType, options: DeleteContentOptions, tally: Tally): Promise<void> {
  const { client, namespace, signal } = options;
  // What is listed is of kinds that are not known here: only its metadata is looked at.
  const list = (): Promise<ObjectList<KubernetesObject>> => client.list(type as ResourceType<KubernetesObject>, { namespace, signal });
  try {
    const before = await list();
    if (before.items.length === 0) return;
    const body = { propagationPolicy: "Background" };
    if (type.verbs.includes("deletecollection")) {
      await client.deleteCollection(type, { namespace, signal, body });
    } else {
      for (const { metadata } of before.items) await deleteOne(type, metadata.name, options);
    }
    const left = (await list()).items;
    tally.remaining(type, left);
    if (left.length > 0 && !isExpected(type, before.items, left))
      tally.failed(
        `unexpected items still remain in namespace: ${namespace} for gvr: ${type.group}/${type.version}, Resource=${type.resource}`,
      );
  } catch (error) {
    signal.throwIfAborted();
    // A resource whose definition has just gone, or that cannot be deleted after all, holds nothing up.
    if (isStatus(error, "NotFound", "MethodNotAllowed")) return;
    tally.failed(`${groupResourceOf(type)}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether something is known that what is left waits for: finalizers, or the grace periods of pods that have not ended. */
function isExpected(type: ResourceType, before: readonly KubernetesObject[], left: readonly KubernetesObject[]): boolean {
  if (left.some(({ metadata }) => (metadata.finalizers ?? []).length > 0)) return true;
  if (type !== pods) return false;
  return (before as readonly Pod[]).some((pod) => !isPodTerminal(pod) && (pod.spec.terminationGracePeriodSeconds ?? 0) > 0);
}

async function deleteOne(type: ResourceType, name: string, { client, namespace, signal }: DeleteContentOptions): Promise<void> {
  try {
    await client.delete(type, { namespace, name }, { signal, body: { propagationPolicy: "Background" } });
  } catch (error) {
    if (!isStatus(error, "NotFound", "MethodNotAllowed")) throw error;
  }
}

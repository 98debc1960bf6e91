// An index over informers that answers what belongs to a controller, and what in a namespace belongs to none.
import { controllerOf, type KubernetesObject } from "../api/meta/object.ts";
import type { Informer } from "../client/informer.ts";

const indexName = "controller";

const controllerKey = (object: KubernetesObject): readonly string[] => [
  controllerOf(object)?.uid ?? `orphans/${object.metadata.namespace ?? ""}`,
];

/** Call it where the informer is asked for; several controllers may. */
export function addOwnerIndex<T extends KubernetesObject>(informer: Informer<T>): void {
  informer.addIndex(indexName, controllerKey);
}

/** Objects whose controller has this uid. */
export function ownedBy<T extends KubernetesObject>(informer: Informer<T>, uid: string): readonly T[] {
  return informer.byIndex(indexName, uid);
}

/** Objects of a namespace that have no controller. */
export function orphansIn<T extends KubernetesObject>(informer: Informer<T>, namespace: string): readonly T[] {
  return informer.byIndex(indexName, `orphans/${namespace}`);
}

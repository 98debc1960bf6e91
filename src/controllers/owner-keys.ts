// Whose a dependent object is, for the queue: its controller's key, or those of all that might take it over.
import { controllerOf, type KubernetesObject, keyOf } from "../api/meta/object.ts";
import type { LabelMatcher } from "../api/meta/selectors.ts";
import type { Informer } from "../client/informer.ts";

/** The key of the object's controller where that is of the owners' kind; for an orphan those of the owners that select it. */
export function ownerKeys<T extends KubernetesObject>(
  object: KubernetesObject,
  owners: Informer<T>,
  selectorOf: (owner: T) => LabelMatcher,
): readonly string[] {
  const { namespace = "", labels, deletionTimestamp } = object.metadata;
  const controller = controllerOf(object);
  if (controller) return controller.kind === owners.type.kind ? [`${namespace}/${controller.name}`] : [];
  if (!labels || deletionTimestamp !== undefined) return [];
  return owners
    .inNamespace(namespace)
    .filter((owner) => selectorOf(owner).matches(labels))
    .map(keyOf);
}

// What webhooks have to know of the served resources besides their types: which of them are other versions of the same
// objects, and how an object that a patch has made is read.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { asSent } from "../../../api/meta/sent-empty.ts";
import type { Shape } from "../../../api/patch/managed-fields/shape.ts";
import type { GroupVersionKind, ResourceType } from "../../../api/resource-type.ts";

/** Another version of a resource's objects. */
export interface EquivalentResource {
  readonly type: ResourceType;
  /** To the other version. Throws StatusError where someone else converts and fails. */
  readonly convert: (object: KubernetesObject) => Promise<KubernetesObject>;
  /** From the other version. */
  readonly convertBack: (object: KubernetesObject) => Promise<KubernetesObject>;
}

/** An object as it is seen: in the other version, where there is one, else with the lists that were sent empty. */
export async function seenAs(
  equivalent: EquivalentResource | undefined,
  object: KubernetesObject | undefined,
): Promise<KubernetesObject | undefined> {
  if (!object) return undefined;
  return equivalent ? equivalent.convert(object) : asSent(object);
}

export interface ServedKinds {
  /** Resources with the same objects in other groups and versions. */
  equivalentsOf(type: ResourceType): readonly EquivalentResource[];
  /** How the fields of a kind's objects are owned, for what is applied to them. */
  shapeOf(type: ResourceType, kind: GroupVersionKind): Shape;
  /** The resources of a kind. */
  resourcesOf(kind: GroupVersionKind): readonly ResourceType[];
  /**
   * A JSON value as an object of the kind, as if it had been sent: fields the kind has not are left out (or wrong, where the
   * reading is strict), defaults filled in. Throws an Error that says what is wrong.
   */
  read(type: ResourceType, kind: GroupVersionKind, value: unknown, options?: { readonly strict?: boolean }): KubernetesObject;
}

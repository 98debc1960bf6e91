// Warnings about pod templates, which are given when an object is changed and not when it is written as it was.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import type { PodTemplateSpec } from "../../../api/types/core-v1.ts";
import { podTemplateWarnings } from "../../../api/validation/pod-warnings.ts";

/** Whether the write counts as a change of what is desired. */
export const isChanged = (object: KubernetesObject, old: KubernetesObject): boolean =>
  object.metadata.generation !== old.metadata.generation;

export function changedTemplateWarnings(
  field: string,
  object: KubernetesObject,
  old: KubernetesObject,
  template: PodTemplateSpec | undefined,
): readonly string[] {
  return template && isChanged(object, old) ? podTemplateWarnings(field, template) : [];
}

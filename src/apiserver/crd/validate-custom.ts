// Checks of custom objects that do not come from their schema: their kind and version, and the fields that the scale
// subresource shows.
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { countAt, textAt } from "../registry/custom-scale.ts";
import type { ScalePaths } from "../registry/resource-definition.ts";

export function customObjectProblems(type: ResourceType, { kind, apiVersion }: KubernetesObject): FieldError[] {
  const problems: FieldError[] = [];
  if (kind !== type.kind) problems.push(invalidValue("kind", kind, `must be ${type.kind}`));
  const expected = apiVersionOf(type);
  if (apiVersion !== expected) problems.push(invalidValue("apiVersion", apiVersion, `must be ${expected}`));
  return problems;
}

const maxReplicas = 0x7fffffff;

/** Problems of the number that is asked for. */
export function scaleSpecProblems(object: KubernetesObject, { specReplicas }: ScalePaths): FieldError[] {
  return countProblems(object, specReplicas);
}

/** Problems of the number that there is, and of the selector. */
export function scaleStatusProblems(object: KubernetesObject, { statusReplicas, selector }: ScalePaths): FieldError[] {
  const problems = countProblems(object, statusReplicas);
  const text = selector ? textAt(object, selector) : undefined;
  if (selector && text?.problem !== undefined) problems.push(invalidValue(fieldAt(selector), "", text.problem));
  return problems;
}

function countProblems(object: KubernetesObject, path: readonly string[]): FieldError[] {
  const field = fieldAt(path);
  const count = countAt(object, path);
  if (count.problem !== undefined) return [invalidValue(field, 0, count.problem)];
  const { value = 0 } = count;
  if (value < 0) return [invalidValue(field, value, "should be a non-negative integer")];
  return value > maxReplicas ? [invalidValue(field, value, `should be less than or equal to ${maxReplicas}`)] : [];
}

const fieldAt = (path: readonly string[]): string => `.${path.join(".")}`;

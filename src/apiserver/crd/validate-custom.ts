// Checks of custom objects that do not come from their schema: their kind and version, and the fields that the scale
// subresource shows.
import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { parseLabelSelector, SelectorError } from "../../api/meta/selectors.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { valueAt } from "../registry/custom-scale.ts";
import type { ScalePaths } from "../registry/resource-definition.ts";

export function customObjectProblems(type: ResourceType, { kind, apiVersion }: KubernetesObject): FieldError[] {
  const problems: FieldError[] = [];
  if (kind !== type.kind) problems.push(invalidValue("kind", kind, `must be ${type.kind}`));
  const expected = apiVersionOf(type);
  if (apiVersion !== expected) problems.push(invalidValue("apiVersion", apiVersion, `must be ${expected}`));
  return problems;
}

const maxReplicas = 0x7fffffff;

export function scaleProblems(object: KubernetesObject, paths: ScalePaths): FieldError[] {
  const problems: FieldError[] = [];
  for (const path of [paths.specReplicas, paths.statusReplicas]) {
    const count = valueAt(object, path);
    if (typeof count !== "number") continue;
    const field = `.${path.join(".")}`;
    if (count < 0) problems.push(invalidValue(field, count, "should be a non-negative integer"));
    else if (count > maxReplicas) problems.push(invalidValue(field, count, `should be less than or equal to ${maxReplicas}`));
  }
  const selector = paths.selector && valueAt(object, paths.selector);
  if (typeof selector === "string" && selector !== "") {
    try {
      parseLabelSelector(selector);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      problems.push(invalidValue(`.${paths.selector?.join(".") ?? ""}`, selector, error.message));
    }
  }
  return problems;
}

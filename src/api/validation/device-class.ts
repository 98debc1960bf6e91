// Classes of devices: which devices belong to one, how their drivers are configured, and the name of an extended resource
// that stands for a claim of it.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, invalidValue } from "../meta/field-error.ts";
import type { DeviceClass } from "../types/resource-v1.ts";
import { validateDeviceConfiguration, validateItems, validateSelectors } from "./device-rules.ts";
import type { ExpressionCheck } from "./expression-check.ts";
import { maxConfigurations } from "./resource-claim.ts";
import { isExtendedResource } from "./resource-names.ts";

export function validateDeviceClass({ spec }: DeviceClass, old?: DeviceClass, check?: ExpressionCheck): FieldError[] {
  const errors: FieldError[] = [];
  const { selectors, config = [], extendedResourceName: extended } = spec ?? {};
  const keeps = (field: "selectors" | "config"): boolean => old !== undefined && semanticallyEqual(spec?.[field], old.spec?.[field]);
  validateSelectors(errors, "spec.selectors", selectors, { stored: keeps("selectors"), check });
  const stored = keeps("config");
  validateItems(errors, "spec.config", config, {
    max: maxConfigurations,
    check: (configuration, at) => validateDeviceConfiguration(errors, at, configuration, stored),
  });
  if (extended !== undefined && !isExtendedResource(extended))
    errors.push(invalidValue("spec.extendedResourceName", extended, "must be a valid extended resource name"));
  return errors;
}

// Rules that taint devices: which devices, and the taint.
import { type FieldError, tooMany } from "../meta/field-error.ts";
import type { DeviceTaint } from "../types/resource-v1.ts";
import type { DeviceTaintRule } from "../types/resource-v1beta2.ts";
import { validateConditions } from "./conditions.ts";
import { checkDnsLabel, validateDriverName, validatePoolName, validateTaint } from "./device-rules.ts";

export function validateDeviceTaintRule({ spec }: DeviceTaintRule, old?: DeviceTaintRule): FieldError[] {
  const errors: FieldError[] = [];
  const { deviceSelector: selector, taint } = spec ?? {};
  if (selector?.driver !== undefined) validateDriverName(errors, "spec.deviceSelector.driver", selector.driver);
  if (selector?.pool !== undefined) validatePoolName(errors, "spec.deviceSelector.pool", selector.pool);
  if (selector?.device !== undefined) checkDnsLabel(errors, "spec.deviceSelector.device", selector.device);
  const checked = taint as DeviceTaint | undefined; // the same in all versions
  if (checked?.effect !== undefined && checked.effect === old?.spec.taint.effect)
    validateTaint(errors, "spec.taint", { ...checked, effect: "NoExecute" });
  else validateTaint(errors, "spec.taint", checked ?? ({} as DeviceTaint));
  return errors;
}

const maxConditions = 8;

export function validateDeviceTaintRuleStatus({ status }: DeviceTaintRule): FieldError[] {
  const errors: FieldError[] = [];
  const { conditions = [] } = status ?? {};
  validateConditions(errors, "status.conditions", conditions);
  if (conditions.length > maxConditions) errors.push(tooMany("status.conditions", conditions.length, maxConditions));
  return errors;
}

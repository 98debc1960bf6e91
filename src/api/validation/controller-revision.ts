// Controller revisions: the past templates of stateful and daemon sets, which never change.
import { type FieldError, required } from "../meta/field-error.ts";
import type { ControllerRevision } from "../types/apps-v1.ts";
import { checkImmutable, checkNonNegative } from "./rules.ts";

export function validateControllerRevision({ data, revision }: ControllerRevision): FieldError[] {
  const errors: FieldError[] = [];
  checkNonNegative(errors, "revision", revision);
  if (data === undefined || data === null) errors.push(required("data", "data is mandatory"));
  else if (typeof data !== "object" || Array.isArray(data)) errors.push(required("data", "data must be a valid JSON object"));
  return errors;
}

export function validateControllerRevisionUpdate({ data, revision }: ControllerRevision, old: ControllerRevision): FieldError[] {
  const errors: FieldError[] = [];
  checkNonNegative(errors, "revision", revision);
  checkImmutable(errors, "data", data, old.data);
  return errors;
}

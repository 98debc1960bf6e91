// What a rule of x-kubernetes-validations has to say, before it is compiled.
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import type { JSONSchemaProps, ValidationRule } from "../types/apiextensions-v1.ts";
import { SchemaFieldPathError, schemaFieldPath } from "./schema-field-path.ts";
import { unsupportedKeyword } from "./structural-rules.ts";

const reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const hasLineBreak = (text: string): boolean => /[\n\r]/.test(text);

export function checkRule(errors: FieldError[], schema: JSONSchemaProps, rule: ValidationRule, field: string): void {
  const { message = "", messageExpression = "", reason, fieldPath = "" } = rule;
  const text = (rule.rule ?? "").trim();
  if (text === "") errors.push(required(`${field}.rule`, "rule is not specified"));
  else if (message !== "" && message.trim() === "")
    errors.push(invalidValue(`${field}.message`, message, "must be non-empty if specified"));
  else if (hasLineBreak(message.trim())) errors.push(invalidValue(`${field}.message`, message, "must not contain line breaks"));
  else if (hasLineBreak(text) && message.trim() === "")
    errors.push(required(`${field}.message`, "message must be specified if rule contains line breaks"));
  if (messageExpression !== "" && messageExpression.trim() === "")
    errors.push(required(`${field}.messageExpression`, "messageExpression must be non-empty if specified"));
  if (reason !== undefined && !reasons.includes(reason)) errors.push(notSupported(`${field}.reason`, reason, reasons));
  if (fieldPath === "") return;
  if (fieldPath.trim() === "") errors.push(invalidValue(`${field}.fieldPath`, fieldPath, "must be non-empty if specified"));
  if (hasLineBreak(fieldPath)) errors.push(invalidValue(`${field}.fieldPath`, fieldPath, "must not contain line breaks"));
  if (!leadsSomewhere(schema, fieldPath)) errors.push(invalidValue(`${field}.fieldPath`, fieldPath, "must be a valid path"));
}

function leadsSomewhere(schema: JSONSchemaProps, path: string): boolean {
  if (unsupportedKeyword(schema) !== undefined) return true;
  try {
    schemaFieldPath(path, schema);
    return true;
  } catch (error) {
    if (!(error instanceof SchemaFieldPathError)) throw error;
    return false;
  }
}

/** A rule as messages show it: upstream's internal type. */
export function ruleForm(rule: ValidationRule): unknown {
  return {
    Rule: rule.rule ?? "",
    Message: rule.message ?? "",
    MessageExpression: rule.messageExpression ?? "",
    Reason: rule.reason ?? null,
    FieldPath: rule.fieldPath ?? "",
    OptionalOldSelf: rule.optionalOldSelf ?? null,
  };
}

// Admission policies: which requests they are for, and the expressions that validate or mutate them. What can be told of
// an expression without compiling it is told here; compiling is an `ExpressionCheck`'s.
import { semanticallyEqual } from "../meta/equality.ts";
import { duplicate, type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1035Label, isDNS1123Subdomain, isQualifiedName } from "../meta/names.ts";
import type {
  AuditAnnotation,
  MatchCondition,
  MatchResources,
  MutatingAdmissionPolicy,
  Mutation,
  ParamKind,
  ValidatingAdmissionPolicy,
  Validation,
  Variable,
} from "../types/admissionregistration-v1.ts";
import { validateConditions } from "./conditions.ts";
import type { ExpressionCheck, ExpressionPurpose, ExpressionUse } from "./expression-check.ts";
import { validateMatchResources, validateMutatingOperations } from "./policy-binding.ts";
import { addProblems, checkSupported } from "./rules.ts";
import { failurePolicies, reinvocationPolicies, validateMatchConditions } from "./webhook.ts";

const maxAuditAnnotations = 20;
const maxValueExpressionBytes = 5 * 1024;
const reasons = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const lineBreak = /[\n\r]/;

/** The parts that both kinds of policy have. */
interface PolicySpec {
  readonly failurePolicy?: string;
  readonly paramKind?: ParamKind;
  readonly matchConstraints?: MatchResources;
  readonly matchConditions?: readonly MatchCondition[];
  readonly variables?: readonly Variable[];
}

/** Checks the expressions of one policy, as `check` does, with what each may refer to. */
type PolicyExpressions = (errors: FieldError[], purpose: ExpressionPurpose, field: string, expression: string) => void;

export function validateValidatingPolicy(
  { metadata, spec: given }: ValidatingAdmissionPolicy,
  old?: ValidatingAdmissionPolicy,
  check?: ExpressionCheck,
): FieldError[] {
  const errors: FieldError[] = [];
  const spec = given ?? {};
  const { validations = [], auditAnnotations = [], variables = [] } = spec;
  const expressions = expressionsOf(spec, storedExpressions(old?.spec), check);
  validateMatching(errors, spec);
  if (!keepsMatchConditions(spec, old?.spec)) checkMatchConditions(errors, spec, expressions);
  for (const [i, variable] of variables.entries()) validateVariable(errors, `spec.variables[${i}]`, variable, expressions);
  if (validations.length === 0 && auditAnnotations.length === 0) {
    const detail = "validations or auditAnnotations must contain at least one item";
    errors.push(required("spec.validations", detail), required("spec.auditAnnotations", detail));
    return errors;
  }
  for (const [i, validation] of validations.entries()) validateValidation(errors, `spec.validations[${i}]`, validation, expressions);
  validateAuditAnnotations(errors, auditAnnotations, metadata.name ?? "", expressions);
  return errors;
}

export function validateValidatingPolicyStatus({ status }: ValidatingAdmissionPolicy): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, { warning, fieldRef }] of (status?.typeChecking?.expressionWarnings ?? []).entries()) {
    const field = `status.typeChecking.expressionWarnings[${i}]`;
    if (!warning) errors.push(required(`${field}.warning`));
    if (!fieldRef?.trim()) errors.push(required(`${field}.fieldRef`));
  }
  validateConditions(errors, "status.conditions", status?.conditions ?? []);
  return errors;
}

export function validateMutatingPolicy(
  { spec: given }: MutatingAdmissionPolicy,
  old?: MutatingAdmissionPolicy,
  check?: ExpressionCheck,
): FieldError[] {
  const errors: FieldError[] = [];
  const spec = given ?? {};
  const { mutations = [], variables = [], reinvocationPolicy } = spec;
  const expressions = expressionsOf(spec, storedExpressions(old?.spec), check);
  validateMatching(errors, spec);
  validateMutatingOperations(errors, "spec.matchConstraints", spec.matchConstraints);
  if (!keepsMatchConditions(spec, old?.spec)) checkMatchConditions(errors, spec, expressions);
  for (const [i, variable] of variables.entries()) validateVariable(errors, `spec.variables[${i}]`, variable, expressions);
  if (mutations.length === 0) errors.push(required("spec.mutations", "mutations must contain at least one item"));
  for (const [i, mutation] of mutations.entries()) validateMutation(errors, `spec.mutations[${i}]`, mutation, expressions);
  checkSupported(errors, "spec.reinvocationPolicy", reinvocationPolicy, reinvocationPolicies, "required");
  return errors;
}

function validateMatching(errors: FieldError[], { failurePolicy, paramKind, matchConstraints }: PolicySpec): void {
  checkSupported(errors, "spec.failurePolicy", failurePolicy, failurePolicies, failurePolicy === undefined ? "required" : "unsupported");
  if (paramKind) validateParamKind(errors, "spec.paramKind", paramKind);
  if (!matchConstraints) {
    errors.push(required("spec.matchConstraints"));
    return;
  }
  validateMatchResources(errors, "spec.matchConstraints", matchConstraints);
  // Without a rule nothing would tell the types of what the expressions see.
  if ((matchConstraints.resourceRules ?? []).length === 0) errors.push(required("spec.matchConstraints.resourceRules"));
}

function validateParamKind(errors: FieldError[], field: string, { apiVersion = "", kind = "" }: ParamKind): void {
  validateParamVersion(errors, `${field}.apiVersion`, apiVersion);
  if (kind === "") {
    errors.push(required(`${field}.kind`));
    return;
  }
  const problems = isDNS1035Label(kind.toLowerCase());
  if (problems.length > 0)
    errors.push(invalidValue(`${field}.kind`, kind, `may have mixed case, but should otherwise match: ${problems.join(",")}`));
}

function validateParamVersion(errors: FieldError[], field: string, apiVersion: string): void {
  const parts = apiVersion.split("/");
  const [group, version] = parts.length === 1 ? ["", parts[0] ?? ""] : [parts[0] ?? "", parts[1] ?? ""];
  if (apiVersion === "") errors.push(required(field));
  else if (parts.length > 2) errors.push(invalidValue(field, apiVersion, `unexpected GroupVersion string: ${apiVersion}`));
  else {
    const groupProblems = group === "" ? [] : isDNS1123Subdomain(group);
    if (groupProblems.length > 0) errors.push(invalidValue(field, group, groupProblems.join(",")));
    const versionProblems = version === "" ? [] : isDNS1035Label(version);
    if (version === "") errors.push(invalidValue(field, apiVersion, "version must be specified"));
    if (versionProblems.length > 0) errors.push(invalidValue(field, version, versionProblems.join(",")));
  }
}

/** Conditions that an update leaves as they were are not looked at again. */
const keepsMatchConditions = (spec: PolicySpec, old: PolicySpec | undefined): boolean =>
  old !== undefined && semanticallyEqual(spec.paramKind, old.paramKind) && semanticallyEqual(spec.matchConditions, old.matchConditions);

const checkMatchConditions = (errors: FieldError[], { matchConditions = [] }: PolicySpec, expressions: PolicyExpressions): void =>
  validateMatchConditions(errors, "spec.matchConditions", matchConditions, (field, expression) =>
    expressions(errors, "matchCondition", field, expression),
  );

const identifier = /^[_a-zA-Z][_a-zA-Z0-9]*$/;
const reservedWords = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(" "),
);

function validateVariable(
  errors: FieldError[],
  field: string,
  { name = "", expression = "" }: Variable,
  expressions: PolicyExpressions,
): void {
  if (name.trim() === "") errors.push(required(`${field}.name`, "name is not specified"));
  else if (!identifier.test(name) || reservedWords.has(name))
    errors.push(invalidValue(`${field}.name`, name, "must be a valid CEL identifier"));
  if (expression.trim() === "") errors.push(required(`${field}.expression`, "expression is not specified"));
  else expressions(errors, "variable", `${field}.expression`, expression);
}

function validateValidation(errors: FieldError[], field: string, validation: Validation, expressions: PolicyExpressions): void {
  const { expression = "", message = "", messageExpression = "", reason } = validation;
  if (expression.trim() === "") errors.push(required(`${field}.expression`, "expression is not specified"));
  else expressions(errors, "validation", `${field}.expression`, expression);
  const blank = "must be non-empty if specified";
  if (messageExpression.trim() !== "") expressions(errors, "messageExpression", `${field}.messageExpression`, messageExpression);
  else if (messageExpression !== "") errors.push(invalidValue(`${field}.messageExpression`, messageExpression, blank));
  if (message !== "" && message.trim() === "") errors.push(invalidValue(`${field}.message`, message, blank));
  else if (lineBreak.test(message.trim())) errors.push(invalidValue(`${field}.message`, message, "must not contain line breaks"));
  if (reason !== undefined) checkSupported(errors, `${field}.reason`, reason, reasons);
}

function validateAuditAnnotations(
  errors: FieldError[],
  annotations: readonly AuditAnnotation[],
  policyName: string,
  expressions: PolicyExpressions,
): void {
  if (annotations.length > maxAuditAnnotations) {
    const shown = annotations.map(({ key, valueExpression }) => ({ Key: key, ValueExpression: valueExpression }));
    errors.push(invalidValue("spec.auditAnnotations", shown, `must not have more than ${maxAuditAnnotations} auditAnnotations`));
  }
  const keys = new Set<string>();
  for (const [i, { key = "", valueExpression = "" }] of annotations.entries()) {
    const field = `spec.auditAnnotations[${i}]`;
    if (policyName === "") errors.push(invalidValue(`${field}.key`, key, "requires metadata.name be non-empty"));
    else addProblems(errors, `${field}.key`, `${policyName}/${key}`, isQualifiedName(`${policyName}/${key}`));
    validateValueExpression(errors, `${field}.valueExpression`, valueExpression, expressions);
    if (keys.has(key)) errors.push(duplicate(`${field}.key`, key));
    keys.add(key);
  }
}

function validateValueExpression(errors: FieldError[], field: string, expression: string, expressions: PolicyExpressions): void {
  const trimmed = expression.trim();
  if (trimmed === "") errors.push(required(field, "valueExpression is not specified"));
  else if (new TextEncoder().encode(trimmed).length > maxValueExpressionBytes)
    errors.push(required(field, `must not exceed ${maxValueExpressionBytes} bytes in length`));
  else expressions(errors, "auditAnnotation", field, expression);
}

function validateMutation(errors: FieldError[], field: string, mutation: Mutation, expressions: PolicyExpressions): void {
  const { patchType } = mutation;
  if (!patchType) errors.push(required(`${field}.patchType`));
  else if (patchType === "JSONPatch" || patchType === "ApplyConfiguration") {
    const [own, other] =
      patchType === "JSONPatch" ? (["jsonPatch", "applyConfiguration"] as const) : (["applyConfiguration", "jsonPatch"] as const);
    const patch = mutation[own];
    if (!patch) errors.push(required(`${field}.${own}`, `must be specified when patchType is ${patchType}`));
    else if (!patch.expression?.trim()) errors.push(required(`${field}.${own}.expression`));
    else expressions(errors, own, `${field}.${own}.expression`, patch.expression);
    if (mutation[other])
      errors.push(invalidValue(`${field}.${other}`, `{${other}}`, `must not be specified when patchType is ${patchType}`));
  } else errors.push(notSupported(`${field}.patchType`, patchType, ["ApplyConfiguration", "JSONPatch"]));
}

/** The expressions that an object has, by what they are for. */
type StoredExpressions = ReadonlyMap<ExpressionPurpose, ReadonlySet<string>>;

interface WithExpressions extends PolicySpec {
  readonly validations?: readonly Validation[];
  readonly auditAnnotations?: readonly AuditAnnotation[];
  readonly mutations?: readonly Mutation[];
}

function storedExpressions(spec: WithExpressions | undefined): StoredExpressions {
  const { matchConditions = [], validations = [], auditAnnotations = [], mutations = [] } = spec ?? {};
  const validating = new Set(validations.map(({ expression }) => expression));
  const texts = (list: readonly (string | undefined)[]): ReadonlySet<string> => new Set(list.filter((text) => text !== undefined));
  return new Map<ExpressionPurpose, ReadonlySet<string>>([
    ["matchCondition", texts(matchConditions.map(({ expression }) => expression))],
    ["validation", validating],
    // Variables are compared with the validations, as upstream has it.
    ["variable", validating],
    ["messageExpression", texts(validations.map(({ messageExpression }) => messageExpression))],
    ["auditAnnotation", texts(auditAnnotations.map(({ valueExpression }) => valueExpression))],
    ["applyConfiguration", texts(mutations.map(({ applyConfiguration }) => applyConfiguration?.expression))],
    // And patches with the configurations that are applied.
    ["jsonPatch", texts(mutations.map(({ applyConfiguration }) => applyConfiguration?.expression))],
  ]);
}

function expressionsOf(spec: PolicySpec, stored: StoredExpressions, check: ExpressionCheck | undefined): PolicyExpressions {
  const { paramKind, variables = [] } = spec;
  const before: Variable[] = [];
  let seen = 0;
  return (errors, purpose, field, expression) => {
    const position = purpose === "variable" ? Number(/\d+/.exec(field)?.[0]) : variables.length;
    for (const variable of purpose === "matchCondition" ? [] : variables.slice(seen, position)) {
      if (variable.expression?.trim()) before.push(variable);
      seen++;
    }
    const use: ExpressionUse = {
      purpose,
      field,
      expression,
      hasParams: paramKind !== undefined,
      paramKind,
      // Conditions are looked at before there are variables.
      variables: purpose === "matchCondition" ? [] : before,
      stored: stored.get(purpose)?.has(expression) ?? false,
    };
    check?.(errors, use);
  };
}

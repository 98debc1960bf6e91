// Evaluates the rules of x-kubernetes-validations on an object and all that is in it: from the outside in, within one budget.
// A rule that compares with the old value runs only where there is one, and what did not change may break rules that do not
// compare (ratcheting).
import { adaptJson } from "../../cel/adapt.ts";
import { CelError, type CelProgram } from "../../cel/cel.ts";
import { CelOptional } from "../../cel/values.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, omittedValue, required } from "../meta/field-error.ts";
import type { RuleCompiler, WarnOfRule } from "../structural/compile-schema.ts";
import type { Correlation } from "../structural/correlation.ts";
import { isJsonObject } from "../structural/json.ts";
import { additionalSchema, itemsSchema, someSchema } from "../structural/schema-walk.ts";
import type { JSONSchemaProps, ValidationRule } from "../types/apiextensions-v1.ts";
import { type CompiledRule, type CompiledRules, compileRulesAt } from "./rule-compiler.ts";

/** Of all rules, for one object. */
const objectBudget = 10_000_000;
const maxMessageBytes = 5 * 1024;

/** Evaluations of rules on one object: what compares nothing costs nothing, and thousands of items may have thousands of rules each. */
const maxEvaluations = 1_000_000;

interface RuleNode {
  readonly schema: JSONSchemaProps;
  readonly rules: () => CompiledRules | undefined;
  readonly properties: ReadonlyMap<string, RuleNode>;
  readonly additional: RuleNode | undefined;
  readonly items: RuleNode | undefined;
  /** Rules of allOf, which are about the same value. */
  readonly allOf: readonly RuleNode[];
}

/** The rules of a schema, compiled where they are first met. */
export const compileSchemaRules: RuleCompiler = (schema) => {
  const root = ruleNode(schema, schema, true);
  if (!root) return undefined;
  return {
    validate(value, { old, field = "", warn } = {}) {
      const run: Run = { errors: [], left: objectBudget, evaluationsLeft: maxEvaluations, warn };
      try {
        validateValue(run, root, { field, value, old, current: old, parent: undefined, isRoot: true });
      } catch (error) {
        if (!(error instanceof RunEnded)) throw error;
      }
      return run.errors;
    },
  };
};

const hasRules = (schema: JSONSchemaProps): boolean => (schema["x-kubernetes-validations"] ?? []).length > 0;

/** `rules` says the rules, `schema` what the values are: they differ inside of allOf. */
function ruleNode(rules: JSONSchemaProps, schema: JSONSchemaProps, isResource: boolean): RuleNode | undefined {
  if (!someSchema(rules, hasRules)) return undefined;
  const child = (childRules: JSONSchemaProps | undefined, of: JSONSchemaProps | undefined): RuleNode | undefined =>
    childRules && of && ruleNode(childRules, of, of["x-kubernetes-embedded-resource"] === true);
  const properties = new Map<string, RuleNode>();
  for (const [name, property] of Object.entries(rules.properties ?? {})) {
    const node = child(property, schema.properties?.[name]);
    if (node) properties.set(name, node);
  }
  let compiled: { readonly rules: CompiledRules | undefined } | undefined;
  return {
    schema,
    rules: () => (compiled ??= { rules: compileRulesAt(schema, isResource, rules["x-kubernetes-validations"] ?? []) }).rules,
    properties,
    additional: child(additionalSchema(rules), additionalSchema(schema)),
    items: child(itemsSchema(rules), itemsSchema(schema)),
    allOf: (rules.allOf ?? []).flatMap((nested) => ruleNode(nested, schema, isResource) ?? []),
  };
}

interface Run {
  readonly errors: FieldError[];
  readonly warn: WarnOfRule | undefined;
  left: number;
  evaluationsLeft: number;
}

/** No more rules are run. */
class RunEnded extends Error {}

interface Place {
  readonly field: string;
  readonly value: unknown;
  /** What the value was. */
  readonly old: Correlation | undefined;
  /** The same where it counts whether the value changed. */
  readonly current: Correlation | undefined;
  /** The same of the nearest value around it that can be told. */
  readonly parent: Correlation | undefined;
  readonly isRoot?: boolean;
}

function validateValue(run: Run, node: RuleNode, place: Place): void {
  const { value, field, isRoot } = place;
  if (value === null || value === undefined) return;
  validateHere(run, node, place);
  for (const nested of node.allOf) validateValue(run, nested, { ...place, current: undefined });
  const below = (name: string | number): Pick<Place, "old" | "current" | "parent"> => {
    const { current, parent } = place;
    const old = partOf(place.old, name);
    return current ? { old, current: partOf(current, name), parent: current } : { old, current, parent };
  };
  if (Array.isArray(value)) {
    if (!node.items) return;
    for (const [i, item] of value.entries()) validateValue(run, node.items, { field: `${field}[${i}]`, value: item, ...below(i) });
  } else if (isJsonObject(value))
    for (const name of Object.keys(value)) {
      const property = node.properties.get(name);
      const child = property ?? node.additional;
      if (!child) continue;
      const at = property ? (field === "" ? name : `${field}.${name}`) : `${field}[${name}]`;
      // Who the object says it is counts as changed: both were converted to this version.
      const isMeta = isRoot && (name === "apiVersion" || name === "kind");
      const uncompared = isMeta ? { current: undefined, parent: undefined } : {};
      validateValue(run, child, { field: at, value: value[name], ...below(name), ...uncompared });
    }
}

const partOf = (of: Correlation | undefined, name: string | number): Correlation | undefined =>
  typeof name === "number" ? of?.item(name) : of?.field(name);

function validateHere(run: Run, node: RuleNode, place: Place): void {
  const compiled = node.rules();
  if (!compiled || compiled.rules.length === 0) return;
  const at = place.field === "" ? "<nil>" : place.field;
  if (run.left <= 0) {
    run.errors.push(invalidValue(at, node.schema.type ?? "", outOfBudget));
    throw new RunEnded();
  }
  const { value } = place;
  const old = place.old?.old ?? undefined;
  for (const rule of compiled.rules) {
    if (rule.problem !== undefined) {
      run.errors.push(invalidValue(at, node.schema.type ?? "", `rule compile error: ${rule.problem}`));
      continue;
    }
    if (!rule.program) continue;
    if (--run.evaluationsLeft < 0) {
      run.errors.push(invalidValue(at, node.schema.type ?? "", outOfBudget));
      throw new RunEnded();
    }
    const isOptional = rule.rule.optionalOldSelf === true;
    if (rule.usesOldSelf && old === undefined && !isOptional) continue;
    const { type } = compiled.type;
    const oldSelf = (): unknown => {
      if (!isOptional) return old ?? null;
      return old === undefined ? CelOptional.none : CelOptional.of(adaptJson(old, type));
    };
    const failure = evaluateRule(run, rule, { at, type: node.schema.type ?? "", value, variables: { self: value, oldSelf } });
    if (!failure) continue;
    // What did not change may break a rule that does not compare.
    const isOld = !rule.usesOldSelf && failure.refuses && (place.current ?? place.parent)?.unchanged === true;
    if (isOld) run.warn?.(failure.error);
    else run.errors.push(failure.error);
  }
}

const outOfBudget = "validation failed due to running out of cost budget, no further validation rules will be run";

interface RuleInput {
  readonly at: string;
  /** The type that the schema says. */
  readonly type: string;
  readonly value: unknown;
  readonly variables: Readonly<Record<string, unknown>>;
}

interface RuleFailure {
  readonly error: FieldError;
  /** The rule is false; otherwise it could not be evaluated. */
  readonly refuses: boolean;
}

function evaluateRule(run: Run, compiled: CompiledRule, { at, type, value, variables }: RuleInput): RuleFailure | undefined {
  const { program, rule, fieldPath } = compiled;
  const end = (detail: string): never => {
    run.errors.push(invalidValue(at, type, detail));
    throw new RunEnded();
  };
  const spend = (cost: number): void => {
    if (cost > run.left) end(outOfBudget);
    run.left -= cost;
  };
  try {
    const { value: result, cost } = (program as CelProgram).evaluate(variables); // there is one: a rule without is left out
    spend(cost);
    if (result === true) return undefined;
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    spend(error.cost);
    return { error: invalidValue(at, type, failureDetail(error, rule, end)), refuses: false };
  }
  const detail = messageOf(run, compiled, variables, end) ?? defaultMessage(rule);
  const where = fieldPath === "" ? at : at === "<nil>" ? fieldPath : `${at}.${fieldPath}`;
  const shown = type === "object" || type === "array" ? omittedValue : value;
  return { error: errorFor(rule, where, shown, detail), refuses: true };
}

function failureDetail(error: CelError, rule: ValidationRule, end: (detail: string) => never): string {
  const text = ruleText(rule);
  if (error.exceededBudget)
    end(`'${error.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${text}`);
  if (error.message.startsWith("no such overload"))
    return `'${error.message}': call arguments did not match a supported operator, function or macro signature for rule: ${text}`;
  return `${error.message} evaluating rule: ${text}`;
}

/** What the message expression says; undefined where there is none, or none that can be used. */
function messageOf(
  run: Run,
  { message, rule }: CompiledRule,
  variables: RuleInput["variables"],
  end: (detail: string) => never,
): string | undefined {
  if (!message) return undefined;
  const spend = (cost: number): void => {
    if (cost > run.left)
      end("messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run");
    run.left -= cost;
  };
  try {
    const { value, cost } = message.evaluate(variables);
    spend(cost);
    const text = typeof value === "string" ? value.trim() : "";
    const usable = text !== "" && !text.includes("\n") && new TextEncoder().encode(text).length <= maxMessageBytes;
    return usable ? text : undefined;
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    spend(error.cost);
    const quoted = JSON.stringify(rule.messageExpression);
    if (error.exceededBudget)
      end(`no further validation rules will be run due to call cost exceeds limit for messageExpression: ${quoted}`);
    return undefined;
  }
}

const ruleText = ({ message = "", rule }: ValidationRule): string => (message === "" ? rule : message).trim();
const defaultMessage = (rule: ValidationRule): string => (rule.message ? rule.message.trim() : `failed rule: ${ruleText(rule)}`);

function errorFor({ reason }: ValidationRule, field: string, value: unknown, detail: string): FieldError {
  switch (reason) {
    case "FieldValueForbidden":
      return forbiddenField(field, detail);
    case "FieldValueRequired":
      return required(field, detail);
    case "FieldValueDuplicate":
      return duplicate(field, value);
    default:
      return invalidValue(field, value, detail);
  }
}

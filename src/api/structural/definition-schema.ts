// The rules that a schema in a definition has to keep beyond being structural: keywords that are not supported, lists and
// maps whose keys are fit to tell items apart, and the rules of x-kubernetes-validations, which have to compile, to be cheap
// enough, and to compare only what can be compared.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, forbiddenField, invalidValue, notSupported } from "../meta/field-error.ts";
import { sentEmptyOf } from "../meta/sent-empty.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { listErrors, listMapKeysErrors } from "./definition-lists.ts";
import { checkRule, ruleForm } from "./definition-rules.ts";
import { costProblem, maxElements, maxRuleCost, type RuleAnalyzer, type TotalCost } from "./rule-analysis.ts";
import { additionalSchema, itemsSchema } from "./schema-walk.ts";

export interface DefinitionSchemaOptions {
  readonly requireKnownTypes: boolean;
  readonly requireAtomicSets: boolean;
  readonly requireFitMapKeys: boolean;
  /** The schema did not change: its rules may cost what they cost. */
  readonly suppressRuleCost: boolean;
}

/** Which rules are looked at, and how often the value they stand at may be there. */
export interface RuleScope {
  readonly analyze: RuleAnalyzer;
  readonly total: TotalCost;
  /** undefined: no limit is known. */
  readonly cardinality: number | undefined;
}

export interface SchemaPlace {
  readonly field: string;
  readonly isRoot: boolean;
  /** Why defaults are not allowed here; undefined: they are. */
  readonly defaultsForbidden?: string | undefined;
  /** In apiVersion, kind or metadata. */
  readonly insideMeta?: boolean;
  /** The outermost part of the schema whose values have no known old ones. */
  readonly uncorrelatable?: string | undefined;
  /** undefined: rules are not looked at. */
  readonly rules?: RuleScope | undefined;
}

/** Problems of rules are told after those of all schemas. */
export interface SchemaErrors {
  readonly schema: FieldError[];
  readonly rules: FieldError[];
}

export function validateDefinitionSchema(schema: JSONSchemaProps, place: SchemaPlace, options: DefinitionSchemaOptions): SchemaErrors {
  const errors: SchemaErrors = { schema: [], rules: [] };
  const { field } = place;
  checkKeywords(errors.schema, schema, place, options);
  if (schema.uniqueItems) {
    const detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
    errors.schema.push(forbiddenField(`${field}.uniqueItems`, detail));
  }
  for (const [child, below] of childrenOf(errors.schema, schema, place)) {
    const found = validateDefinitionSchema(child, below, options);
    appendAll(errors.schema, found.schema);
    appendAll(errors.rules, found.rules);
  }
  appendAll(errors.schema, listErrors(schema, field, options.requireAtomicSets));
  if (options.requireFitMapKeys) appendAll(errors.schema, listMapKeysErrors(schema, field));
  for (const [i, rule] of (schema["x-kubernetes-validations"] ?? []).entries())
    checkRule(errors.schema, schema, rule, `${field}.x-kubernetes-validations[${i}]`);
  if (errors.schema.length === 0 && place.rules) checkCompiledRules(errors.rules, schema, place, options);
  return errors;
}

const types = ["array", "boolean", "integer", "number", "object", "string"];

/** Whether a type is none of OpenAPI. */
export const isUnknownType = ({ type = "" }: JSONSchemaProps): boolean => type !== "" && !types.includes(type);

const unsupportedKeywords = ["additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] as const;

function checkKeywords(errors: FieldError[], schema: JSONSchemaProps, place: SchemaPlace, options: DefinitionSchemaOptions): void {
  const { field } = place;
  const forbid = (keyword: string, detail: string): void => {
    errors.push(forbiddenField(`${field}.${keyword}`, detail));
  };
  if (options.requireKnownTypes && isUnknownType(schema)) errors.push(notSupported(`${field}.type`, schema.type, types));
  if (schema.default !== undefined && schema.default !== null && place.defaultsForbidden !== undefined)
    forbid("default", `must not be set ${place.defaultsForbidden}`);
  if (schema.id) forbid("id", "id is not supported");
  for (const keyword of unsupportedKeywords) {
    const value = schema[keyword] ?? sentEmptyOf(schema, keyword);
    if (value === undefined) continue;
    const empty = typeof value === "object" && Object.keys(value).length === 0;
    if (!empty || keyword === "additionalItems" || keyword === "dependencies") forbid(keyword, `${keyword} is not supported`);
  }
  if (schema.type === "null") forbid("type", "type cannot be set to null, use nullable as an alternative");
  if (Array.isArray(schema.items) && schema.items.length > 0) forbid("items", "items must be a schema object and not an array");
  if (place.insideMeta && schema["x-kubernetes-embedded-resource"])
    forbid("x-kubernetes-embedded-resource", "must not be used inside of resource meta");
}

/** The schemas inside of one, in upstream's order, with where they stand. */
function childrenOf(
  errors: FieldError[],
  schema: JSONSchemaProps,
  place: SchemaPlace,
): readonly (readonly [JSONSchemaProps, SchemaPlace])[] {
  const { field } = place;
  const children: (readonly [JSONSchemaProps, SchemaPlace])[] = [];
  const nested: SchemaPlace = { ...place, isRoot: false };
  const structural: SchemaPlace = { ...nested, rules: childScope(schema, place.rules) };
  const plain: SchemaPlace = { ...nested, rules: undefined };
  const additional = additionalSchema(schema);
  if (schema.additionalProperties !== undefined && schema.additionalProperties !== true && Object.keys(schema.properties ?? {}).length > 0)
    errors.push(forbiddenField(`${field}.additionalProperties`, "additionalProperties and properties are mutual exclusive"));
  if (additional) {
    const reason = place.insideMeta ? "inside additionalProperties applying to object metadata" : place.defaultsForbidden;
    children.push([additional, { ...structural, field: `${field}.additionalProperties`, defaultsForbidden: reason }]);
  }
  appendAll(children, propertiesOf(schema, place, structural));
  if (schema.not) children.push([schema.not, { ...plain, field: `${field}.not` }]);
  for (const keyword of ["allOf", "oneOf", "anyOf"] as const)
    for (const [i, child] of (schema[keyword] ?? []).entries()) children.push([child, { ...plain, field: `${field}.${keyword}[${i}]` }]);
  for (const [name, child] of Object.entries(schema.definitions ?? {}))
    children.push([child, { ...plain, field: `${field}.definitions[${name}]` }]);
  // Items of maps are told apart by their keys; nothing tells those of other lists from what they were.
  const uncorrelatable = schema["x-kubernetes-list-type"] === "map" ? place.uncorrelatable : (place.uncorrelatable ?? field);
  const items = itemsSchema(schema);
  if (items) children.push([items, { ...structural, uncorrelatable, field: `${field}.items` }]);
  else if (Array.isArray(schema.items))
    for (const [i, child] of (schema.items as readonly JSONSchemaProps[]).entries())
      children.push([child, { ...structural, uncorrelatable, field: `${field}.items[${i}]` }]);
  for (const [name, child] of Object.entries(schema.dependencies ?? {}))
    if (!Array.isArray(child)) children.push([child as JSONSchemaProps, { ...plain, field: `${field}.dependencies[${name}]` }]);
  return children;
}

const isMetaField = (name: string): boolean => name === "metadata" || name === "kind" || name === "apiVersion";

function propertiesOf(
  schema: JSONSchemaProps,
  { field, isRoot, uncorrelatable }: SchemaPlace,
  structural: SchemaPlace,
): readonly (readonly [JSONSchemaProps, SchemaPlace])[] {
  const atomic = schema["x-kubernetes-map-type"] === "atomic";
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const meta = (isRoot || schema["x-kubernetes-embedded-resource"] === true) && isMetaField(name);
    const below: SchemaPlace = {
      ...structural,
      field: `${field}.properties[${name}]`,
      uncorrelatable: atomic ? (uncorrelatable ?? field) : uncorrelatable,
      ...(meta ? { insideMeta: true } : {}),
      ...(meta && isRoot ? { defaultsForbidden: `in top-level ${name}` } : {}),
    };
    return [property, below] as const;
  });
}

function childScope(schema: JSONSchemaProps, scope: RuleScope | undefined): RuleScope | undefined {
  if (!scope) return undefined;
  const each = maxElements(schema);
  const { cardinality } = scope;
  return { ...scope, cardinality: cardinality === undefined || each === undefined ? undefined : cardinality * each };
}

function checkCompiledRules(errors: FieldError[], schema: JSONSchemaProps, place: SchemaPlace, options: DefinitionSchemaOptions): void {
  const rules = schema["x-kubernetes-validations"] ?? [];
  const { rules: scope, uncorrelatable } = place;
  if (rules.length === 0 || !scope) return;
  const isResource = place.isRoot || schema["x-kubernetes-embedded-resource"] === true;
  for (const [i, found] of scope.analyze(schema, { isResource }).entries()) {
    const rule = rules[i];
    if (!rule) continue;
    const field = `${place.field}.x-kubernetes-validations[${i}]`;
    const observe = (keyword: string, what: string, cost: number): void => {
      if (!options.suppressRuleCost && cost > maxRuleCost)
        errors.push(forbiddenField(`${field}.${keyword}`, costProblem(what, cost, maxRuleCost)));
      scope.total.add(`${field}.${keyword}`, cost);
    };
    observe("rule", "estimated rule cost", found.cost * (scope.cardinality ?? found.maxCardinality));
    if (found.problem !== undefined) errors.push(invalidValue(`${field}.rule`, ruleForm(rule), found.problem));
    if (found.messageProblem !== undefined) errors.push(invalidValue(`${field}.messageExpression`, ruleForm(rule), found.messageProblem));
    else if (found.messageCost !== undefined) observe("messageExpression", "estimated messageExpression cost", found.messageCost);
    if (found.usesOldSelf) {
      const detail = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelatable}`;
      if (uncorrelatable !== undefined) errors.push(invalidValue(`${field}.rule`, rule.rule, detail));
    } else if (rule.optionalOldSelf !== undefined)
      errors.push(invalidValue(`${field}.optionalOldSelf`, rule.optionalOldSelf, "may not be set if oldSelf is not used in rule"));
  }
}

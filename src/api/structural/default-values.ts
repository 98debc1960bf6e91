// The defaults of a schema: they are what the schema allows, know no unknown fields, and do not break metadata.
import { appendAll } from "../../base/append-all.ts";
import { DecodeError } from "../encode/decode.ts";
import { type FieldError, invalidValue } from "../meta/field-error.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import type { RuleCompiler } from "./compile-schema.ts";
import { Correlation } from "./correlation.ts";
import { coerceEmbedded, validateEmbedded } from "./embedded-resources.ts";
import { isJsonObject, type JsonObject, sameJson } from "./json.ts";
import { pruneObject, pruneValue } from "./prune.ts";
import { additionalSchema, itemsSchema } from "./schema-walk.ts";
import { type StructuralNode, structuralNode } from "./structural-node.ts";
import { asFieldErrors, Findings } from "./value-problem.ts";
import { compileValues } from "./value-schema.ts";

export interface DefaultsOptions {
  /** Default: rules are not run. */
  readonly compileRules?: RuleCompiler | undefined;
  /** Unknown fields in defaults are told. */
  readonly requirePruned: boolean;
}

/** Puts a value at its place in an object that is otherwise empty. */
type Surround = (value: unknown) => unknown;

interface Place {
  readonly field: string;
  /** The resource that the value is part of, made once for all its defaults, and how it is part of it. */
  readonly resource: () => StructuralNode;
  readonly surround: Surround;
  /** In the apiVersion, kind or metadata of a resource. */
  readonly insideMeta: boolean;
}

export function validateDefaults(schema: JSONSchemaProps, field: string, options: DefaultsOptions): FieldError[] {
  const errors: FieldError[] = [];
  const resource = { ...schema, "x-kubernetes-embedded-resource": true };
  validate(errors, resource, { field, resource: nodeOf(resource), surround: (value) => value, insideMeta: false }, options);
  return errors;
}

function nodeOf(schema: JSONSchemaProps): () => StructuralNode {
  let node: StructuralNode | undefined;
  return () => (node ??= structuralNode(schema));
}

function validate(errors: FieldError[], schema: JSONSchemaProps, place: Place, options: DefaultsOptions): void {
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  const here: Place = embedded ? { ...place, resource: nodeOf(schema), surround: (value) => value, insideMeta: false } : place;
  const { default: value } = schema;
  if (value !== undefined && value !== null) validateDefault(errors, schema, value, here, options);
  // Below additionalProperties there are no defaults.
  const items = itemsSchema(schema);
  if (items) validate(errors, items, { ...here, field: `${here.field}.items`, surround: (item) => here.surround([item]) }, options);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const below: Place = {
      ...here,
      field: `${here.field}.properties[${name}]`,
      surround: (part) => here.surround({ [name]: part }),
      insideMeta: here.insideMeta || (embedded && (name === "metadata" || name === "apiVersion" || name === "kind")),
    };
    validate(errors, property, below, options);
  }
}

function validateDefault(errors: FieldError[], schema: JSONSchemaProps, value: unknown, place: Place, options: DefaultsOptions): void {
  const field = `${place.field}.default`;
  const node = structuralNode(schema);
  const before = errors.length;
  if (place.insideMeta) {
    const problem = metadataProblem(value, place);
    if (problem !== undefined) errors.push(invalidValue(field, value, `must result in valid metadata: ${problem}`));
  } else {
    if (options.requirePruned && !sameJson(pruned(node, value), value))
      errors.push(invalidValue(field, value, "must not have unknown fields"));
    const unpruned = errors.length;
    validateEmbeddedDefault(errors, node, value, field);
    if (errors.length > unpruned) return;
  }
  if (place.insideMeta && errors.length > before) return;
  const found = new Findings();
  compileValues(schema, { keepsFormats: true })(value, "", found, undefined);
  appendAll(errors, asFieldErrors(found.problems, field));
  if (!found.hasProblems) validateByRules(errors, schema, node, value, field, options);
}

const pruned = (node: StructuralNode, value: unknown): unknown =>
  node.embedded && isJsonObject(value) ? pruneObject(node, value).object : pruneValue(node, value);

function validateEmbeddedDefault(errors: FieldError[], node: StructuralNode, value: unknown, field: string): void {
  try {
    if (isJsonObject(value)) coerceEmbedded(node, value);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    errors.push(invalidValue(field, value, error.message));
    return;
  }
  validateEmbedded(errors, node, value, field);
}

/** What a default would do to the metadata of the resource around it. */
function metadataProblem(value: unknown, { resource, surround }: Place): string | undefined {
  const around = { apiVersion: "validation/v1", kind: "Validation", ...(surround(value) as JsonObject) };
  const node = resource();
  try {
    coerceEmbedded(node, around);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return error.message;
  }
  const problems: FieldError[] = [];
  validateEmbedded(problems, node, around, "");
  if (problems.length === 0) return undefined;
  const texts = problems.map(({ message }) => message);
  return texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
}

/** A default has to be fit to be written anew and to stay what it is. */
function validateByRules(
  errors: FieldError[],
  schema: JSONSchemaProps,
  node: StructuralNode,
  value: unknown,
  field: string,
  { compileRules }: DefaultsOptions,
): void {
  const rules = compileRules?.(schema, node);
  if (!rules) return;
  const kept = rules.validate(value, { old: new Correlation(node, value, value), field });
  appendAll(errors, kept.length > 0 ? kept : rules.validate(value, { field }));
}

/** Whether a schema has a default with fields that pruning would drop. */
export function hasUnprunedDefaults(schema: JSONSchemaProps): boolean {
  const { default: value, properties = {} } = schema;
  if (value !== undefined && value !== null && !sameJson(pruned(structuralNode(schema), value), value)) return true;
  return [...Object.values(properties), itemsSchema(schema), additionalSchema(schema)].some((child) => child && hasUnprunedDefaults(child));
}

// What the schema of one version of a custom resource does to its objects, compiled once: pruning, defaulting, validation
// of values, and the rules of x-kubernetes-validations. Upstream applies them to what it decodes (a request's body, a stored
// object, the answer of a conversion webhook) in the order of `decode`: defaults first, then unknown fields, then nulls, then
// the metadata of embedded resources. Metadata of the object itself is not looked at here. Objects are never changed; what
// needs no change is shared with the input.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, invalidValue } from "../meta/field-error.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { applyDefaults } from "./apply-defaults.ts";
import { Correlation } from "./correlation.ts";
import { type Coerced, type CoerceOptions, coerceEmbedded, validateEmbedded } from "./embedded-resources.ts";
import type { JsonObject } from "./json.ts";
import { pruneNulls, pruneObject } from "./prune.ts";
import { type StructuralNode, structuralNode } from "./structural-node.ts";
import { validateUniqueLists } from "./unique-lists.ts";
import { asFieldErrors, Findings } from "./value-problem.ts";
import { checkPart, compileValues } from "./value-schema.ts";
import { DefaultsLimit } from "./work-limit.ts";

export interface Pruned {
  readonly object: JsonObject;
  /** Sorted paths of what was dropped: "spec.foo", "spec.list[2].bar". */
  readonly unknown: readonly string[];
}

export interface DecodeOptions extends CoerceOptions {
  /** Fields that the schema does not know are kept (spec.preserveUnknownFields of very old definitions). Default false. */
  readonly preserveUnknownFields?: boolean;
}

export interface CompiledSchema {
  /** All that happens to a decoded object of this version. Throws DecodeError, and StatusError where defaults add too much. */
  decode(object: JsonObject, options?: DecodeOptions): Pruned;
  /** Drops the fields that the schema does not know. apiVersion, kind and metadata of the object stay. */
  prune(object: JsonObject): Pruned;
  /** Fills in defaults; null where null is not allowed becomes the default. */
  applyDefaults<T>(object: T): T;
  /** Decodes the metadata of embedded resources as all metadata is decoded. Throws DecodeError. */
  coerceMetadata(object: JsonObject, options?: CoerceOptions): Coerced;
  /** All problems of a new object, without those of its own metadata. */
  validate(object: JsonObject): readonly FieldError[];
  /** All problems of a changed object; values that did not change may be wrong, and rules that they break are warned of. */
  validateUpdate(object: JsonObject, old: JsonObject, warn?: WarnOfRule): readonly FieldError[];
  /** The same for a write to the status subresource: no values but those of the status are looked at. */
  validateStatusUpdate(object: JsonObject, old: JsonObject, warn?: WarnOfRule): readonly FieldError[];
}

/** Takes what a rule says against a value that did not change. */
export type WarnOfRule = (problem: FieldError) => void;

export interface RuleRun {
  /** What the value was, with how its parts correspond; absent for a new one. */
  readonly old?: Correlation | undefined;
  /** Where the value stands. Default: it is a whole object. */
  readonly field?: string;
  readonly warn?: WarnOfRule | undefined;
}

/** The compiled rules of a schema. */
export interface SchemaRules {
  validate(value: unknown, run?: RuleRun): readonly FieldError[];
}

/** Compiles the rules of a schema; undefined where it has none. */
export type RuleCompiler = (schema: JSONSchemaProps, root: StructuralNode) => SchemaRules | undefined;

export interface CompileOptions {
  /** Default: rules are not run. */
  readonly compileRules?: RuleCompiler;
}

/** Compiles a schema. A version without one knows no fields. */
export function compileSchema(schema: JSONSchemaProps = {}, { compileRules }: CompileOptions = {}): CompiledSchema {
  const root = structuralNode(schema);
  const values = compileValues(schema);
  const statusSchema = schema.properties?.["status"];
  const statusValues = statusSchema && compileValues(statusSchema);
  const rules = compileRules?.(schema, root);

  const others = (errors: FieldError[], object: JsonObject, correlation?: Correlation, warn?: WarnOfRule): readonly FieldError[] => {
    validateLists(errors, root, object, correlation?.old);
    if (!rules) return errors;
    const found = errors.some(keepsFromRules) ? [rulesNotChecked] : rules.validate(object, { old: correlation, warn });
    return [...errors, ...found];
  };

  return {
    decode(object, { preserveUnknownFields = false, ...options } = {}) {
      const filled = applyDefaults(root, object, new DefaultsLimit(options.dropInvalid !== true));
      const pruned = preserveUnknownFields ? { object: filled, unknown: [] } : pruneObject(root, filled);
      const coerced = coerceEmbedded(root, preserveUnknownFields ? pruned.object : pruneNulls(root, pruned.object), options);
      return { object: coerced.object, unknown: [...pruned.unknown, ...coerced.unknown] };
    },
    prune: (object) => pruneObject(root, object),
    applyDefaults: (object) => applyDefaults(root, object, new DefaultsLimit(true)),
    coerceMetadata: (object, options) => coerceEmbedded(root, object, options),
    validate(object) {
      const found = new Findings();
      values(object, "", found, undefined);
      const errors = asFieldErrors(found.problems);
      validateEmbedded(errors, root, object, "");
      return others(errors, object);
    },
    validateUpdate(object, old, warn) {
      const found = new Findings();
      const correlation = new Correlation(root, object, old);
      checkPart(values, object, "", found, correlation);
      const errors = asFieldErrors(found.problems);
      validateEmbedded(errors, root, object, "");
      return others(errors, object, correlation, warn);
    },
    validateStatusUpdate(object, old, warn) {
      const found = new Findings();
      const correlation = new Correlation(root, object, old);
      if (statusValues && Object.hasOwn(object, "status"))
        checkPart(statusValues, object["status"], "", found, correlation.field("status"));
      return others(asFieldErrors(found.problems, "status"), object, correlation, warn);
    },
  };
}

/** Lists whose items were not unique before may stay so. */
function validateLists(errors: FieldError[], root: StructuralNode, object: JsonObject, old: unknown): void {
  if (!root.uniqueLists) return;
  const found: FieldError[] = [];
  validateUniqueLists(found, root, object, "");
  if (found.length === 0) return;
  const before: FieldError[] = [];
  validateUniqueLists(before, root, old, "");
  if (before.length === 0) appendAll(errors, found);
}

const blocking: ReadonlySet<string> = new Set([
  "FieldValueNotSupported",
  "FieldValueRequired",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);

/** Rules may count on the types, sizes and presence of what they read. */
const keepsFromRules = ({ type }: FieldError): boolean => blocking.has(type);

const rulesNotChecked = invalidValue(
  "<nil>",
  null,
  "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
);

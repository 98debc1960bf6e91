// Names of a CustomResourceDefinition, its columns, its scale subresource and its selectable fields.
import { duplicate, type FieldError, invalidValue, required, tooMany } from "../meta/field-error.ts";
import { isDNS1035Label } from "../meta/names.ts";
import { SchemaFieldPathError, schemaFieldPath } from "../structural/schema-field-path.ts";
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionNames,
  CustomResourceSubresources,
  JSONSchemaProps,
  SelectableField,
} from "../types/apiextensions-v1.ts";

/** Names that are there have the form of labels; which have to be there is the spec's to say. */
export function validateDefinitionNames(errors: FieldError[], names: Partial<CustomResourceDefinitionNames>, field: string): void {
  const { plural = "", singular = "", kind = "", listKind = "", shortNames, categories } = names;
  checkLabel(errors, `${field}.plural`, plural);
  checkLabel(errors, `${field}.singular`, singular);
  checkKind(errors, `${field}.kind`, kind);
  checkKind(errors, `${field}.listKind`, listKind);
  for (const [i, name] of (shortNames ?? []).entries()) checkLabel(errors, `${field}.shortNames[${i}]`, name, "asked");
  if (kind !== "" && kind === listKind) errors.push(invalidValue(`${field}.listKind`, listKind, "kind and listKind may not be the same"));
  for (const [i, name] of (categories ?? []).entries()) checkLabel(errors, `${field}.categories[${i}]`, name, "asked");
}

function checkLabel(errors: FieldError[], field: string, name: string, empty: "fine" | "asked" = "fine"): void {
  if (name === "" && empty === "fine") return;
  const problems = isDNS1035Label(name);
  if (problems.length > 0) errors.push(invalidValue(field, name, problems.join(",")));
}

function checkKind(errors: FieldError[], field: string, kind: string): void {
  const problems = kind === "" ? [] : isDNS1035Label(kind.toLowerCase());
  const detail = `may have mixed case, but should otherwise match: ${problems.join(",")}`;
  if (problems.length > 0) errors.push(invalidValue(field, kind, detail));
}

const columnTypes = ["boolean", "date", "integer", "number", "string"];
const columnFormats = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

export function validateColumn(errors: FieldError[], column: CustomResourceColumnDefinition, field: string): void {
  const { name, type, format, jsonPath } = column;
  if (!name) errors.push(required(`${field}.name`));
  const typeDetail = `must be one of ${columnTypes.join()}`;
  if (!type) errors.push(required(`${field}.type`, typeDetail));
  else if (!columnTypes.includes(type)) errors.push(invalidValue(`${field}.type`, type, typeDetail));
  if (format && !columnFormats.includes(format))
    errors.push(invalidValue(`${field}.format`, format, `must be one of ${columnFormats.join()}`));
  if (!jsonPath) errors.push(required(`${field}.JSONPath`));
  else if (!jsonPath.startsWith(".")) errors.push(invalidValue(`${field}.JSONPath`, jsonPath, noDot));
}

const noDot = "must be a simple json path starting with .";

export function validateSubresources(errors: FieldError[], { scale }: CustomResourceSubresources, field: string): void {
  if (!scale) return;
  const check = (name: string, path: string, roots: readonly string[], detail: string): void => {
    const at = `${field}.scale.${name}`;
    if (!path.startsWith(".")) errors.push(invalidValue(at, path, noDot));
    else if (!roots.some((root) => path.startsWith(root))) errors.push(invalidValue(at, path, detail));
  };
  if (!scale.specReplicasPath) errors.push(required(`${field}.scale.specReplicasPath`));
  else check("specReplicasPath", scale.specReplicasPath, [".spec."], "should be a json path under .spec");
  if (!scale.statusReplicasPath) errors.push(required(`${field}.scale.statusReplicasPath`));
  else check("statusReplicasPath", scale.statusReplicasPath, [".status."], "should be a json path under .status");
  if (scale.labelSelectorPath)
    check("labelSelectorPath", scale.labelSelectorPath, [".spec.", ".status."], "should be a json path under either .spec or .status");
}

export const maxSelectableFields = 8;

export interface SelectableFieldsOptions {
  /** There were too many before, and they are the same. */
  readonly allowTooMany: boolean;
}

export function validateSelectableFields(
  errors: FieldError[],
  selectable: readonly SelectableField[],
  schema: JSONSchemaProps,
  field: string,
  { allowTooMany }: SelectableFieldsOptions,
): void {
  const paths = new Set<string>();
  for (const [i, { jsonPath }] of selectable.entries()) {
    const at = `${field}[${i}].jsonPath`;
    if (!jsonPath) {
      errors.push(required(at));
      continue;
    }
    try {
      const found = schemaFieldPath(jsonPath, schema, { allowBrackets: false });
      if (found.root === "metadata") errors.push(invalidValue(at, jsonPath, "must not point to fields in metadata"));
      if (!["string", "boolean", "integer"].includes(found.schema.type ?? "")) errors.push(invalidValue(at, jsonPath, unselectable));
      if (paths.has(found.path)) errors.push(duplicate(at, jsonPath));
      paths.add(found.path);
    } catch (error) {
      if (!(error instanceof SchemaFieldPathError)) throw error;
      errors.push(invalidValue(at, jsonPath, `is an invalid path: ${error.message}`));
    }
  }
  if (paths.size > maxSelectableFields && !allowTooMany) errors.push(tooMany(field, paths.size, maxSelectableFields));
}

const unselectable = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";

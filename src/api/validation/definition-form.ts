// A CustomResourceDefinition as upstream's internal type has it: what all versions agree on stands once, beside the versions,
// and errors name it there. Also the internal form of versions and schemas, which some messages show.
import { semanticallyEqual } from "../meta/equality.ts";
import { ruleForm } from "../structural/definition-rules.ts";
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  JSONSchemaProps,
  SelectableField,
} from "../types/apiextensions-v1.ts";

/** What may stand in each version or, where they are the same, above them. */
export interface VersionParts {
  readonly schema?: JSONSchemaProps | undefined;
  readonly subresources?: CustomResourceSubresources | undefined;
  readonly columns: readonly CustomResourceColumnDefinition[];
  readonly selectableFields: readonly SelectableField[];
}

export interface DefinitionForm {
  readonly shared: VersionParts;
  readonly versions: readonly (VersionParts & { readonly version: CustomResourceDefinitionVersion })[];
}

const noParts: VersionParts = { columns: [], selectableFields: [] };

export function definitionForm(spec: CustomResourceDefinitionSpec): DefinitionForm {
  // A list that was sent empty has been decoded to null.
  const versions = spec.versions ?? [];
  const parts = versions.map(partsOf);
  const [first = noParts] = parts;
  const same = (part: keyof VersionParts): boolean =>
    parts.every((other) => semanticallyEqual(presence(other[part]), presence(first[part])));
  const shares = { schema: same("schema"), subresources: same("subresources"), columns: same("columns"), fields: same("selectableFields") };
  return {
    shared: {
      schema: shares.schema ? first.schema : undefined,
      subresources: shares.subresources ? first.subresources : undefined,
      columns: shares.columns ? first.columns : [],
      selectableFields: shares.fields ? first.selectableFields : [],
    },
    versions: parts.map((own, i) => ({
      version: versions[i] as CustomResourceDefinitionVersion, // parts and versions have the same indexes
      schema: shares.schema ? undefined : own.schema,
      subresources: shares.subresources ? undefined : own.subresources,
      columns: shares.columns ? [] : own.columns,
      selectableFields: shares.fields ? [] : own.selectableFields,
    })),
  };
}

/** An empty object that is there is not one that is absent. */
const presence = (value: unknown): unknown => [value === undefined, value];

function partsOf({ schema, subresources, additionalPrinterColumns, selectableFields }: CustomResourceDefinitionVersion): VersionParts {
  return {
    schema: schema?.openAPIV3Schema,
    subresources,
    columns: additionalPrinterColumns ?? [],
    selectableFields: selectableFields ?? [],
  };
}

/** The versions as messages show them. */
export function versionsForm({ versions }: DefinitionForm): unknown {
  return versions.map(({ version, schema, subresources, columns, selectableFields }) => ({
    Name: version.name ?? "",
    Served: version.served === true,
    Storage: version.storage === true,
    Deprecated: version.deprecated === true,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema: schema ? { OpenAPIV3Schema: schemaForm(schema) } : null,
    Subresources: subresources ? subresourcesForm(subresources) : null,
    AdditionalPrinterColumns: columns.length > 0 ? columns.map(columnForm) : null,
    SelectableFields: selectableFields.length > 0 ? selectableFields.map(({ jsonPath }) => ({ JSONPath: jsonPath })) : null,
  }));
}

function subresourcesForm({ status, scale }: CustomResourceSubresources): unknown {
  const paths = scale && {
    SpecReplicasPath: scale.specReplicasPath,
    StatusReplicasPath: scale.statusReplicasPath,
    LabelSelectorPath: scale.labelSelectorPath ?? null,
  };
  return { Status: status ? {} : null, Scale: paths ?? null };
}

const columnForm = (column: CustomResourceColumnDefinition): unknown => ({
  Name: column.name,
  Type: column.type,
  Format: column.format ?? "",
  Description: column.description ?? "",
  Priority: column.priority ?? 0,
  JSONPath: column.jsonPath,
});

type Show = (value: unknown) => unknown;

const asIs: Show = (value) => value;
const schemas: Show = (value) => (value as readonly JSONSchemaProps[]).map(schemaForm);
/** Maps are shown in the order of their keys. */
const sortedEntries = (map: unknown): [string, never][] =>
  Object.entries(map as Readonly<Record<string, never>>).sort(([a], [b]) => (a < b ? -1 : 1));
const named: Show = (value) => Object.fromEntries(sortedEntries(value).map(([name, schema]) => [name, schemaForm(schema)]));
const one: Show = (value) => schemaForm(value as JSONSchemaProps);
const orBool: Show = (value) => (typeof value === "boolean" ? { Allows: value, Schema: null } : { Allows: true, Schema: one(value) });
const orList: Show = (value) =>
  Array.isArray(value) ? { Schema: null, JSONSchemas: value.map(schemaForm) } : { Schema: one(value), JSONSchemas: null };
const dependencies: Show = (value) =>
  Object.fromEntries(
    sortedEntries(value).map(([name, dependency]) => [
      name,
      Array.isArray(dependency) ? { Schema: null, Property: dependency } : { Schema: one(dependency), Property: null },
    ]),
  );
const docs: Show = (value) => {
  const { description = "", url = "" } = value as { readonly description?: string; readonly url?: string };
  return { Description: description, URL: url };
};

/** Fields of the internal type: its name, the name on the wire, what stands for an absent one, and how one is shown. */
const schemaFields: readonly (readonly [string, keyof JSONSchemaProps, unknown, Show])[] = [
  ["ID", "id", "", asIs],
  ["Schema", "$schema", "", asIs],
  ["Ref", "$ref", null, asIs],
  ["Description", "description", "", asIs],
  ["Type", "type", "", asIs],
  ["Nullable", "nullable", false, asIs],
  ["Format", "format", "", asIs],
  ["Title", "title", "", asIs],
  ["Default", "default", null, asIs],
  ["Maximum", "maximum", null, asIs],
  ["ExclusiveMaximum", "exclusiveMaximum", false, asIs],
  ["Minimum", "minimum", null, asIs],
  ["ExclusiveMinimum", "exclusiveMinimum", false, asIs],
  ["MaxLength", "maxLength", null, asIs],
  ["MinLength", "minLength", null, asIs],
  ["Pattern", "pattern", "", asIs],
  ["MaxItems", "maxItems", null, asIs],
  ["MinItems", "minItems", null, asIs],
  ["UniqueItems", "uniqueItems", false, asIs],
  ["MultipleOf", "multipleOf", null, asIs],
  ["Enum", "enum", null, asIs],
  ["MaxProperties", "maxProperties", null, asIs],
  ["MinProperties", "minProperties", null, asIs],
  ["Required", "required", null, asIs],
  ["Items", "items", null, orList],
  ["AllOf", "allOf", null, schemas],
  ["OneOf", "oneOf", null, schemas],
  ["AnyOf", "anyOf", null, schemas],
  ["Not", "not", null, one],
  ["Properties", "properties", null, named],
  ["AdditionalProperties", "additionalProperties", null, orBool],
  ["PatternProperties", "patternProperties", null, named],
  ["Dependencies", "dependencies", null, dependencies],
  ["AdditionalItems", "additionalItems", null, orBool],
  ["Definitions", "definitions", null, named],
  ["ExternalDocs", "externalDocs", null, docs],
  ["Example", "example", null, asIs],
  ["XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", null, asIs],
  ["XEmbeddedResource", "x-kubernetes-embedded-resource", false, asIs],
  ["XIntOrString", "x-kubernetes-int-or-string", false, asIs],
  ["XListMapKeys", "x-kubernetes-list-map-keys", null, asIs],
  ["XListType", "x-kubernetes-list-type", null, asIs],
  ["XMapType", "x-kubernetes-map-type", null, asIs],
  ["XValidations", "x-kubernetes-validations", null, (rules) => (rules as readonly never[]).map(ruleForm)],
];

/** A schema as messages show it. */
export function schemaForm(schema: JSONSchemaProps): unknown {
  return Object.fromEntries(
    schemaFields.map(([name, keyword, absent, show]) => [name, schema[keyword] === undefined ? absent : show(schema[keyword])]),
  );
}

const rootFields = new Set(
  "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations".split(
    " ",
  ),
);

/** The first keyword that the root of a schema may not have when the status is written apart; undefined where there is none. */
export function misplacedAtRoot(schema: JSONSchemaProps): { readonly keyword: "type" | "other"; readonly allowed: string } | undefined {
  const allowed = `[${[...rootFields].join(" ")}]`;
  for (const [name, keyword] of schemaFields) {
    const value = schema[keyword];
    const absent = value === undefined || value === "" || value === false || (Array.isArray(value) && value.length === 0);
    if (absent && keyword !== "x-kubernetes-preserve-unknown-fields") continue;
    if (keyword === "type") {
      if (schema.type !== "object") return { keyword: "type", allowed };
    } else if (value !== undefined && !rootFields.has(name)) return { keyword: "other", allowed };
  }
  return undefined;
}

// The schema of the built-in API: one linked graph of types made from the generated tables. Everything that must know
// fields (decoding, defaulting, patches, apply, protobuf, OpenAPI) works from these values. A type is linked when it is
// first asked for, so a command that needs none of them pays nothing.
import { tables } from "./generated/all.ts";
import type { FieldFacts, TypeFacts, TypeTable } from "./table.ts";

export type ScalarKind =
  | "string"
  | "bytes" // base64 text in JSON
  | "boolean"
  | "int32"
  | "int64"
  | "double"
  | "time" // RFC 3339, whole seconds
  | "microTime" // RFC 3339, microseconds
  | "quantity" // string; numbers are accepted and become strings
  | "intOrString"
  | "any"; // any JSON value: RawExtension, FieldsV1, JSON

export type ValueType =
  | { readonly kind: ScalarKind; readonly union?: SchemaUnion; readonly typeName?: string }
  | { readonly kind: "object"; readonly schema: ObjectSchema }
  | { readonly kind: "array"; readonly items: ValueType }
  | { readonly kind: "map"; readonly values: ValueType };

/** Where a schema of custom resources may stand, or something else in its place. */
export interface SchemaUnion {
  readonly or: "boolean" | "schemas" | "strings";
  readonly schema: ObjectSchema;
}

export interface FieldSchema {
  readonly name: string;
  readonly type: ValueType;
  readonly required: boolean;
  /** The zero value that upstream always writes for this field, where it does: "", 0, false or {}. Not a semantic default. */
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly listType?: "map" | "set" | "atomic";
  readonly listMapKeys?: readonly string[];
  readonly mapType?: "granular" | "atomic";
  readonly patchMergeKey?: string;
  /** "merge", "replace", "retainKeys", or several joined by commas. */
  readonly patchStrategy?: string;
  /** Field number, "repeated" or "map<…>" and protobuf type; "2/1 …" is field 1 of the message that is field 2. */
  readonly proto?: string;
}

export interface ObjectSchema {
  /** "core-v1.Pod". */
  readonly name: string;
  readonly fields: ReadonlyMap<string, FieldSchema>;
  /** "apps/v1/Deployment"; empty for types that are no kind. */
  readonly kinds: readonly string[];
  readonly mapType?: "granular" | "atomic";
}

const scalarTypes: Readonly<Record<string, ScalarKind>> = {
  string: "string",
  "string:byte": "bytes",
  boolean: "boolean",
  "integer:int32": "int32",
  "integer:int64": "int64",
  "number:double": "double",
  "quantity.Quantity": "quantity",
  "intstr.IntOrString": "intOrString",
  "meta-v1.Time": "time",
  "meta-v1.MicroTime": "microTime",
};

const schemaUnions: Readonly<Record<string, SchemaUnion["or"]>> = {
  "apiextensions-v1.JSONSchemaPropsOrBool": "boolean",
  "apiextensions-v1.JSONSchemaPropsOrArray": "schemas",
  "apiextensions-v1.JSONSchemaPropsOrStringArray": "strings",
};

/** A type that has no fields, and is no value of any form: facts of generated tables do not tell this one from those that are. */
const emptyStruct = "apiextensions-v1.CustomResourceSubresourceStatus";

/** Links tables into schemas; one instance serves a process (`builtInSchemas`). */
export class SchemaSet {
  readonly #types = new Map<string, ObjectSchema>();

  /** The schema of a type such as "core-v1.Pod"; throws for a name that is not in the tables. */
  get(name: string): ObjectSchema {
    const known = this.#types.get(name);
    if (known) return known;
    const facts = factsOf(name);
    if (!facts?.fields) throw new Error(`no object type ${name} in the API schema`);
    const fields = new Map<string, FieldSchema>();
    const schema: ObjectSchema = {
      name,
      fields,
      kinds: facts.kinds ?? [],
      ...(facts.mapType ? { mapType: facts.mapType } : {}),
    };
    this.#types.set(name, schema); // before its fields: types refer to each other in circles
    const required = new Set(facts.required);
    for (const [field, f] of Object.entries(facts.fields)) fields.set(field, this.#field(field, f, required.has(field)));
    return schema;
  }

  #field(name: string, facts: FieldFacts, required: boolean): FieldSchema {
    if (typeof facts === "string") return { name, type: this.#type(facts), required };
    const { type, ...rest } = facts;
    return { name, required, ...rest, type: this.#type(type) };
  }

  #type(text: string): ValueType {
    if (text.startsWith("[")) return { kind: "array", items: this.#type(text.slice(1, -1)) };
    if (text.startsWith("{")) return { kind: "map", values: this.#type(text.slice(1, -1)) };
    const scalar = scalarTypes[text];
    if (scalar) return { kind: scalar };
    const set = this;
    const or = schemaUnions[text];
    if (or) return { kind: "any", union: { or, schema: this.get("apiextensions-v1.JSONSchemaProps") } };
    if (text === "apiextensions-v1.JSON") return { kind: "any", typeName: "v1.JSON" };
    if (text === emptyStruct || factsOf(text)?.scalar === "object")
      return { kind: "object", schema: { name: text, fields: new Map(), kinds: [] } };
    if (!factsOf(text)?.fields) return { kind: "any" };
    return {
      kind: "object",
      get schema() {
        return set.get(text);
      },
    };
  }
}

/** The tables of versions that are off by default, where some are on. */
let optionalTables: Readonly<Record<string, TypeTable>> = {};

/** Makes types known beside those that are always there. They are facts of v1.36: who adds them, and how often, does not matter. */
export function includeOptionalTypes(more: Readonly<Record<string, TypeTable>>): void {
  optionalTables = more;
  byKind = undefined;
}

/** What the tables say of a type such as "core-v1.Pod". */
export function factsOf(name: string): TypeFacts | undefined {
  const dot = name.lastIndexOf(".");
  const module = name.slice(0, dot);
  return (tables[module] ?? optionalTables[module])?.[name.slice(dot + 1)];
}

export const builtInSchemas = new SchemaSet();

let byKind: Map<string, string> | undefined;

/** The schema of a kind, by "v1" or "apps/v1" and "Pod"; undefined for kinds that are not built in. */
export function schemaOfKind(apiVersion: string, kind: string): ObjectSchema | undefined {
  if (!byKind) {
    byKind = new Map();
    for (const [module, table] of [...Object.entries(tables), ...Object.entries(optionalTables)])
      for (const [name, facts] of Object.entries(table))
        for (const k of facts.kinds ?? []) if (!byKind.has(k)) byKind.set(k, `${module}.${name}`);
  }
  const name = byKind.get(`${apiVersion}/${kind}`);
  return name === undefined ? undefined : builtInSchemas.get(name);
}

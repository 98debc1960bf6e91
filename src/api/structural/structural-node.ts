// A schema as pruning, defaulting and the correlation of old and new values see it: the tree of what may be where, without
// the constraints on values. Each node knows whether there is anything to do below it, so that a walk leaves out the rest.
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { additionalSchema, itemsSchema } from "./schema-walk.ts";

export interface StructuralNode {
  readonly type: string;
  readonly properties: Pick<ReadonlyMap<string, StructuralNode>, "get">;
  /** Schema of fields without a name; "any" for `additionalProperties: true`, below which nothing is known. */
  readonly additional: StructuralNode | "any" | undefined;
  readonly items: StructuralNode | undefined;
  readonly preserveUnknown: boolean;
  readonly embedded: boolean;
  readonly nullable: boolean;
  /** undefined: none. A default of null counts as none. */
  readonly defaultValue: unknown;
  /** The length of the default as JSON, with what stands around it. */
  readonly defaultCharacters: number;
  readonly listType: string | undefined;
  readonly listMapKeys: readonly string[];
  readonly mapType: string | undefined;
  /** This node's properties that have a default. */
  readonly defaulted: readonly (readonly [string, StructuralNode])[];
  /** There is a default in this node's children or below. */
  readonly defaultsBelow: boolean;
  /** This node or one below is an embedded resource. */
  readonly embedsResources: boolean;
  /** This node or one below is a list whose items are unique. */
  readonly uniqueLists: boolean;
}

export function structuralNode(schema: JSONSchemaProps, known: KnownFacts = new Map()): StructuralNode {
  const properties = new PropertyNodes(schema.properties, known);
  const { defaultsBelow, embedsResources, uniqueLists } = factsOf(schema, known);
  return {
    type: schema.type ?? "",
    properties,
    additional: additionalNode(schema, known),
    items: itemsNode(schema, known),
    preserveUnknown: schema["x-kubernetes-preserve-unknown-fields"] === true,
    embedded: schema["x-kubernetes-embedded-resource"] === true,
    nullable: schema.nullable === true,
    defaultValue: schema.default ?? undefined,
    defaultCharacters: hasDefault(schema) ? JSON.stringify(schema.default).length + 4 : 0,
    listType: schema["x-kubernetes-list-type"],
    listMapKeys: schema["x-kubernetes-list-map-keys"] ?? noKeys,
    mapType: schema["x-kubernetes-map-type"],
    defaulted: properties.defaulted(),
    defaultsBelow,
    embedsResources,
    uniqueLists,
  };
}

const noKeys: readonly string[] = [];

/** The nodes of declared fields, each made when it is first asked for: objects have a small part of what large schemas declare. */
class PropertyNodes {
  readonly #schemas: Readonly<Record<string, JSONSchemaProps>>;
  #made: Map<string, StructuralNode> | undefined = undefined;

  readonly #known: KnownFacts;

  constructor(schemas: Readonly<Record<string, JSONSchemaProps>> = {}, known: KnownFacts) {
    this.#schemas = schemas;
    this.#known = known;
  }

  get(name: string): StructuralNode | undefined {
    const made = this.#made?.get(name);
    if (made) return made;
    const schema = Object.hasOwn(this.#schemas, name) ? this.#schemas[name] : undefined;
    if (!schema) return undefined;
    const node = structuralNode(schema, this.#known);
    this.#made ??= new Map();
    this.#made.set(name, node);
    return node;
  }

  defaulted(): StructuralNode["defaulted"] {
    const found: [string, StructuralNode][] = [];
    for (const name in this.#schemas) {
      const node = hasDefault(this.#schemas[name]) ? this.get(name) : undefined;
      if (node) found.push([name, node]);
    }
    return found;
  }
}

const hasDefault = (schema: JSONSchemaProps | undefined): boolean => (schema?.default ?? undefined) !== undefined;

type Facts = Pick<StructuralNode, "defaultsBelow" | "embedsResources" | "uniqueLists"> & { readonly parts: number };

/** What is known of the larger parts of a schema: each level of a deep one would look through all below it again. */
type KnownFacts = Map<JSONSchemaProps, Facts>;

/** Schemas of so many parts are remembered: most have fewer. */
const rememberedParts = 64;

/** What there is in a schema or below, without making nodes of it. */
function factsOf(schema: JSONSchemaProps, known: KnownFacts): Facts {
  const remembered = known.get(schema);
  if (remembered) return remembered;
  const listType = schema["x-kubernetes-list-type"];
  const facts = {
    defaultsBelow: false,
    embedsResources: schema["x-kubernetes-embedded-resource"] === true,
    uniqueLists: listType === "set" || listType === "map",
    parts: 1,
  };
  const add = (child: JSONSchemaProps | undefined): void => {
    if (!child) return;
    const below = factsOf(child, known);
    facts.parts += below.parts;
    facts.defaultsBelow ||= below.defaultsBelow || hasDefault(child);
    facts.embedsResources ||= below.embedsResources;
    facts.uniqueLists ||= below.uniqueLists;
  };
  for (const name in schema.properties) add(schema.properties[name]);
  add(additionalSchema(schema));
  add(itemsSchema(schema));
  if (facts.parts >= rememberedParts) known.set(schema, facts);
  return facts;
}

function itemsNode(schema: JSONSchemaProps, known: KnownFacts): StructuralNode | undefined {
  const items = itemsSchema(schema);
  return items && structuralNode(items, known);
}

function additionalNode({ additionalProperties }: JSONSchemaProps, known: KnownFacts): StructuralNode["additional"] {
  if (additionalProperties === undefined) return undefined;
  return typeof additionalProperties === "boolean" ? "any" : structuralNode(additionalProperties, known);
}

/** The schema of a field, where there is one. */
export function fieldNode(node: StructuralNode, field: string): StructuralNode | undefined {
  const property = node.properties.get(field);
  if (property) return property;
  return typeof node.additional === "object" ? node.additional : undefined;
}

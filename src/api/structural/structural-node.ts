// A schema as pruning, defaulting and the correlation of old and new values see it: the tree of what may be where, without
// the constraints on values. Each node knows whether there is anything to do below it, so that a walk leaves out the rest.
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";

export interface StructuralNode {
  readonly type: string;
  readonly properties: ReadonlyMap<string, StructuralNode>;
  /** Schema of fields without a name; "any" for `additionalProperties: true`, below which nothing is known. */
  readonly additional: StructuralNode | "any" | undefined;
  readonly items: StructuralNode | undefined;
  readonly preserveUnknown: boolean;
  readonly embedded: boolean;
  readonly nullable: boolean;
  /** undefined: none. A default of null counts as none. */
  readonly defaultValue: unknown;
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

export function structuralNode(schema: JSONSchemaProps): StructuralNode {
  const properties = new Map<string, StructuralNode>();
  for (const name in schema.properties) {
    const property = schema.properties[name];
    if (property) properties.set(name, structuralNode(property));
  }
  const additional = additionalNode(schema);
  const items = schema.items && !Array.isArray(schema.items) ? structuralNode(schema.items as JSONSchemaProps) : undefined;
  const children = [...properties.values(), additional, items].filter((child) => typeof child === "object");
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  const listType = schema["x-kubernetes-list-type"];
  return {
    type: schema.type ?? "",
    properties,
    additional,
    items,
    preserveUnknown: schema["x-kubernetes-preserve-unknown-fields"] === true,
    embedded,
    nullable: schema.nullable === true,
    defaultValue: schema.default ?? undefined,
    listType,
    listMapKeys: schema["x-kubernetes-list-map-keys"] ?? [],
    mapType: schema["x-kubernetes-map-type"],
    defaulted: [...properties].filter(([, property]) => property.defaultValue !== undefined),
    defaultsBelow: children.some((child) => child.defaultsBelow || child.defaultValue !== undefined),
    embedsResources: embedded || children.some((child) => child.embedsResources),
    uniqueLists: listType === "set" || listType === "map" || children.some((child) => child.uniqueLists),
  };
}

function additionalNode({ additionalProperties }: JSONSchemaProps): StructuralNode["additional"] {
  if (additionalProperties === undefined) return undefined;
  return typeof additionalProperties === "boolean" ? "any" : structuralNode(additionalProperties);
}

/** The schema of a field, where there is one. */
export function fieldNode(node: StructuralNode, field: string): StructuralNode | undefined {
  const property = node.properties.get(field);
  if (property) return property;
  return typeof node.additional === "object" ? node.additional : undefined;
}

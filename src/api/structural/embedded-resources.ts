// Whole objects inside of a custom object (x-kubernetes-embedded-resource): their apiVersion, kind and metadata have the
// types that they have at the root of an object.
import { DecodeError } from "../encode/decode.ts";
import { FieldError, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1035Label, isPathSegmentName, isPathSegmentPrefix } from "../meta/names.ts";
import type { KubernetesObject } from "../meta/object.ts";
import type { ObjectMeta } from "../types/meta-v1.ts";
import { validateObjectMeta } from "../validation/object-meta.ts";
import { isJsonObject, type JsonObject, sortedJson } from "./json.ts";
import { decodeMetadata, readMetadata } from "./object-metadata.ts";
import type { StructuralNode } from "./structural-node.ts";
import { UnknownFields } from "./unknown-fields.ts";

export interface CoerceOptions {
  /** Leaves malformed fields out (objects from storage) instead of refusing them. Default false. */
  readonly dropInvalid?: boolean;
}

export interface Coerced {
  readonly object: JsonObject;
  /** Fields that metadata does not have. */
  readonly unknown: readonly string[];
}

/** Decodes the metadata of embedded resources. Throws DecodeError. */
export function coerceEmbedded(root: StructuralNode, object: JsonObject, { dropInvalid = false }: CoerceOptions = {}): Coerced {
  if (!root.embedsResources) return { object, unknown: [] };
  const unknown = new UnknownFields();
  const coerced = coerce(root, object, "", { dropInvalid, unknown }) as JsonObject;
  return { object: coerced, unknown: unknown.sorted() };
}

interface Coercion {
  readonly dropInvalid: boolean;
  readonly unknown: UnknownFields;
}

function coerce(node: StructuralNode | undefined, value: unknown, path: string, coercion: Coercion): unknown {
  if (!node?.embedsResources || typeof value !== "object" || value === null) return value;
  if (isJsonObject(value)) return coerceFields(node, value, path, coercion);
  const items = value as readonly unknown[];
  const coerced = items.map((item, i) => coerce(node.items, item, `${path}[${i}]`, coercion));
  return coerced.every((item, i) => item === items[i]) ? items : coerced;
}

function coerceFields(node: StructuralNode, object: JsonObject, path: string, coercion: Coercion): JsonObject {
  let output: Record<string, unknown> | undefined;
  for (const [field, given] of Object.entries(object)) {
    let value = node.embedded ? coerceMetaField(field, given, path, coercion) : given;
    const property = node.properties.get(field);
    if (property) value = coerce(property, value, child(path, field), coercion);
    else if (typeof node.additional === "object") value = coerce(node.additional, value, `${path}[${field}]`, coercion);
    if (value === given) continue;
    output ??= { ...object };
    if (value === undefined) delete output[field];
    else output[field] = value;
  }
  return output ?? object;
}

/** A field of an embedded resource as it may stay; undefined: not at all. */
function coerceMetaField(field: string, value: unknown, path: string, coercion: Coercion): unknown {
  if (field === "apiVersion" || field === "kind") {
    if (typeof value === "string") return value;
    if (coercion.dropInvalid) return undefined;
    throw new DecodeError(invalidValue(child(path, field), sortedJson(value), "must be a string").message);
  }
  return field === "metadata" ? coerceMetadata(value, child(path, field), coercion) : value;
}

function coerceMetadata(value: unknown, path: string, { dropInvalid, unknown }: Coercion): unknown {
  if (dropInvalid) return readMetadata(value);
  try {
    const decoded = decodeMetadata(value);
    for (const field of decoded.unknown) unknown.add(`${path}.${field}`);
    return decoded.object;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new DecodeError(invalidValue(path, sortedJson(value), error.message).message);
  }
}

/** Problems of the apiVersion, kind and metadata of embedded resources. */
export function validateEmbedded(errors: FieldError[], node: StructuralNode | undefined, value: unknown, path: string): void {
  if (!node?.embedsResources || typeof value !== "object" || value === null) return;
  if (!isJsonObject(value)) {
    for (const [i, item] of (value as readonly unknown[]).entries()) validateEmbedded(errors, node.items, item, `${path}[${i}]`);
    return;
  }
  if (node.embedded) validateMetaFields(errors, value, path);
  for (const field in value) {
    const property = node.properties.get(field);
    if (property) validateEmbedded(errors, property, value[field], child(path, field));
    else if (typeof node.additional === "object") validateEmbedded(errors, node.additional, value[field], `${path}[${field}]`);
  }
}

function validateMetaFields(errors: FieldError[], object: JsonObject, path: string): void {
  for (const field of ["apiVersion", "kind"] as const) {
    const value = object[field];
    const at = child(path, field);
    if (value === undefined) errors.push(required(at));
    else if (typeof value !== "string") errors.push(invalidValue(at, sortedJson(value), "must be a string"));
    else if (value === "") errors.push(invalidValue(at, value, "must not be empty"));
    else for (const problem of typeProblems[field](value)) errors.push(invalidValue(at, value, problem));
  }
  if (object["metadata"] !== undefined) validateMetadata(errors, object["metadata"], child(path, "metadata"));
}

const typeProblems = {
  apiVersion: (value: string): readonly string[] => (value.split("/").length > 2 ? [`unexpected GroupVersion string: ${value}`] : []),
  kind: (value: string): readonly string[] => {
    const problems = isDNS1035Label(value.toLowerCase());
    return problems.length > 0 ? [`may have mixed case, but should otherwise match: ${problems.join(",")}`] : [];
  },
};

function validateMetadata(errors: FieldError[], value: unknown, path: string): void {
  let metadata: Partial<ObjectMeta>;
  try {
    metadata = decodeMetadata(value).object as Partial<ObjectMeta>;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    errors.push(invalidValue(path, sortedJson(value), error.message));
    return;
  }
  const { name, namespace } = metadata;
  // Something has to be there to be checked; a name is not asked for.
  const object = { metadata: { ...metadata, name: name || "fakename" } } as unknown as KubernetesObject;
  const rules = { namespaced: !!namespace, validateName: pathSegment, qualifiedFinalizers: false };
  for (const { type, field, value: found, detail } of validateObjectMeta(object, rules))
    errors.push(new FieldError(type, path + field.slice("metadata".length), found, detail));
}

const pathSegment = (name: string, prefix: boolean): readonly string[] => (prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name));

const child = (path: string, field: string): string => (path === "" ? field : `${path}.${field}`);

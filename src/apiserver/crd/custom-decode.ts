// Reading custom objects: metadata is of the type that all objects have, all else is what the schema of the version knows.
// In requests, wrong metadata is refused and unknown fields are told; in what is stored they are left out.
import { DecodeError, decodeObject } from "../../api/encode/decode.ts";
import { withPlainNumbers } from "../../api/encode/json-text.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { CompiledSchema, DecodeOptions } from "../../api/structural/compile-schema.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Decodes a parsed body. Throws DecodeError for metadata that is not, its own or that of embedded resources. */
export function decodeCustom(
  schema: CompiledSchema,
  value: unknown,
  options?: DecodeOptions,
): { readonly object: Fields; readonly unknown: readonly string[] } {
  const { object, unknown } = withDecodedMetadata(withPlainNumbers(value) as Fields);
  const decoded = schema.decode(object, options);
  return { object: decoded.object, unknown: [...unknown, ...decoded.unknown] };
}

/**
 * Decodes what applying has made of an object: it gets its defaults, but what was applied is not left out where its schema does
 * not allow it, such as null. Throws DecodeError.
 */
export function decodeApplied(schema: CompiledSchema, value: unknown): Fields {
  return schema.applyDefaults(withDecodedMetadata(value as Fields).object);
}

function withDecodedMetadata(sent: Fields): { readonly object: Fields; readonly unknown: readonly string[] } {
  const { metadata, ...rest } = sent;
  if (metadata === undefined || metadata === null) return { object: rest, unknown: [] };
  const { object, unknown } = decodeMetadata(metadata);
  return { object: { ...rest, metadata: object }, unknown };
}

function decodeMetadata(value: unknown): { readonly object: Fields; readonly unknown: readonly string[] } {
  if (typeof value !== "object" || Array.isArray(value)) {
    const found = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
    throw new DecodeError(`json: cannot unmarshal ${found} into Go value of type v1.ObjectMeta`);
  }
  const { object, unknown } = decodeObject(builtInSchemas.get("meta-v1.ObjectMeta"), value);
  return { object, unknown: unknown.map((path) => `metadata.${path}`) };
}

// Reading custom objects: metadata is of the type that all objects have, all else is what the schema of the version knows.
// In requests, wrong metadata is refused and unknown fields are told; in what is stored they are left out.
import { withPlainNumbers } from "../../api/encode/json-text.ts";
import type { CompiledSchema, DecodeOptions } from "../../api/structural/compile-schema.ts";
import type { JsonObject } from "../../api/structural/json.ts";
import { decodeMetadata } from "../../api/structural/object-metadata.ts";

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
  return withDefaults(schema, withDecodedMetadata(value as Fields).object as JsonObject);
}

/** A decoded object with its defaults; what they say of the metadata of embedded resources that metadata does not have is left out. */
export function withDefaults<T extends object>(schema: CompiledSchema, object: T): T {
  const filled = schema.applyDefaults(object);
  return filled === object ? object : (schema.coerceMetadata(filled as unknown as JsonObject).object as unknown as T);
}

function withDecodedMetadata(sent: Fields): { readonly object: Fields; readonly unknown: readonly string[] } {
  const { metadata, ...rest } = sent;
  if (metadata === undefined || metadata === null) return { object: rest, unknown: [] };
  const { object, unknown } = decodeMetadata(metadata);
  return { object: { ...rest, metadata: object }, unknown: unknown.map((path) => `metadata.${path}`) };
}

// Metadata of custom objects and of the objects embedded in them: it has the type that all metadata has, whatever schemas say.
import { DecodeError, decodeObject } from "../encode/decode.ts";
import { builtInSchemas } from "../schema/schema.ts";
import { isJsonObject, type JsonObject } from "./json.ts";

export interface DecodedMetadata {
  readonly object: JsonObject;
  /** Fields that metadata does not have. */
  readonly unknown: readonly string[];
}

/** Decodes metadata. Throws DecodeError, with Go's text, where it or a field of it is of a wrong type. */
export function decodeMetadata(value: unknown): DecodedMetadata {
  if (value === null || isJsonObject(value)) return decodeObject(builtInSchemas.get("meta-v1.ObjectMeta"), value);
  const found = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  throw new DecodeError(`json: cannot unmarshal ${found} into Go value of type v1.ObjectMeta`);
}

/** Metadata as it comes out of storage: without the fields that cannot be decoded. What is not an object stays as it is. */
export function readMetadata(value: unknown): unknown {
  try {
    return decodeMetadata(value).object;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return isJsonObject(value) ? decodableFields(value) : value;
  }
}

function decodableFields(metadata: JsonObject): JsonObject {
  const kept: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(metadata)) {
    try {
      Object.assign(kept, decodeMetadata({ [field]: value }).object);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }
  return kept;
}

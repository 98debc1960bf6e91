// How custom objects lie in storage and how they come back, upstream's order: what is read is decoded by the schema of the
// version it was stored in (defaults, unknown fields, malformed metadata left out), then converted to the version that is
// served, and then has the fields of that version only; its defaults are for requests. What is written is converted to the
// storage version, and has the fields of that.
import { DecodeError } from "../../api/encode/decode.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import type { CompiledSchema } from "../../api/structural/compile-schema.ts";
import type { JsonObject } from "../../api/structural/json.ts";
import { readMetadata } from "../../api/structural/object-metadata.ts";
import type { CustomResourceDefinition, JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { ResourceDefinition } from "../registry/resource-definition.ts";
import type { ObjectConverter } from "./conversion-webhook.ts";
import { ConversionError } from "./convert-objects.ts";

/** The compiled schemas of a definition's versions, each compiled when it is first asked for. */
export interface VersionSchemas {
  /** Whether there is such a version, by its apiVersion. */
  has(apiVersion: string): boolean;
  of(apiVersion: string): CompiledSchema;
  /** Unknown fields stay (definitions of the time before pruning). */
  readonly preserveUnknownFields: boolean;
}

export function versionSchemas(
  { group, versions, preserveUnknownFields = false }: CustomResourceDefinition["spec"],
  compile: (schema: JSONSchemaProps | undefined) => CompiledSchema,
): VersionSchemas {
  const sources = new Map(versions.map(({ name, schema }) => [apiVersionOf({ group, version: name }), schema?.openAPIV3Schema]));
  const compiled = new Map<string, CompiledSchema>();
  return {
    preserveUnknownFields,
    has: (apiVersion) => sources.has(apiVersion),
    of(apiVersion) {
      let schema = compiled.get(apiVersion);
      if (!schema) compiled.set(apiVersion, (schema = compile(sources.get(apiVersion))));
      return schema;
    },
  };
}

export interface CustomStorageOptions {
  /** apiVersion of what is served, and of what is stored now. */
  readonly served: string;
  readonly stored: string;
  readonly schemas: VersionSchemas;
  /** undefined: versions differ in their names only. */
  readonly convert: ObjectConverter | undefined;
}

type Storage = Omit<NonNullable<ResourceDefinition["sharesStorageOf"]>, "type">;

export function customStorage({ served, stored, schemas, convert }: CustomStorageOptions): Storage {
  const { preserveUnknownFields } = schemas;
  const decoded = (object: KubernetesObject): KubernetesObject => {
    const { apiVersion } = object;
    if (!schemas.has(apiVersion)) throw conversionFailed(`request to convert CR from an invalid group/version: ${apiVersion}`);
    const options = { dropInvalid: true, preserveUnknownFields };
    return withGeneration(asObject(schemas.of(apiVersion).decode(fieldsOf(withReadMetadata(object)), options).object));
  };
  const fitted = (object: KubernetesObject, apiVersion: string): KubernetesObject => fitTo(schemas, object, apiVersion);
  const fromStored = (object: KubernetesObject): KubernetesObject => {
    const found = decoded(object);
    return found.apiVersion === served ? found : fitted(inVersion(found, served), served);
  };
  const toStored = (object: KubernetesObject): KubernetesObject =>
    object.apiVersion === stored ? object : fitted(inVersion(object, stored), stored);
  // Where nothing but the schema of what is served was at work, it changed the object.
  const isOutdated = ({ apiVersion }: KubernetesObject, isChanged: boolean): boolean =>
    apiVersion !== stored || (isChanged && served === stored);
  if (!convert) return { fromStored, toStored, isOutdated };
  const converted = async (objects: readonly KubernetesObject[], apiVersion: string): Promise<readonly KubernetesObject[]> => {
    try {
      return (await convert(objects, apiVersion)).map((object) => fitted(object, apiVersion));
    } catch (error) {
      throw error instanceof ConversionError ? conversionFailed(error.message) : error;
    }
  };
  return {
    fromStored,
    toStored,
    isOutdated,
    conversion: {
      isNeeded: ({ apiVersion }) => apiVersion !== served,
      fromStored: (objects) => converted(objects.map(decoded), served),
      async toStored(object) {
        if (object.apiVersion === stored) return object;
        const [result] = await converted([object], stored);
        if (!result) throw conversionFailed("conversion gave no object");
        return result;
      },
    },
  };
}

/** Upstream has no reason for these errors. */
const conversionFailed = (message: string): StatusError => new StatusError({ code: 500, message });

/** An object that was converted, with what its version knows. */
function fitTo(schemas: VersionSchemas, object: KubernetesObject, apiVersion: string): KubernetesObject {
  if (schemas.preserveUnknownFields) return object;
  const schema = schemas.of(apiVersion);
  try {
    return asObject(schema.coerceMetadata(schema.prune(fieldsOf(object)).object).object);
  } catch (error) {
    if (error instanceof DecodeError) throw conversionFailed(error.message);
    throw error;
  }
}

const inVersion = (object: KubernetesObject, apiVersion: string): KubernetesObject =>
  object.apiVersion === apiVersion ? object : { ...object, apiVersion };

/** Metadata has its own type, whatever somebody has written into the store. */
function withReadMetadata(object: KubernetesObject): KubernetesObject {
  const metadata = readMetadata(object.metadata) as ObjectMeta;
  return metadata === object.metadata ? object : { ...object, metadata };
}

/** Objects of the time before generations were counted. */
function withGeneration(object: KubernetesObject): KubernetesObject {
  const { metadata } = object;
  return metadata.generation === undefined || metadata.generation === 0 ? { ...object, metadata: { ...metadata, generation: 1 } } : object;
}

/** An object seen as what it is made of, and back. */
const fieldsOf = (object: KubernetesObject): JsonObject => object as unknown as JsonObject;
const asObject = (fields: JsonObject): KubernetesObject => fields as unknown as KubernetesObject;

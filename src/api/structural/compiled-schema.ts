// What the schema of one version of a custom resource does to its objects, compiled once: pruning, defaulting, validation
// of values, and the rules of x-kubernetes-validations. The order in which upstream applies them to what it decodes (a
// request's body, a stored object, the answer of a conversion webhook) is that of `decode`: defaults first, then unknown
// fields, then nulls, then the metadata of embedded resources. Metadata of the object itself is not looked at here.
import type { FieldError } from "../meta/field-error.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";

/** An object of a custom resource: plain JSON, never changed. */
export type CustomObject = Readonly<Record<string, unknown>>;

export interface PrunedObject {
  /** The same reference where nothing was dropped. */
  readonly object: CustomObject;
  /** Sorted paths of what was dropped: "spec.foo", "spec.list[2].bar". Strict decoding says `unknown field "spec.foo"` of each. */
  readonly unknownFields: readonly string[];
}

export interface CoerceOptions {
  /** Malformed apiVersion, kind and metadata of embedded resources are dropped (objects from storage) instead of refused. Default false. */
  readonly dropInvalid?: boolean;
}

export interface DecodeOptions extends CoerceOptions {
  /** Fields that the schema does not know are kept (spec.preserveUnknownFields of very old definitions). Default false. */
  readonly preserveUnknownFields?: boolean;
}

export interface CompiledSchema {
  readonly schema: JSONSchemaProps;
  /** Everything that happens to an object of this version that was decoded: defaults, pruning, nulls, embedded metadata. Throws EmbeddedMetadataError. */
  decode(object: CustomObject, options?: DecodeOptions): PrunedObject;
  /** Drops the fields that the schema does not know. apiVersion, kind and metadata of the object stay. */
  prune(object: CustomObject): PrunedObject;
  /** Fills in defaults; null where null is not allowed becomes the default. */
  applyDefaults(object: CustomObject): CustomObject;
  /** Drops nulls where null is not allowed and there is no default. */
  pruneNulls(object: CustomObject): CustomObject;
  /** Decodes the metadata of embedded resources as metadata is decoded: unknown fields of it are dropped and reported. Throws EmbeddedMetadataError. */
  coerceMetadata(object: CustomObject, options?: CoerceOptions): PrunedObject;
  /** All problems of a new object, without those of its own metadata. `found`: problems that were found before; some of them keep rules from running. */
  validate(object: CustomObject, found?: readonly FieldError[]): readonly FieldError[];
  /** All problems of a changed object; what did not change may be wrong. */
  validateUpdate(object: CustomObject, old: CustomObject, found?: readonly FieldError[]): readonly FieldError[];
  /** The same for a write to the status subresource: values outside of status are not checked. */
  validateStatusUpdate(object: CustomObject, old: CustomObject, found?: readonly FieldError[]): readonly FieldError[];
}

/** Metadata of an embedded resource that cannot be decoded; the message begins with the field: `spec.t.kind: Invalid value: …`. A bad request. */
export class EmbeddedMetadataError extends Error {
  readonly field: FieldError;

  constructor(field: FieldError) {
    super(field.message);
    this.name = "EmbeddedMetadataError";
    this.field = field;
  }
}

// What the schema of a custom resource's version does with its objects. Compiled when first needed: a definition that nobody
// uses costs nothing but its own text.
import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface CustomSchema {
  /** The same object where nothing is unknown. `unknown`: paths of what has been taken away. */
  prune(object: Fields): { readonly object: Fields; readonly unknown: readonly string[] };
  /** The same object where nothing was missing. */
  applyDefaults<T extends KubernetesObject>(object: T): T;
  validate(object: KubernetesObject): readonly FieldError[];
  validateUpdate(object: KubernetesObject, old: KubernetesObject): readonly FieldError[];
}

export type SchemaCompiler = (schema: JSONSchemaProps | undefined) => CustomSchema;

export const compileCustomSchema: SchemaCompiler = () => anySchema;

/** Takes everything: what objects without a schema have. */
export const anySchema: CustomSchema = {
  prune: (object) => ({ object, unknown: [] }),
  applyDefaults: (object) => object,
  validate: () => [],
  validateUpdate: () => [],
};

// Compiles the schema of a version of a custom resource. `loadCompiledSchema` is what servers use: it loads what evaluates
// expressions only for a schema that has rules.
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import type { CompiledSchema } from "./compiled-schema.ts";

/** Compiles a schema, with its rules if it has any. `undefined`: a version without a schema, which knows no field at all. */
export declare function loadCompiledSchema(schema: JSONSchemaProps | undefined): Promise<CompiledSchema>;

/** Compiles a schema without its rules. */
export declare function compileSchema(schema: JSONSchemaProps | undefined): CompiledSchema;

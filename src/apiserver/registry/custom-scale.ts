// The scale subresource of custom resources: the fields it shows and writes lie where the definition says.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { internalError, StatusError } from "../../api/meta/status-error.ts";
import { goText } from "../../api/patch/strategic-merge-patch.ts";
import { isJsonObject, type JsonObject } from "../../api/structural/json.ts";
import type { ScalePaths } from "./resource-definition.ts";
import type { Scale } from "./scale.ts";

/** What was looked for at a path of field names; the problem where it is of another type, or what is on the way is no object. */
export type Nested<T> =
  | { readonly value: T | undefined; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: string };

const isCount = (value: unknown): value is number => Number.isInteger(value);
const isText = (value: unknown): value is string => typeof value === "string";

/** An integer that lies at a path. */
export const countAt = (object: unknown, path: readonly string[]): Nested<number> => nestedAt(object, path, isCount, "int64");

/** A text that lies at a path. */
export const textAt = (object: unknown, path: readonly string[]): Nested<string> => nestedAt(object, path, isText, "string");

function nestedAt<T>(object: unknown, path: readonly string[], is: (value: unknown) => value is T, expected: string): Nested<T> {
  let value = object;
  for (const [i, field] of path.entries()) {
    if (value === null || value === undefined) return { value: undefined };
    if (!isJsonObject(value)) return { problem: accessorError(path.slice(0, i + 1), value, "map[string]interface{}") };
    if (!Object.hasOwn(value, field)) return { value: undefined };
    value = value[field];
  }
  return is(value) ? { value } : { problem: accessorError(path, value, expected) };
}

const accessorError = (path: readonly string[], value: unknown, expected: string): string =>
  `.${path.join(".")} accessor error: ${goText(value)} is of the type ${goTypeOf(value)}, expected ${expected}`;

function goTypeOf(value: unknown): string {
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "object") return "map[string]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** The object with another value at a path. Throws 500 where what is on the way is no object. */
export function withValueAt(object: object, path: readonly string[], value: unknown, passed: readonly string[] = []): KubernetesObject {
  const [field = "", ...rest] = path;
  if (rest.length === 0) return { ...object, [field]: value } as unknown as KubernetesObject;
  const way = [...passed, field];
  const below = Object.hasOwn(object, field) ? (object as JsonObject)[field] : {};
  if (!isJsonObject(below)) throw plainError(`value cannot be set because .${way.join(".")} is not a map[string]interface{}`);
  return { ...object, [field]: withValueAt(below, rest, value, way) } as unknown as KubernetesObject;
}

/** Upstream has no reason for these errors. */
const plainError = (message: string): StatusError => new StatusError({ code: 500, message });

function mustHave<T>(nested: Nested<T>): T | undefined {
  if (nested.problem !== undefined) throw plainError(nested.problem);
  return nested.value;
}

/** A custom object's Scale. Throws 500 where the object does not say how many it wants, unless it is about to, or has something else there. */
export function customScaleOf(object: KubernetesObject, paths: ScalePaths, mayBeUnset = false): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = mustHave(countAt(object, paths.specReplicas));
  const count = mustHave(countAt(object, paths.statusReplicas)) ?? 0;
  const selector = paths.selector && mustHave(textAt(object, paths.selector));
  if (replicas === undefined && !mayBeUnset)
    throw internalError(new Error(`the spec replicas field ".${paths.specReplicas.join(".")}" does not exist`));
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
    spec: replicas ? { replicas: replicas | 0 } : {}, // cut to 32 bits, as in Go
    status: { replicas: count | 0, ...(selector ? { selector } : {}) },
  };
}

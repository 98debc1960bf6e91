// The scale subresource of custom resources: the fields it shows and writes lie where the definition says.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { internalError } from "../../api/meta/status-error.ts";
import { isJsonObject, type JsonObject } from "../../api/structural/json.ts";
import type { ScalePaths } from "./resource-definition.ts";
import type { Scale } from "./scale.ts";

/** What lies at a path of field names. */
export function valueAt(object: unknown, path: readonly string[]): unknown {
  let value = object;
  for (const field of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, field)) return undefined;
    value = value[field];
  }
  return value;
}

/** The object with another value at a path; what is on the way and is no object is replaced by one. */
export function withValueAt(object: object, path: readonly string[], value: unknown): KubernetesObject {
  const [field = "", ...rest] = path;
  const below = (object as JsonObject)[field];
  const set = rest.length === 0 ? value : withValueAt(isJsonObject(below) ? below : {}, rest, value);
  return { ...object, [field]: set } as unknown as KubernetesObject;
}

const countAt = (object: KubernetesObject, path: readonly string[]): number | undefined => {
  const value = valueAt(object, path);
  return typeof value === "number" ? value : undefined;
};

/** A custom object's Scale. Throws 500 where the object does not say how many it wants, unless it is about to. */
export function customScaleOf(object: KubernetesObject, paths: ScalePaths, mayBeUnset = false): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = countAt(object, paths.specReplicas);
  if (replicas === undefined && !mayBeUnset)
    throw internalError(new Error(`the spec replicas field ".${paths.specReplicas.join(".")}" does not exist`));
  const selector = paths.selector && valueAt(object, paths.selector);
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion, creationTimestamp },
    spec: replicas ? { replicas } : {},
    status: {
      replicas: countAt(object, paths.statusReplicas) ?? 0,
      ...(typeof selector === "string" && selector !== "" ? { selector } : {}),
    },
  };
}

// The other versions of a kind in which owners may have named their fields. Those of a custom resource have the same fields,
// as far as their schemas know them, and count while their definition has them; where a webhook converts between them,
// ownership does not wait for it: their fields count as those of the version that is written. Those of a built-in kind count
// while they are served.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { OtherVersion, OtherVersions } from "../../api/patch/managed-fields/other-versions.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { resetBy, shapeOfDefinition } from "./field-management.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { ResourceStores } from "./stores.ts";

export function ownerVersions(stores: ResourceStores, { definition, type }: ResourceStore, subresource: string): OtherVersions {
  return (apiVersion) => {
    if (definition.custom) return customVersion(definition, apiVersion, subresource);
    // Another group's objects (events.k8s.io on events) are not a version of these.
    const [version, group = ""] = apiVersion.split("/").reverse();
    const other = group === type.group ? stores.find(group, version ?? "", type.resource) : undefined;
    return other && builtInVersion(definition, other.definition, subresource);
  };
}

function customVersion(definition: ResourceDefinition, apiVersion: string, subresource: string): OtherVersion | undefined {
  const known = definition.custom?.shapeIn(apiVersion);
  if (!known) return undefined;
  const shape = definition.sharesStorageOf?.conversion ? shapeOfDefinition(definition) : known;
  const own = apiVersionOf(definition.type);
  const resetFields = resetBy(definition, subresource);
  return {
    shape,
    ...(resetFields ? { resetFields } : {}),
    convert: (object) => ({ ...(object as KubernetesObject), apiVersion }),
    convertBack: (object) => ({ ...(object as KubernetesObject), apiVersion: own }),
  };
}

function builtInVersion(own: ResourceDefinition, other: ResourceDefinition, subresource: string): OtherVersion {
  const resetFields = resetBy(other, subresource);
  return {
    shape: shapeOfDefinition(other),
    ...(resetFields ? { resetFields } : {}),
    convert: (object) => converted(own, other, whole(object)),
    convertBack: (object) => converted(other, own, whole(object)),
  };
}

/** An object that applying has taken everything from is converted as well. */
function whole(object: unknown): KubernetesObject {
  const given = (object ?? {}) as KubernetesObject;
  return given.metadata ? given : { ...given, metadata: {} as ObjectMeta };
}

function converted(from: ResourceDefinition, to: ResourceDefinition, object: KubernetesObject): KubernetesObject {
  const stored = from.sharesStorageOf?.toStored(object) ?? object;
  return { ...(to.sharesStorageOf?.fromStored(stored) ?? stored), apiVersion: apiVersionOf(to.type), kind: to.type.kind };
}

// A kind in another version than the one it is described in: the same objects, strategies and table, seen through a
// conversion. Most beta versions differ from v1 by their name alone.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../../api/resource-type.ts";
import type { AnyDefinition } from "../definitions.ts";
import type { ResourceDefinition, UpdateStrategy } from "../resource-definition.ts";

type Convert = (object: KubernetesObject) => KubernetesObject;

export interface VersionConversion {
  /** From the described version to this one, and back. Neither has to see to apiVersion. */
  readonly from: Convert;
  readonly to: Convert;
}

const same: VersionConversion = { from: (object) => object, to: (object) => object };

/** The definition of `type`, whose objects are those of `described`. */
export function otherVersion(type: ResourceType, described: AnyDefinition, conversion: VersionConversion = same): ResourceDefinition {
  const renamed =
    (apiVersion: string, convert: Convert): Convert =>
    (object) => {
      const converted = convert(object);
      return converted.apiVersion === apiVersion ? converted : { ...converted, apiVersion };
    };
  const from = renamed(apiVersionOf(type), conversion.from);
  const to = renamed(apiVersionOf(described.type), conversion.to);
  const { defaults, selectableFields, table, status, subresources } = described as ResourceDefinition;
  return {
    ...(described as ResourceDefinition),
    type: type as ResourceDefinition["type"],
    sharesStorageOf: { type: described.type, fromStored: from, toStored: to },
    ...(defaults ? { defaults: (object, nowMs) => converted(object, (given) => defaults(given, nowMs), from, to) } : {}),
    create: createStrategy((described as ResourceDefinition).create, from, to),
    update: updateStrategy((described as ResourceDefinition).update, from, to),
    ...(status ? { status: updateStrategy(status, from, to) } : {}),
    ...(subresources
      ? { subresources: Object.fromEntries(Object.entries(subresources).map(([name, s]) => [name, updateStrategy(s, from, to)])) }
      : {}),
    ...(selectableFields
      ? { selectableFields: Object.fromEntries(Object.entries(selectableFields).map(([name, of]) => [name, (object) => of(to(object))])) }
      : {}),
    ...(table ? { table: { ...table, cells: (object, nowMs) => table.cells(to(object), nowMs) } } : {}),
  };
}

/** Where nothing was missing, the very object that was given. */
function converted(object: KubernetesObject, defaults: Convert, from: Convert, to: Convert): KubernetesObject {
  const given = to(object);
  const filled = defaults(given);
  return filled === given ? object : from(filled);
}

type CreateStrategy = ResourceDefinition["create"];

function createStrategy({ prepare, validate, warnings }: CreateStrategy, from: Convert, to: Convert): CreateStrategy {
  return {
    ...(prepare ? { prepare: (object, context) => from(prepare(to(object), context)) } : {}),
    ...(validate ? { validate: (object) => validate(to(object)) } : {}),
    ...(warnings ? { warnings: (object) => warnings(to(object)) } : {}),
  };
}

function updateStrategy(strategy: UpdateStrategy<KubernetesObject>, from: Convert, to: Convert): UpdateStrategy<KubernetesObject> {
  const { prepare, validate, warnings } = strategy;
  return {
    ...(prepare ? { prepare: (object, old, context) => from(prepare(to(object), to(old), context)) } : {}),
    ...(validate ? { validate: (object, old) => validate(to(object), to(old)) } : {}),
    ...(warnings ? { warnings: (object, old) => warnings(to(object), to(old)) } : {}),
  };
}

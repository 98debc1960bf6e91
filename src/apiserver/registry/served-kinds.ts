// The served resources as webhooks see them: which types share their objects with others, and how what a patch has made is
// read back.
import { decodeObject, strictProblem, unknownField } from "../../api/encode/decode.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { deduced, shapeOf } from "../../api/patch/managed-fields/shape.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind } from "../../api/schema/schema.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { EquivalentResource, ServedKinds } from "../admission/webhooks/served-kinds.ts";
import { shapeOfDefinition } from "./field-management.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import type { ResourceStore } from "./resource-store.ts";
import type { ResourceStores } from "./stores.ts";

const none: readonly EquivalentResource[] = [];

export function servedKinds(stores: ResourceStores): ServedKinds {
  return {
    equivalentsOf(type) {
      const own = stores.find(type.group, type.version, type.resource);
      if (!own) return none;
      const sharing = stores.sharing(own);
      if (sharing.length < 2) return none;
      return sharing.filter((other) => other !== own).map((other) => equivalent(own.definition, other.definition));
    },
    resourcesOf({ group, version, kind }) {
      const types = Array.from(stores.all, (store) => store.type);
      return types.filter((type) => type.kind === kind && type.group === group && type.version === version);
    },
    shapeOf(type, kind) {
      const store = kind.kind === type.kind ? stores.find(kind.group, kind.version, type.resource) : undefined;
      if (store) return shapeOfDefinition(store.definition);
      const schema = schemaOfKind(apiVersionOf(kind), kind.kind);
      return schema ? shapeOf(schema) : deduced;
    },
    read(type, kind, value, { strict = false } = {}) {
      const apiVersion = apiVersionOf(kind);
      // What does not say what it is, is what is expected.
      const said = value as Partial<KubernetesObject>;
      const [name, version] = [said.kind ?? kind.kind, said.apiVersion ?? apiVersion];
      if ((name !== kind.kind || version !== apiVersion) && !schemaOfKind(version, name))
        throw new Error(
          `no kind ${JSON.stringify(name)} is registered for version ${JSON.stringify(version)} in scheme "pkg/api/legacyscheme/scheme.go:30"`,
        );
      if (name !== kind.kind || version !== apiVersion)
        throw new Error(`the patched object is of kind ${version}, Kind=${name}; expected ${apiVersion}, Kind=${kind.kind}`);
      const store = kind.kind === type.kind ? stores.find(kind.group, kind.version, type.resource) : undefined;
      const schema = store?.type.schema === undefined ? schemaOfKind(apiVersion, name) : builtInSchemas.get(store.type.schema);
      const whole = said.kind === undefined || said.apiVersion === undefined ? { ...said, apiVersion, kind: name } : value;
      return readObject(store, schema, whole, strict);
    },
  };
}

function readObject(store: ResourceStore | undefined, schema: ObjectSchema | undefined, value: unknown, strict: boolean): KubernetesObject {
  const custom = store?.definition.custom;
  const read = custom ? custom.decode(value) : schema && decodeObject(schema, value);
  if (strict && !custom && read && read.unknown.length > 0) throw new Error(strictProblem(read.unknown.map(unknownField)));
  const decoded = (read ? read.object : value) as unknown as KubernetesObject;
  // Options of connections have none.
  const hasMetadata = custom !== undefined || schema?.fields.has("metadata") === true;
  const object = decoded.metadata || !hasMetadata ? decoded : { ...decoded, metadata: {} as ObjectMeta };
  return store?.definition.defaults?.(object) ?? object;
}

/** Both lie in the same form in storage: what one writes there the other reads. */
function equivalent(own: ResourceDefinition, other: ResourceDefinition): EquivalentResource {
  return { type: other.type, convert: (object) => converted(own, other, object), convertBack: (object) => converted(other, own, object) };
}

async function converted(from: ResourceDefinition, to: ResourceDefinition, object: KubernetesObject): Promise<KubernetesObject> {
  const served = await fromStored(to, await toStored(from, object));
  const { kind } = to.type;
  return { ...(to.defaults?.(served) ?? served), apiVersion: apiVersionOf(to.type), kind };
}

async function toStored({ sharesStorageOf: shared }: ResourceDefinition, object: KubernetesObject): Promise<KubernetesObject> {
  return shared?.conversion ? shared.conversion.toStored(object) : (shared?.toStored(object) ?? object);
}

async function fromStored({ sharesStorageOf: shared }: ResourceDefinition, stored: KubernetesObject): Promise<KubernetesObject> {
  if (!shared?.conversion?.isNeeded(stored)) return shared?.fromStored(stored) ?? stored;
  const [served] = await shared.conversion.fromStored([stored]);
  return served ?? stored;
}

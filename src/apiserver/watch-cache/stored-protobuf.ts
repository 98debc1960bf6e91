// Objects that an upstream API server has stored in protobuf, its default encoding: a data store that it has written is read as it
// is, and each object becomes JSON with its next write.
import { readEnvelope, startsEnvelope } from "../../api/encode/protobuf/envelope.ts";
import { decodeMessage } from "../../api/encode/protobuf/message.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { schemaOfKind } from "../../api/schema/schema.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";

/** Undefined for what is in another encoding. Throws for what cannot be read. */
export function decodeStoredProtobuf(stored: Uint8Array): KubernetesObject | undefined {
  if (!startsEnvelope(stored)) return undefined;
  const { apiVersion, kind, message } = readEnvelope(stored);
  const schema = schemaOfKind(apiVersion, kind);
  if (!schema) throw new Error(`no kind ${JSON.stringify(kind)} is known for version ${JSON.stringify(apiVersion)}`);
  const { metadata = {} as ObjectMeta, ...fields } = decodeMessage(schema, message) as Partial<KubernetesObject>;
  return { ...fields, kind, apiVersion, metadata };
}

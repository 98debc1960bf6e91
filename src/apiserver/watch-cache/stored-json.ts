// How objects are stored, as upstream stores them with --storage-media-type=application/json: kind, apiVersion and metadata first,
// without the resource version, which is the key's modRevision. The JSON for clients is the stored bytes with the resource version
// put in where metadata begins.
import { textWithSharedParts } from "../../api/encode/shared-texts.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";

/** `{"kind":"Pod","apiVersion":"v1",`: kinds and versions are identifiers, nothing in them is escaped. */
export function typePrefix({ kind, apiVersion }: Pick<KubernetesObject, "kind" | "apiVersion">): string {
  return `{"kind":"${kind}","apiVersion":"${apiVersion}",`;
}

const emptyPrefixLength = '{"kind":"","apiVersion":"",'.length;

export function typePrefixLength({ kind, apiVersion }: KubernetesObject): number {
  return emptyPrefixLength + kind.length + apiVersion.length;
}

/** JSON with kind, apiVersion and metadata first, as upstream writes it. */
export function encode(object: KubernetesObject): Buffer {
  const text = textWithSharedParts(object) ?? JSON.stringify(isInOrder(object) ? object : inOrder(object));
  // Memory of its own: in a slice of Node's pool, an object that stays would keep what its neighbours had.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

function inOrder({ kind, apiVersion, metadata, ...rest }: KubernetesObject): object {
  return { kind, apiVersion, metadata, ...rest };
}

const firstFields = ["kind", "apiVersion", "metadata"];

/** Whether the fields that come first do so already: nothing has to be copied then. */
function isInOrder(object: KubernetesObject): boolean {
  let at = 0;
  for (const field in object) {
    if (field !== firstFields[at]) return false;
    if (++at === firstFields.length) return true;
  }
  return false;
}

/** What is put into the store: the object without its resource version. */
export function encodeForStorage(object: KubernetesObject): Uint8Array {
  return encode(withoutResourceVersion(object));
}

const metadataKey = '"metadata":{';

/** Where the fields of metadata begin in stored bytes; undefined where they do not begin as this program's do. */
export function fieldsOfMetadata(stored: Uint8Array, typePrefix: string): number | undefined {
  const head = typePrefix + metadataKey;
  if (stored.length <= head.length) return undefined;
  return Buffer.from(stored.buffer, stored.byteOffset, head.length).toString("latin1") === head ? head.length : undefined;
}

export function metadataPrefix(revision: number, stored: Uint8Array, fieldsAt: number): string {
  return `${metadataKey}"resourceVersion":"${revision}"${stored[fieldsAt] === closingBrace ? "" : ","}`;
}

const emptyMetadataPrefixLength = `${metadataKey}"resourceVersion":""`.length;

export function metadataPrefixLength(revision: number, stored: Uint8Array, fieldsAt: number): number {
  return emptyMetadataPrefixLength + `${revision}`.length + (stored[fieldsAt] === closingBrace ? 0 : 1);
}

const closingBrace = "}".charCodeAt(0);

export function withResourceVersion<T extends KubernetesObject>(object: T, revision: number): T {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

/** The object as it is compared and stored. */
export function withoutResourceVersion<T extends KubernetesObject>(object: T): T {
  if (!("resourceVersion" in object.metadata)) return object;
  const { resourceVersion: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

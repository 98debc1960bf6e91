// One version of one object: the value, where it lies and its JSON and protobuf bytes, shared by every get, list and watch
// that sends this version. Objects are stored as upstream stores them with --storage-media-type=application/json: the object
// without its resourceVersion, which is the key's modRevision. The JSON for clients is the stored bytes with the resource
// version put in where metadata begins, while they are copied into an answer: nothing is serialised twice, or kept twice.
import { protobufSchema, wrapMessage } from "../../api/encode/protobuf/envelope.ts";
import { encodeMessage } from "../../api/encode/protobuf/message.ts";
import { textWithSharedParts } from "../../api/encode/shared-texts.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { withoutSentEmpty } from "../../api/meta/sent-empty.ts";
import { withSharedFields } from "../../api/patch/managed-fields/field-set.ts";
import type { KeyValue } from "../../storage/store.ts";

/** The JSON of an object in two parts: ASCII, and then bytes that are shared. */
export interface EncodedObject {
  readonly head: string;
  readonly tail: Uint8Array;
}

export class ObjectVersion<T extends KubernetesObject = KubernetesObject> {
  /** "namespace/name", or "name" for cluster-scoped objects: the key below the resource's prefix. */
  readonly key: string;
  /** With metadata.resourceVersion. */
  readonly object: T;
  readonly revision: number;
  /** What the store holds, or the object as clients get it where the store holds it otherwise. */
  #json: Uint8Array | undefined;
  /** Where the fields of metadata begin in it; 0: it has its resource version already. */
  #fieldsAt: number | undefined;
  #message: Uint8Array | undefined;

  /** `stored`: what the store holds, where it is exactly this object but for the resource version. */
  constructor(key: string, object: T, revision: number, stored?: Uint8Array) {
    this.key = key;
    this.object = object;
    this.revision = revision;
    this.#json = stored;
    this.#fieldsAt = undefined;
    this.#message = undefined;
  }

  /** How much JSON is kept with it. */
  get storedBytes(): number {
    return this.#json?.length ?? 0;
  }

  /** The same object under another revision: the last state of one that is deleted. */
  at(revision: number): ObjectVersion<T> {
    const stored = this.#fieldsAt === 0 ? undefined : this.#json;
    return new ObjectVersion(this.key, withResourceVersion(this.object, revision), revision, stored);
  }

  /** The object as JSON, kind and apiVersion first. */
  encoded(): EncodedObject {
    const { json, fieldsAt } = this.#encoded();
    if (fieldsAt === 0) return { head: "", tail: json };
    return { head: typePrefix(this.object) + metadataPrefix(this.object, json, fieldsAt), tail: json.subarray(fieldsAt) };
  }

  /** The object as JSON without kind and apiVersion: how lists of built-in kinds hold their items. */
  encodedItem(): EncodedObject {
    const { json, fieldsAt } = this.#encoded();
    if (fieldsAt === 0) return { head: "{", tail: json.subarray(typePrefixLength(this.object)) };
    return { head: `{${metadataPrefix(this.object, json, fieldsAt)}`, tail: json.subarray(fieldsAt) };
  }

  /** As encoded(), in one piece. */
  bytes(): Uint8Array {
    const { head, tail } = this.encoded();
    if (head === "") return tail;
    const bytes = Buffer.allocUnsafe(head.length + tail.length);
    bytes.write(head, "latin1");
    bytes.set(tail, head.length);
    return bytes;
  }

  /** The object as a protobuf message, without kind and apiVersion. Throws for a kind that has no protobuf encoding. */
  message(): Uint8Array {
    return (this.#message ??= encodeAsMessage(this.object));
  }

  /** The object in protobuf, with its envelope. */
  protobuf(): Uint8Array {
    return wrapMessage(this.object, this.message());
  }

  #encoded(): { readonly json: Uint8Array; readonly fieldsAt: number } {
    if (this.#json && this.#fieldsAt === undefined) this.#fieldsAt = fieldsOfMetadata(this.#json, this.object);
    // The stored bytes may come from another writer whose order differs: then they are made anew.
    if (!this.#json || this.#fieldsAt === undefined) {
      this.#json = encode(this.object);
      this.#fieldsAt = 0;
    }
    return { json: this.#json, fieldsAt: this.#fieldsAt };
  }
}

function encodeAsMessage(object: KubernetesObject): Uint8Array {
  const schema = protobufSchema(object);
  if (!schema) throw new Error(`${object.apiVersion} ${object.kind} has no protobuf encoding`);
  return encodeMessage(schema, object);
}

/** `{"kind":"Pod","apiVersion":"v1",`: kinds and versions are identifiers, nothing in them is escaped. */
function typePrefix({ kind, apiVersion }: KubernetesObject): string {
  return `{"kind":"${kind}","apiVersion":"${apiVersion}",`;
}

const emptyPrefixLength = '{"kind":"","apiVersion":"",'.length;

function typePrefixLength({ kind, apiVersion }: KubernetesObject): number {
  return emptyPrefixLength + kind.length + apiVersion.length;
}

/** JSON with kind, apiVersion and metadata first, as upstream writes it. */
function encode(object: KubernetesObject): Buffer {
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
function fieldsOfMetadata(stored: Uint8Array, object: KubernetesObject): number | undefined {
  const head = typePrefix(object) + metadataKey;
  if (stored.length <= head.length) return undefined;
  return Buffer.from(stored.buffer, stored.byteOffset, head.length).toString("latin1") === head ? head.length : undefined;
}

function metadataPrefix({ metadata }: KubernetesObject, stored: Uint8Array, fieldsAt: number): string {
  return `${metadataKey}"resourceVersion":"${metadata.resourceVersion}"${stored[fieldsAt] === closingBrace ? "" : ","}`;
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

/** The object with the records of its fields' owners shared with other objects, as those of objects made here are. */
function withSharedOwners<T extends KubernetesObject>(object: T): T {
  const { metadata } = object;
  if (!metadata?.managedFields) return object;
  const managedFields = metadata.managedFields.map((entry) =>
    entry.fieldsV1 ? { ...entry, fieldsV1: withSharedFields(entry.fieldsV1) } : entry,
  );
  return { ...object, metadata: { ...metadata, managedFields } };
}

export interface ObjectCodecOptions<T> {
  /** The resource's key prefix: "/registry/pods/". */
  readonly prefix: string;
  /** Upstream's defaults for fields that were added after the object was stored. Gives the same object where nothing was missing. */
  readonly defaults?: ((object: T) => T) | undefined;
  /** Called with every object that enters the cache: tests freeze it. */
  readonly onObject?: ((object: T) => void) | undefined;
}

/**
 * Turns what the store holds into object versions. A write of this process remembers the object with the bytes it hands to
 * the store; a store in the process hands the same bytes to the watch, which then need not be parsed.
 */
export class ObjectCodec<T extends KubernetesObject = KubernetesObject> {
  readonly #options: ObjectCodecOptions<T>;
  readonly #known = new WeakMap<Uint8Array, { key: string; object: T; version: ObjectVersion<T> | undefined }>();

  constructor(options: ObjectCodecOptions<T>) {
    this.#options = options;
  }

  /** The bytes to store for the object of a key (its resource version is left out). */
  toStored(key: string, object: T): Uint8Array {
    const stored = encodeForStorage(object);
    this.#known.set(stored, { key, object: withoutSentEmpty(object), version: undefined });
    return stored;
  }

  /** Throws when the bytes are no JSON object. */
  version(kv: KeyValue): ObjectVersion<T> {
    const known = this.#known.get(kv.value);
    if (known?.version?.revision === kv.modRevision) return known.version;
    if (known) return (known.version = this.#make(known.key, known.object, kv.modRevision, kv.value));
    const key = kv.key.slice(this.#options.prefix.length);
    const version = this.#parse(key, kv);
    this.#known.set(kv.value, { key, object: version.object, version });
    return version;
  }

  /** Lets go of what is known of a value that will not be asked about again, while the store keeps it for its history. */
  forget(value: Uint8Array): void {
    this.#known.delete(value);
  }

  #parse(key: string, kv: KeyValue): ObjectVersion<T> {
    let parsed: T;
    try {
      parsed = withSharedOwners(JSON.parse(Buffer.from(kv.value.buffer, kv.value.byteOffset, kv.value.byteLength).toString("utf8")) as T);
    } catch (cause) {
      throw new Error(`the value stored at ${kv.key} is not JSON`, { cause });
    }
    const object = this.#options.defaults ? this.#options.defaults(parsed) : parsed;
    return this.#make(key, object, kv.modRevision, object === parsed ? kv.value : undefined);
  }

  #make(key: string, object: T, revision: number, stored: Uint8Array | undefined): ObjectVersion<T> {
    const withVersion = withResourceVersion(object, revision);
    this.#options.onObject?.(withVersion);
    return new ObjectVersion(key, withVersion, revision, stored);
  }
}

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
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { KeyValue } from "../../storage/store.ts";
import { type Decoded, RecentObjects } from "./recent-objects.ts";

/** The JSON of an object in two parts: ASCII, and then bytes that are shared. */
export interface EncodedObject {
  readonly head: string;
  readonly tail: Uint8Array;
}

/** Decodes what versions keep as bytes alone, and is told which are decoded. */
export interface VersionSource {
  decode(key: string, revision: number, stored: Uint8Array): KubernetesObject;
  /** What stored bytes begin with; one text for all objects of a kind. */
  typePrefix(object: KubernetesObject): string;
  /** The same labels as those of other objects, where these are remembered. */
  sharedLabels(labels: Labels): Labels;
  /** How selectors read the fields of an object: their values are kept with versions that are not decoded. */
  readonly fields: readonly FieldOf[];
  readonly recent: RecentObjects;
}

type Labels = ObjectMeta["labels"];

export type FieldOf = (object: KubernetesObject) => string;

export class ObjectVersion<T extends KubernetesObject = KubernetesObject> implements Decoded {
  /** "namespace/name", or "name" for cluster-scoped objects: the key below the resource's prefix. */
  readonly key: string;
  readonly revision: number;
  /** Undefined while there are only the bytes. */
  #object: T | undefined;
  /** What the store holds, or the object as clients get it where the store holds it otherwise. */
  #json: Uint8Array | undefined;
  /** Where the fields of metadata begin in it; 0: it has its resource version already. */
  #fieldsAt: number | undefined;
  #message: Uint8Array | undefined;
  /** Absent: the object always stays. */
  readonly #source: VersionSource | undefined;
  #wasUsed = false;
  /** Whether others in this process hold the object: then it is found again for as long as they do. */
  #isShared = false;
  #kept: KeptFacts<T> | undefined = undefined;

  /**
   * `stored`: what the store holds, where it is exactly this object but for the resource version. With a `source` the object
   * may be let go while nobody uses it.
   */
  constructor(key: string, object: T, revision: number, stored?: Uint8Array, source?: VersionSource) {
    this.key = key;
    this.#object = object;
    this.revision = revision;
    this.#json = stored;
    this.#fieldsAt = undefined;
    this.#message = undefined;
    this.#source = source;
    if (stored && source) source.recent.add(this);
  }

  /** With metadata.resourceVersion. Decoded at need; then it stays decoded for a while. */
  get object(): T {
    this.#wasUsed = true;
    return this.#object ?? this.#revive();
  }

  /** The object for a moment, for one who looks at many: what is not decoded does not stay so. */
  glance(): T {
    return this.#object ?? this.#decoded();
  }

  /** The object for one in this process who may keep it: all such get the same. */
  shared(): T {
    this.#isShared = true;
    return this.object;
  }

  get labels(): Labels {
    return this.#object ? this.#object.metadata.labels : this.#kept?.labels;
  }

  /** The value of a field that selectors read. */
  field(fieldOf: FieldOf): string {
    if (this.#object) return fieldOf(this.#object);
    const index = this.#source?.fields.indexOf(fieldOf) ?? -1;
    return this.#kept?.fields?.split(separator)[index] ?? fieldOf(this.glance());
  }

  get isDecoded(): boolean {
    return this.#object !== undefined;
  }

  /** How much JSON is kept with it. */
  get storedBytes(): number {
    return this.#json?.length ?? 0;
  }

  wasUsed(): boolean {
    const wasUsed = this.#wasUsed;
    this.#wasUsed = false;
    return wasUsed;
  }

  letGo(): void {
    const object = this.#object;
    const source = this.#source;
    if (!object || !source || this.#encoded().fieldsAt === 0) return;
    this.#kept = {
      labels: source.sharedLabels(object.metadata.labels),
      fields: joinedFields(source.fields, object),
      typePrefix: source.typePrefix(object),
      held: this.#isShared ? new WeakRef(object) : undefined,
    };
    this.#object = undefined;
  }

  /** The same object under another revision: the last state of one that is deleted. */
  at(revision: number): ObjectVersion<T> {
    const stored = this.#fieldsAt === 0 ? undefined : this.#json;
    return new ObjectVersion(this.key, withResourceVersion(this.object, revision), revision, stored, this.#source);
  }

  /** The object as JSON, kind and apiVersion first. */
  encoded(): EncodedObject {
    const { json, fieldsAt } = this.#encoded();
    if (fieldsAt === 0) return { head: "", tail: json };
    return { head: this.#typePrefix() + metadataPrefix(this.revision, json, fieldsAt), tail: json.subarray(fieldsAt) };
  }

  /** The object as JSON without kind and apiVersion: how lists of built-in kinds hold their items. */
  encodedItem(): EncodedObject {
    const { json, fieldsAt } = this.#encoded();
    if (fieldsAt === 0) return { head: "{", tail: json.subarray(typePrefixLength(this.glance())) };
    return { head: `{${metadataPrefix(this.revision, json, fieldsAt)}`, tail: json.subarray(fieldsAt) };
  }

  /** How long encodedItem() is (`asItem`), or encoded(): found out without making it. */
  encodedLength(asItem: boolean): number {
    const { json, fieldsAt } = this.#encoded();
    if (fieldsAt === 0) return asItem ? 1 + json.length - typePrefixLength(this.glance()) : json.length;
    const head = (asItem ? 1 : this.#typePrefix().length) + metadataPrefixLength(this.revision, json, fieldsAt);
    return head + json.length - fieldsAt;
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
    return (this.#message ??= encodeAsMessage(this.glance()));
  }

  /** The object in protobuf, with its envelope. */
  protobuf(): Uint8Array {
    return wrapMessage(this.glance(), this.message());
  }

  #encoded(): { readonly json: Uint8Array; readonly fieldsAt: number } {
    // What is not decoded has been encoded.
    if (this.#json && this.#fieldsAt === undefined) this.#fieldsAt = fieldsOfMetadata(this.#json, this.#typePrefix());
    // The stored bytes may come from another writer whose order differs: then they are made anew.
    if (!this.#json || this.#fieldsAt === undefined) {
      this.#json = encode(this.glance());
      this.#fieldsAt = 0;
    }
    return { json: this.#json, fieldsAt: this.#fieldsAt };
  }

  #typePrefix(): string {
    if (!this.#object) return this.#kept?.typePrefix ?? "";
    return this.#source?.typePrefix(this.#object) ?? typePrefix(this.#object);
  }

  #revive(): T {
    const object = this.#decoded();
    this.#object = object;
    this.#kept = undefined;
    this.#source?.recent.add(this);
    return object;
  }

  #decoded(): T {
    const held = this.#kept?.held?.deref();
    if (held) return held;
    if (!this.#source || !this.#json) throw new Error(`${this.key} at revision ${this.revision} is not decoded, and cannot be`);
    return this.#source.decode(this.key, this.revision, this.#json) as T;
  }
}

/** What is kept of an object that is not decoded, beside its bytes. */
interface KeptFacts<T extends KubernetesObject> {
  readonly labels: Labels;
  /** In the order of the source's, in one text; undefined where one of them has the separator in it. */
  readonly fields: string | undefined;
  readonly typePrefix: string;
  readonly held: WeakRef<T> | undefined;
}

const separator = "\0";

function joinedFields(fields: readonly FieldOf[], object: KubernetesObject): string | undefined {
  const values = fields.map((fieldOf) => fieldOf(object));
  // Joined at once: added to each other they would stay as many small objects.
  return values.some((value) => value.includes(separator)) ? undefined : values.join(separator);
}

function encodeAsMessage(object: KubernetesObject): Uint8Array {
  const schema = protobufSchema(object);
  if (!schema) throw new Error(`${object.apiVersion} ${object.kind} has no protobuf encoding`);
  return encodeMessage(schema, object);
}

/** `{"kind":"Pod","apiVersion":"v1",`: kinds and versions are identifiers, nothing in them is escaped. */
function typePrefix({ kind, apiVersion }: Pick<KubernetesObject, "kind" | "apiVersion">): string {
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
function fieldsOfMetadata(stored: Uint8Array, typePrefix: string): number | undefined {
  const head = typePrefix + metadataKey;
  if (stored.length <= head.length) return undefined;
  return Buffer.from(stored.buffer, stored.byteOffset, head.length).toString("latin1") === head ? head.length : undefined;
}

function metadataPrefix(revision: number, stored: Uint8Array, fieldsAt: number): string {
  return `${metadataKey}"resourceVersion":"${revision}"${stored[fieldsAt] === closingBrace ? "" : ","}`;
}

const emptyMetadataPrefixLength = `${metadataKey}"resourceVersion":""`.length;

function metadataPrefixLength(revision: number, stored: Uint8Array, fieldsAt: number): number {
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

/** The object with the records of its fields' owners shared with other objects, as those of objects made here are. */
function withSharedOwners<T extends KubernetesObject>(object: T): T {
  const { metadata } = object;
  if (!metadata?.managedFields) return object;
  const managedFields = metadata.managedFields.map((entry) =>
    entry.fieldsV1 ? { ...entry, fieldsV1: withSharedFields(entry.fieldsV1) } : entry,
  );
  return { ...object, metadata: { ...metadata, managedFields } };
}

export interface ObjectCodecOptions<T extends KubernetesObject> {
  /** The resource's key prefix: "/registry/pods/". */
  readonly prefix: string;
  /** Upstream's defaults for fields that were added after the object was stored. Gives the same object where nothing was missing. */
  readonly defaults?: ((object: T) => T) | undefined;
  /** How selectors read the fields of what is stored. */
  readonly fields?: readonly FieldOf[];
  /** What is kept decoded, of all kinds together. */
  readonly recent?: RecentObjects;
  /** Called with every object that is decoded, or enters the cache: tests freeze it. */
  readonly onObject?: ((object: T) => void) | undefined;
}

const maxSharedLabels = 1024;

/**
 * Turns what the store holds into object versions. A write of this process remembers the object with the bytes it hands to
 * the store; a store in the process hands the same bytes to the watch, which then need not be parsed.
 */
export class ObjectCodec<T extends KubernetesObject = KubernetesObject> implements VersionSource {
  readonly fields: readonly FieldOf[];
  readonly recent: RecentObjects;
  readonly #options: ObjectCodecOptions<T>;
  /** The object as it was written, until there is a version of it. */
  readonly #known = new WeakMap<Uint8Array, { object: T | undefined; version: ObjectVersion<T> | undefined }>();
  #typePrefix = { kind: "", apiVersion: "", text: "" };
  /** Labels of objects that are not decoded, by their JSON: the pods of a template have the same. */
  readonly #labels = new Map<string, NonNullable<Labels>>();

  constructor(options: ObjectCodecOptions<T>) {
    this.#options = options;
    this.fields = options.fields ?? [];
    this.recent = options.recent ?? new RecentObjects();
  }

  /** The bytes to store for an object (its resource version is left out). */
  toStored(object: T): Uint8Array {
    const stored = encodeForStorage(object);
    this.#known.set(stored, { object: withoutSentEmpty(object), version: undefined });
    return stored;
  }

  /** Throws when the bytes are no JSON object. */
  version(kv: KeyValue): ObjectVersion<T> {
    const known = this.#known.get(kv.value);
    if (known?.version?.revision === kv.modRevision) return known.version;
    const key = kv.key.slice(this.#options.prefix.length);
    const written = known?.object;
    const version = written ? this.#make(key, written, kv.modRevision, kv.value) : this.#parse(key, kv);
    if (known) {
      known.version = version;
      known.object = undefined;
    } else this.#known.set(kv.value, { object: undefined, version });
    return version;
  }

  /** Lets go of what is known of a value that will not be asked about again, while the store keeps it for its history. */
  forget(value: Uint8Array): void {
    this.#known.delete(value);
  }

  decode(key: string, revision: number, stored: Uint8Array): T {
    const object = withResourceVersion(this.#decode(this.#options.prefix + key, stored).object, revision);
    this.#options.onObject?.(object);
    return object;
  }

  typePrefix({ kind, apiVersion }: KubernetesObject): string {
    const known = this.#typePrefix;
    if (known.kind === kind && known.apiVersion === apiVersion) return known.text;
    const text = typePrefix({ kind, apiVersion });
    this.#typePrefix = { kind, apiVersion, text };
    return text;
  }

  sharedLabels(labels: Labels): Labels {
    if (labels === undefined) return undefined;
    const text = JSON.stringify(labels);
    const known = this.#labels.get(text);
    if (known !== undefined) return known;
    if (this.#labels.size >= maxSharedLabels) this.#labels.clear();
    this.#labels.set(text, labels);
    return labels;
  }

  #parse(key: string, kv: KeyValue): ObjectVersion<T> {
    const { object, isAsStored } = this.#decode(kv.key, kv.value);
    return this.#make(key, object, kv.modRevision, isAsStored ? kv.value : undefined);
  }

  #decode(storageKey: string, stored: Uint8Array): { readonly object: T; readonly isAsStored: boolean } {
    let parsed: T;
    try {
      parsed = withSharedOwners(JSON.parse(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString("utf8")) as T);
    } catch (cause) {
      throw new Error(`the value stored at ${storageKey} is not JSON`, { cause });
    }
    const object = this.#options.defaults ? this.#options.defaults(parsed) : parsed;
    return { object, isAsStored: object === parsed };
  }

  #make(key: string, object: T, revision: number, stored: Uint8Array | undefined): ObjectVersion<T> {
    const withVersion = withResourceVersion(object, revision);
    this.#options.onObject?.(withVersion);
    return new ObjectVersion(key, withVersion, revision, stored, this);
  }
}

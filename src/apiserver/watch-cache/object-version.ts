// One version of one object: the value, where it lies and its JSON and protobuf bytes, shared by every get, list and watch
// that sends this version. The JSON for clients is the stored bytes (stored-json.ts) with the resource version put in while they are
// copied into an answer: nothing is serialised twice, or kept twice.
import { protobufSchema, wrapMessage } from "../../api/encode/protobuf/envelope.ts";
import { encodeMessage } from "../../api/encode/protobuf/message.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import type { Decoded, RecentObjects } from "./recent-objects.ts";
import {
  encode,
  fieldsOfMetadata,
  metadataPrefix,
  metadataPrefixLength,
  typePrefix,
  typePrefixLength,
  withResourceVersion,
} from "./stored-json.ts";

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

export type Labels = ObjectMeta["labels"];

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

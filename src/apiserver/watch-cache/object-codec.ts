// Turns what the store holds into object versions, and objects into what the store is to hold.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { withoutSentEmpty } from "../../api/meta/sent-empty.ts";
import { withSharedFields } from "../../api/patch/managed-fields/field-set.ts";
import type { KeyValue } from "../../storage/store.ts";
import { type FieldOf, type Labels, ObjectVersion, type VersionSource } from "./object-version.ts";
import { RecentObjects } from "./recent-objects.ts";
import { encodeForStorage, typePrefix, withResourceVersion } from "./stored-json.ts";
import { decodeStoredProtobuf } from "./stored-protobuf.ts";

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
  /** By apiVersion. */
  readonly #otherVersions = new Map<string, (stored: KubernetesObject) => T>();
  #typePrefix = { kind: "", apiVersion: "", text: "" };
  /** Labels of objects that are not decoded, by their JSON: the pods of a template have the same. */
  readonly #labels = new Map<string, NonNullable<Labels>>();

  constructor(options: ObjectCodecOptions<T>) {
    this.#options = options;
    this.fields = options.fields ?? [];
    this.recent = options.recent ?? new RecentObjects();
  }

  /** How objects are read that are stored in another version, which is given by its apiVersion. */
  readsVersion(apiVersion: string, convert: (stored: KubernetesObject) => T): void {
    this.#otherVersions.set(apiVersion, convert);
  }

  /** The bytes to store for an object (its resource version is left out). */
  toStored(object: T): Uint8Array {
    const stored = encodeForStorage(object);
    this.#known.set(stored, { object: withoutSentEmpty(object), version: undefined });
    return stored;
  }

  /** Throws when the bytes are no object. */
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
    const foreign = this.#decodeForeign(storageKey, stored);
    let parsed: T;
    try {
      parsed = withSharedOwners(
        foreign ?? (JSON.parse(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString("utf8")) as T),
      );
    } catch (cause) {
      throw new Error(`the value stored at ${storageKey} is not JSON`, { cause });
    }
    const { defaults } = this.#options;
    const current = this.#otherVersions.get(parsed.apiVersion)?.(parsed) ?? parsed;
    const object = defaults ? defaults(current) : current;
    return { object, isAsStored: !foreign && object === parsed };
  }

  #decodeForeign(storageKey: string, stored: Uint8Array): T | undefined {
    try {
      return decodeStoredProtobuf(stored) as T | undefined;
    } catch (cause) {
      throw new Error(`the value stored at ${storageKey} in protobuf cannot be read`, { cause });
    }
  }

  #make(key: string, object: T, revision: number, stored: Uint8Array | undefined): ObjectVersion<T> {
    const withVersion = withResourceVersion(object, revision);
    this.#options.onObject?.(withVersion);
    return new ObjectVersion(key, withVersion, revision, stored, this);
  }
}

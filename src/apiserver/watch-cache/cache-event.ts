// One change of one object as the watch cache remembers it, and the form in which watchers get it. A watcher with a
// selector sees transitions: an object that begins to match is ADDED to it, one that ceases to match is DELETED with its
// previous state. The event of each type is made once and shared by all watchers that see that type.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { WatchStreamEvent } from "../request.ts";
import type { ObjectVersion } from "./object-version.ts";

export type StreamEventType = WatchStreamEvent["type"];

export class StreamEvent<T extends KubernetesObject = KubernetesObject> implements WatchStreamEvent {
  readonly type: StreamEventType;
  readonly version: ObjectVersion<T>;
  /** What was stored before; absent where nothing was, and where the event is not one of the cache's changes. */
  readonly previous: ObjectVersion<T> | undefined;

  constructor(type: StreamEventType, version: ObjectVersion<T>, previous?: ObjectVersion<T>) {
    this.type = type;
    this.version = version;
    this.previous = previous;
  }

  /** For one in this process: over a connection the bytes are sent. */
  get object(): T {
    return this.version.shared();
  }

  bytes(): Uint8Array {
    return this.version.bytes();
  }

  message(): Uint8Array {
    return this.version.message();
  }
}

export class CacheEvent<T extends KubernetesObject = KubernetesObject> {
  readonly key: string;
  readonly revision: number;
  /** Absent: the object was deleted. */
  readonly current: ObjectVersion<T> | undefined;
  /** Absent: the object was created. */
  readonly previous: ObjectVersion<T> | undefined;
  #added: StreamEvent<T> | undefined = undefined;
  #modified: StreamEvent<T> | undefined = undefined;
  #deleted: StreamEvent<T> | undefined = undefined;

  constructor(key: string, revision: number, current: ObjectVersion<T> | undefined, previous: ObjectVersion<T> | undefined) {
    this.key = key;
    this.revision = revision;
    this.current = current;
    this.previous = previous;
  }

  /** What a watcher sees that cares for the object now (`matches`) or did before (`matched`); undefined for neither. */
  seenBy(matches: boolean, matched: boolean): StreamEvent<T> | undefined {
    if (matches && this.current) {
      if (!matched || !this.previous) return (this.#added ??= new StreamEvent("ADDED", this.current));
      return (this.#modified ??= new StreamEvent("MODIFIED", this.current, this.previous));
    }
    if (!matched || !this.previous) return undefined;
    // The previous state under the revision of this change, from which a client can go on watching.
    return (this.#deleted ??= new StreamEvent("DELETED", this.previous.at(this.revision), this.previous));
  }
}

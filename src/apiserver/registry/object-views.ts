// How the stored versions of objects look in the version that a resource serves, made once a version. Most views are made
// when they are asked for. Where a webhook converts (custom resources), versions have to be prepared first: many in one call,
// each at most once for all who ask at the same time.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { ObjectVersion } from "../watch-cache/object-version.ts";
import { withResourceVersion } from "../watch-cache/stored-json.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

export class ObjectViews {
  readonly #definition: ResourceDefinition;
  /** By stored version. */
  readonly #views = new WeakMap<ObjectVersion, ObjectVersion>();
  readonly #converting = new WeakMap<ObjectVersion, Promise<void>>();
  /** Views of what is stored otherwise than it would be stored now. */
  readonly #outdated = new WeakSet<ObjectVersion>();

  constructor(definition: ResourceDefinition) {
    this.#definition = definition;
  }

  /** Throws for a version that has to be prepared and is not. */
  of(version: ObjectVersion): ObjectVersion {
    const known = this.#views.get(version);
    if (known) return known;
    const { sharesStorageOf, defaults, custom } = this.#definition;
    if (!sharesStorageOf) return version;
    if (sharesStorageOf.conversion?.isNeeded(version.object))
      throw new Error(`${version.key}, stored as ${version.object.apiVersion}, has not been converted`);
    const served = sharesStorageOf.fromStored(version.object);
    return this.#keep(version, defaults && !custom ? defaults(served) : served);
  }

  /** Makes views of all these versions possible. Throws what the conversion throws. */
  async prepare(versions: Iterable<ObjectVersion>): Promise<void> {
    const conversion = this.#definition.sharesStorageOf?.conversion;
    if (!conversion) return;
    const begun: ObjectVersion[] = [];
    const waiting = new Set<Promise<void>>();
    for (const version of versions) {
      if (this.#views.has(version) || !conversion.isNeeded(version.object)) continue;
      const running = this.#converting.get(version);
      if (running) waiting.add(running);
      else begun.push(version);
    }
    if (begun.length > 0) {
      const converted = this.#convert(begun).finally(() => {
        for (const version of begun) this.#converting.delete(version);
      });
      for (const version of begun) this.#converting.set(version, converted);
      waiting.add(converted);
    }
    await Promise.all(waiting);
  }

  /** The view of a version that may have to be prepared. */
  async prepared(version: ObjectVersion): Promise<ObjectVersion> {
    if (this.#definition.sharesStorageOf?.conversion) await this.prepare([version]);
    return this.of(version);
  }

  /** The last state of an object that is gone, from its view while it was there. */
  prepareLast(last: ObjectVersion, before: ObjectVersion): void {
    const known = this.#views.get(before);
    if (known && !this.#views.has(last)) this.#keep(last, withResourceVersion(known.object, last.revision));
  }

  /** Whether a view is of an object that would be stored otherwise now. */
  isOutdated(view: ObjectVersion): boolean {
    return this.#outdated.has(view);
  }

  async #convert(versions: readonly ObjectVersion[]): Promise<void> {
    const objects = await this.#definition.sharesStorageOf?.conversion?.fromStored(versions.map(({ object }) => object));
    for (const [i, version] of versions.entries()) {
      const object = objects?.[i];
      if (object) this.#keep(version, object);
    }
  }

  #keep(version: ObjectVersion, object: KubernetesObject): ObjectVersion {
    // What is served as it is stored shares its bytes too.
    const view = object === version.object ? version : new ObjectVersion(version.key, object, version.revision);
    this.#views.set(version, view);
    if (this.#definition.sharesStorageOf?.isOutdated?.(version.object, view !== version)) this.#outdated.add(view);
    return view;
  }
}

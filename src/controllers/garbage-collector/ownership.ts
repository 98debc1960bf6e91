// Who owns what in the whole cluster: an informer for every resource that can be listed, watched and deleted, each with an
// index by owner. There is no graph beside it: dependents are found by the index, owners by the name in the reference.
import { type KubernetesObject, keyOf } from "../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { Informer, InformerFactory, InformerHandler } from "../../client/informer.ts";

/** An object with the resource it is served as. */
export interface Resident {
  readonly type: ResourceType<KubernetesObject>;
  readonly object: KubernetesObject;
}

const ownerIndex = "owner";
const ownerUids = (object: KubernetesObject): readonly string[] => object.metadata.ownerReferences?.map((ref) => ref.uid) ?? [];

interface Monitor {
  readonly informer: Informer<KubernetesObject>;
  readonly registration: { remove(): void };
}

export class Ownership {
  readonly #informers: InformerFactory;
  readonly #handlerFor: (type: ResourceType<KubernetesObject>) => InformerHandler<KubernetesObject>;
  readonly #monitors = new Map<ResourceType, Monitor>();
  /** By group and kind: references may name any version. */
  readonly #byKind = new Map<string, ResourceType<KubernetesObject>>();

  constructor(informers: InformerFactory, handlerFor: (type: ResourceType<KubernetesObject>) => InformerHandler<KubernetesObject>) {
    this.#informers = informers;
    this.#handlerFor = handlerFor;
  }

  /** Every informer has its first list. */
  get hasSynced(): boolean {
    for (const { informer } of this.#monitors.values()) if (!informer.hasSynced) return false;
    return this.#monitors.size > 0;
  }

  /**
   * Brings what is watched in line with what is served now. Of group versions whose server cannot be reached (`unreachable`:
   * "apps/v1") what is watched stays watched, and nothing more is: it would never have its first list.
   */
  async follow(served: readonly ResourceType[], unreachable: ReadonlySet<string> = new Set()): Promise<void> {
    const known = served.filter((type) => isCollectable(type) && !unreachable.has(apiVersionOf(type)));
    const wanted = new Map(known.map((type) => [nameOf(type), type as ResourceType<KubernetesObject>]));
    for (const [type, monitor] of this.#monitors) {
      if (wanted.delete(nameOf(type)) || unreachable.has(apiVersionOf(type))) continue;
      this.#monitors.delete(type);
      this.#byKind.delete(kindOf(type.group, type.kind));
      monitor.registration.remove();
      await this.#informers.drop(type);
    }
    for (const type of wanted.values()) {
      const informer = this.#informers.informer(type);
      informer.addIndex(ownerIndex, ownerUids);
      this.#monitors.set(type, { informer, registration: informer.addHandler(this.#handlerFor(type)) });
      this.#byKind.set(kindOf(type.group, type.kind), type);
      informer.start();
    }
  }

  /** The watched resource of this name, as in keys. */
  typeNamed(name: string): ResourceType<KubernetesObject> | undefined {
    for (const type of this.#monitors.keys()) if (nameOf(type) === name) return type as ResourceType<KubernetesObject>;
    return undefined;
  }

  /** The resource that a reference's apiVersion and kind mean. */
  typeOf(reference: OwnerReference): ResourceType<KubernetesObject> | undefined {
    const slash = reference.apiVersion.indexOf("/");
    return this.#byKind.get(kindOf(slash < 0 ? "" : reference.apiVersion.slice(0, slash), reference.kind));
  }

  get(type: ResourceType, key: string): KubernetesObject | undefined {
    return this.#monitors.get(type)?.informer.get(key);
  }

  /** The owner that an object's reference points to, where the cache has it. */
  ownerOf(dependent: KubernetesObject, reference: OwnerReference): Resident | undefined {
    const type = this.typeOf(reference);
    if (!type) return undefined;
    const { namespace = "" } = dependent.metadata;
    const object = this.get(type, type.namespaced ? `${namespace}/${reference.name}` : reference.name);
    return object?.metadata.uid === reference.uid ? { type, object } : undefined;
  }

  dependentsOf(uid: string): readonly Resident[] {
    const found: Resident[] = [];
    for (const [type, { informer }] of this.#monitors) {
      for (const object of informer.byIndex(ownerIndex, uid)) found.push({ type: type as ResourceType<KubernetesObject>, object });
    }
    return found;
  }

  /** Where else an object of this uid lies: for references across namespaces. Looks at every object of the type. */
  isElsewhere(reference: OwnerReference, namespace: string): boolean {
    const type = this.typeOf(reference);
    const monitor = type && this.#monitors.get(type);
    for (const { metadata } of monitor?.informer.list() ?? []) {
      if (metadata.uid === reference.uid) return metadata.namespace !== undefined && metadata.namespace !== namespace;
    }
    return false;
  }

  stop(): void {
    for (const { registration } of this.#monitors.values()) registration.remove();
  }
}

/** Events come and go by the thousand and own nothing. */
function isCollectable(type: ResourceType): boolean {
  if (type.resource === "events" && (type.group === "" || type.group === "events.k8s.io")) return false;
  return ["list", "watch", "delete"].every((verb) => type.verbs.includes(verb));
}

/** "apps/v1/deployments": a resource in keys of the queue. */
export function nameOf(type: ResourceType): string {
  return `${type.group}/${type.version}/${type.resource}`;
}

function kindOf(group: string, kind: string): string {
  return `${group}/${kind}`;
}

/** "apps/v1/deployments shop/web uid": what a key of the queue stands for. */
export function queueKey({ type, object }: Resident): string {
  return `${nameOf(type)} ${keyOf(object)} ${object.metadata.uid}`;
}

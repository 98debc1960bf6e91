// garbage-collector-controller: deletes what has lost all its owners, and carries out foreground and orphaning deletion.
// Reacts to changes of any resource (ownership.ts), decides with planCollection, and asks the API server before it deletes:
// a cache that lags must never cost an object.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { apiservices, customresourcedefinitions } from "../../api/resources.generated.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import { LruMap } from "../../base/lru-map.ts";
import { discoverResources } from "../../client/discovery.ts";
import type { InformerHandler } from "../../client/informer.ts";
import { TerminalError } from "../../client/work-queue.ts";
import type { Controller, ControllerContext } from "../controller.ts";
import { Ownership, queueKey, type Resident } from "./ownership.ts";
import {
  foregroundFinalizer,
  isDeletingDependents,
  isOrphaningDependents,
  type OwnerState,
  orphanFinalizer,
  planCollection,
} from "./plan-collection.ts";
import { StaleVersions } from "./stale-versions.ts";

const rediscoverMs = 30_000;
const maxAbsentOwners = 500;

export const garbageCollector: Controller = {
  name: "garbage-collector-controller",
  serviceAccount: "generic-garbage-collector",
  workers: 20,
  create(context) {
    const collector = new GarbageCollector(context);
    return {
      watches: [],
      reconcile: async (key, { signal }) => {
        await collector.collect(key, signal);
        return undefined;
      },
      start: () => collector.start(),
    };
  },
};

class GarbageCollector {
  readonly #context: ControllerContext;
  readonly #ownership: Ownership;
  readonly #stale = new StaleVersions();
  /** Owners that are known not to exist, by their coordinates: their dependents need not ask one by one. */
  readonly #absent = new LruMap<string, true>(maxAbsentOwners);

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#ownership = new Ownership(context.informers, (type) => this.#handlerFor(type));
  }

  /** Watches everything that is served, and what is served. */
  start(): Running {
    const { clock, informers, logger } = this.#context;
    const stopping = new AbortController();
    let running = Promise.resolve();
    const rediscover = (): void => {
      running = running
        .then(() => (stopping.signal.aborted ? undefined : this.#discover(stopping.signal)))
        .catch((error: unknown) => {
          if (!stopping.signal.aborted) logger.warn("Failed to discover what is served", { error });
        });
    };
    // Handlers are told of all that is there first: that is the first discovery too, where there is anything.
    const registrations = [customresourcedefinitions, apiservices].map((type) => {
      const informer = informers.informer(type as ResourceType<KubernetesObject>);
      informer.start();
      return informer.addHandler({ onAdd: rediscover, onUpdate: rediscover, onDelete: rediscover });
    });
    const timer = clock.every(rediscoverMs, rediscover);
    rediscover();
    return {
      stop: async () => {
        stopping.abort(new Error("the garbage collector is stopped"));
        timer.cancel();
        for (const registration of registrations) registration.remove();
        await running;
        this.#ownership.stop();
      },
    };
  }

  async #discover(signal: AbortSignal): Promise<void> {
    const { client, metrics } = this.#context;
    const { resources, stale } = await discoverResources(client, { signal }).catch((error: unknown) => {
      metrics?.own.count("garbagecollector_controller_resources_sync_error_total");
      throw error;
    });
    const news = this.#stale.news(stale, this.#context.clock.monotonic());
    if (news.length > 0) this.#context.logger.warn("Some group versions cannot be discovered", { stale: news.join(",") });
    await this.#ownership.follow(resources, new Set(stale));
  }

  #handlerFor(type: ResourceType<KubernetesObject>): InformerHandler<KubernetesObject> {
    return {
      onAdd: (object) => this.#changed({ type, object }),
      onUpdate: (object, previous) => {
        this.#changed({ type, object });
        // An owner may have waited for a reference that is gone now.
        this.#tellWaitingOwners(previous);
      },
      onDelete: (object) => {
        this.#tellWaitingOwners(object);
        for (const dependent of this.#ownership.dependentsOf(object.metadata.uid)) this.#enqueue(dependent);
      },
    };
  }

  #changed(resident: Resident): void {
    const { object } = resident;
    if (isOrphaningDependents(object) || isDeletingDependents(object)) this.#enqueue(resident);
    const references = object.metadata.ownerReferences;
    if (!references) return;
    this.#tellWaitingOwners(object);
    const suspect = references.some((reference) => {
      const owner = this.#ownership.ownerOf(object, reference);
      return !owner || isDeletingDependents(owner.object);
    });
    if (suspect) this.#enqueue(resident);
  }

  #tellWaitingOwners(object: KubernetesObject): void {
    for (const reference of object.metadata.ownerReferences ?? []) {
      const owner = this.#ownership.ownerOf(object, reference);
      if (owner && isDeletingDependents(owner.object)) this.#enqueue(owner);
    }
  }

  #enqueue(resident: Resident): void {
    this.#context.enqueue(queueKey(resident));
  }

  /** Looks at one object, and does what is to be done about it. */
  async collect(key: string, signal: AbortSignal): Promise<void> {
    const [typeName = "", objectKey = "", uid = ""] = key.split(" ");
    const type = this.#ownership.typeNamed(typeName);
    const object = type && this.#ownership.get(type, objectKey);
    if (!type || object?.metadata.uid !== uid) return;
    const resident = { type, object };
    if (isOrphaningDependents(object)) await this.#orphanDependents(resident, signal);
    else if (isDeletingDependents(object)) await this.#finishForeground(resident, signal);
    else if (object.metadata.deletionTimestamp === undefined) await this.#collectIfUnowned(resident, signal);
  }

  /** Its dependents lose their reference to it, then it goes. */
  async #orphanDependents(owner: Resident, signal: AbortSignal): Promise<void> {
    this.#requireSynced();
    const { uid } = owner.object.metadata;
    for (const dependent of this.#ownership.dependentsOf(uid)) {
      const latest = await this.#latest(dependent, signal);
      if (latest) await this.#dropReferences({ ...dependent, object: latest }, [uid], signal);
    }
    await this.#removeFinalizer(owner, orphanFinalizer, signal);
  }

  /** Its dependents are to be deleted; it goes when none blocks it any more. */
  async #finishForeground(owner: Resident, signal: AbortSignal): Promise<void> {
    this.#requireSynced();
    const { uid } = owner.object.metadata;
    const dependents = this.#ownership.dependentsOf(uid);
    for (const dependent of dependents) if (!isDeletingDependents(dependent.object)) this.#enqueue(dependent);
    const isBlocking = (reference: OwnerReference): boolean => reference.uid === uid && reference.blockOwnerDeletion === true;
    const isBlocked = dependents.some(({ object }) => object.metadata.ownerReferences?.some(isBlocking));
    if (!isBlocked) await this.#removeFinalizer(owner, foregroundFinalizer, signal);
  }

  /** A cache that is not complete cannot say that there are no dependents. */
  #requireSynced(): void {
    if (!this.#ownership.hasSynced) throw new Error("not every resource has been listed yet");
  }

  async #collectIfUnowned(resident: Resident, signal: AbortSignal): Promise<void> {
    const object = await this.#latest(resident, signal);
    if (!object) return;
    const latest = { type: resident.type, object };
    const dependents = this.#ownership.dependentsOf(object.metadata.uid);
    const plan = planCollection({
      object,
      owners: await this.#ownerStates(object, signal),
      hasDependents: dependents.length > 0,
      hasWaitingDependents: dependents.some((dependent) => isDeletingDependents(dependent.object)),
    });
    if (plan.kind === "dropReferences") await this.#dropReferences(latest, plan.uids, signal);
    if (plan.kind !== "delete") return;
    let { resourceVersion } = object.metadata;
    if (plan.unblockFirst) {
      const ownerReferences = object.metadata.ownerReferences?.map((reference) => ({ ...reference, blockOwnerDeletion: false }));
      const unblocked = await this.#patchMetadata(latest, { ownerReferences }, signal);
      resourceVersion = unblocked?.metadata.resourceVersion ?? resourceVersion;
    }
    const { namespace = "", name, uid } = object.metadata;
    const body = { propagationPolicy: plan.propagation, preconditions: { uid, resourceVersion } };
    await ignoreNotFound(this.#context.client.delete(resident.type, { namespace, name }, { signal, body }));
  }

  async #ownerStates(object: KubernetesObject, signal: AbortSignal): Promise<ReadonlyMap<string, OwnerState>> {
    const states = new Map<string, OwnerState>();
    for (const reference of object.metadata.ownerReferences ?? [])
      states.set(reference.uid, await this.#ownerState(object, reference, signal));
    return states;
  }

  async #ownerState(object: KubernetesObject, reference: OwnerReference, signal: AbortSignal): Promise<OwnerState> {
    const type = this.#ownership.typeOf(reference);
    const { namespace = "" } = object.metadata;
    const coordinates = [
      reference.apiVersion,
      reference.kind,
      type?.namespaced === false ? "" : namespace,
      reference.name,
      reference.uid,
    ].join("|");
    if (this.#absent.get(coordinates)) return "dangling";
    if (!type) throw new Error(`unknown kind of owner ${reference.apiVersion} ${reference.kind} of ${namespace}/${object.metadata.name}`);
    if (type.namespaced && namespace === "") {
      this.#reportNamespace(object, reference);
      throw new TerminalError(`the cluster-scoped ${object.kind} ${object.metadata.name} refers to a namespaced owner`);
    }
    const { client } = this.#context;
    const owner =
      this.#ownership.ownerOf(object, reference)?.object ??
      (await ignoreNotFound(
        client.get(type, type.namespaced ? { namespace, name: reference.name } : { name: reference.name }, { signal }),
      ));
    if (owner?.metadata.uid === reference.uid) return isDeletingDependents(owner) ? "waiting" : "solid";
    if (this.#ownership.isElsewhere(reference, namespace)) this.#reportNamespace(object, reference);
    this.#absent.set(coordinates, true);
    return "dangling";
  }

  /** Owners must be in the namespace of what they own, or have none: the cause is told, for the deletion surprises. */
  #reportNamespace(object: KubernetesObject, { apiVersion, kind, name, uid }: OwnerReference): void {
    const { namespace = "" } = object.metadata;
    const message = `ownerRef [${apiVersion}/${kind}, namespace: ${namespace}, name: ${name}, uid: ${uid}] does not exist in namespace "${namespace}"`;
    this.#context.recorder.record(object, { type: "Warning", reason: "OwnerRefInvalidNamespace", message });
  }

  /** The object as the server has it; undefined where it is gone or another has taken its name. */
  async #latest({ type, object }: Resident, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    const { namespace = "", name, uid } = object.metadata;
    const latest = await ignoreNotFound(this.#context.client.get(type, { namespace, name }, { signal }));
    return latest?.metadata.uid === uid ? latest : undefined;
  }

  async #dropReferences(resident: Resident, uids: readonly string[], signal: AbortSignal): Promise<void> {
    const ownerReferences = resident.object.metadata.ownerReferences?.filter((reference) => !uids.includes(reference.uid));
    await this.#patchMetadata(resident, { ownerReferences }, signal);
  }

  async #removeFinalizer(resident: Resident, finalizer: string, signal: AbortSignal): Promise<void> {
    const object = await this.#latest(resident, signal);
    if (!object?.metadata.finalizers?.includes(finalizer)) return;
    const finalizers = object.metadata.finalizers.filter((item) => item !== finalizer);
    await this.#patchMetadata({ type: resident.type, object }, { finalizers }, signal);
  }

  /** A merge patch, which custom resources take too; the version in it makes sure that nothing changed meanwhile. */
  #patchMetadata({ type, object }: Resident, change: object, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    const { namespace = "", name, uid, resourceVersion } = object.metadata;
    const patch = { metadata: { uid, resourceVersion, ...change } };
    return ignoreNotFound(this.#context.client.patch(type, { namespace, name }, patch, { type: "merge", signal }));
  }
}

async function ignoreNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

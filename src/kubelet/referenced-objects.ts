// The ConfigMaps and Secrets that pods on this node refer to. Each is fetched when first asked for and then watched alone
// (a kubelet may not watch all), until no pod of the node refers to it. Changes wake the pods that do. Immutable objects
// are not watched. What does not exist is watched as well: its pods start as soon as it is made.
import { isStatus, notFound } from "../api/meta/status-error.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { configmaps, secrets } from "../api/resources.generated.ts";
import type { ConfigMap, Container, Pod, Secret } from "../api/types/core-v1.ts";
import { backoffDelay } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client, WatchEvent } from "../client/client.ts";
import type { ReferencedObjects } from "./containers/environment.ts";
import { allContainers } from "./pods/pod-spec.ts";

type Referenced = ConfigMap | Secret;

interface Entry {
  readonly type: ResourceType<Referenced>;
  readonly namespace: string;
  readonly name: string;
  readonly users: Set<string>;
  readonly abort: AbortController;
  /** Settles with the first answer. */
  first: Promise<void>;
  /** There was none. */
  failed: boolean;
  object: Referenced | undefined;
  watching: Promise<void>;
}

export interface ReferencedObjectsDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Something this pod refers to has changed. */
  readonly onChange: (podUid: string) => void;
}

const retryMs = 5_000;
const firstAnswerMs = 1_000;

export class ReferencedObjectCache implements ReferencedObjects, Running {
  readonly #deps: ReferencedObjectsDependencies;
  readonly #entries = new Map<string, Entry>();

  constructor(deps: ReferencedObjectsDependencies) {
    this.#deps = deps;
  }

  /** The pod is to be told of changes of what it refers to. */
  register(pod: Pod): void {
    const wanted = new Set(referencesOf(pod).map(({ type, name }) => this.#use(type, pod.metadata.namespace, name, pod.metadata.uid)));
    for (const [key, entry] of this.#entries) if (!wanted.has(key)) this.#leave(key, entry, pod.metadata.uid);
  }

  unregister(podUid: string): void {
    for (const [key, entry] of this.#entries) this.#leave(key, entry, podUid);
  }

  configMap(namespace: string, name: string): Promise<ConfigMap> {
    return this.#get(configmaps, namespace, name);
  }

  secret(namespace: string, name: string): Promise<Secret> {
    return this.#get(secrets, namespace, name);
  }

  async stop(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const { abort } of entries) abort.abort();
    await Promise.all(entries.map((e) => e.watching));
  }

  async #get<T extends Referenced>(type: ResourceType<T>, namespace: string, name: string): Promise<T> {
    const entry = this.#entries.get(keyOf(type, namespace, name));
    // In the singular, as the kubelet's messages have it.
    const missing = (): Error => notFound({ group: type.group, resource: type.singular }, name);
    // Nobody registered it, as for image pull secrets: asked for once.
    if (!entry)
      return await this.#deps.client.get(type, { namespace, name }).catch((error: unknown) => {
        throw isStatus(error, "NotFound") ? missing() : error;
      });
    if (entry.failed) this.#begin(entry);
    await entry.first;
    if (!entry.object) throw missing();
    // An entry's key contains the resource, so its object is of this type.
    return entry.object as T;
  }

  #use(type: ResourceType<Referenced>, namespace: string, name: string, podUid: string): string {
    const key = keyOf(type, namespace, name);
    const known = this.#entries.get(key);
    if (known) known.users.add(podUid);
    else this.#add(key, type, namespace, name, podUid);
    return key;
  }

  #add(key: string, type: ResourceType<Referenced>, namespace: string, name: string, podUid: string): void {
    const idle = Promise.resolve();
    const abort = new AbortController();
    const about = { type, namespace, name, users: new Set([podUid]), abort };
    const entry: Entry = { ...about, first: idle, failed: false, object: undefined, watching: idle };
    this.#entries.set(key, entry);
    this.#begin(entry);
  }

  #begin(entry: Entry): void {
    entry.failed = false;
    const fetched = this.#fetchFirst(entry);
    entry.first = fetched.then(
      () => undefined,
      (error: unknown) => {
        // The next one who asks tries again.
        entry.failed = true;
        throw error;
      },
    );
    entry.first.catch(() => undefined);
    entry.watching = fetched.then(
      (version) => this.#watch(entry, version),
      () => undefined,
    );
  }

  #leave(key: string, entry: Entry, podUid: string): void {
    if (!entry.users.delete(podUid) || entry.users.size > 0) return;
    entry.abort.abort();
    this.#entries.delete(key);
  }

  /** A pod may be known here before the API server's authorizer has heard of it: then it is asked again for a second. */
  async #fetchFirst(entry: Entry): Promise<string> {
    const { clock } = this.#deps;
    const untilMs = clock.monotonic() + firstAnswerMs;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#fetch(entry);
      } catch (error) {
        if (!isStatus(error, "Forbidden")) throw error;
        if (clock.monotonic() > untilMs)
          throw new Error(`failed to sync ${entry.type.singular} cache: timed out waiting for the condition`, { cause: error });
        await clock.sleep(backoffDelay(tries, { baseMs: 20, maxMs: 200 }), entry.abort.signal);
      }
    }
  }

  /** Returns the version to watch from. */
  async #fetch(entry: Entry): Promise<string> {
    const { type, namespace, name, abort } = entry;
    const options = { namespace, fieldSelector: `metadata.name=${name}`, signal: abort.signal };
    const list = await this.#deps.client.list(type, options);
    entry.object = list.items[0];
    return list.metadata.resourceVersion ?? "";
  }

  async #watch(entry: Entry, from: string): Promise<void> {
    const { client, clock, logger } = this.#deps;
    const { type, namespace, name, abort } = entry;
    const { signal } = abort;
    let version: string | undefined = from;
    while (!signal.aborted && entry.object?.immutable !== true) {
      try {
        if (version === undefined) {
          version = await this.#fetch(entry);
          this.#notify(entry);
        }
        const selector = { namespace, fieldSelector: `metadata.name=${name}`, allowWatchBookmarks: true };
        const batches: AsyncIterable<readonly WatchEvent<Referenced>[]> = await client.watch(type, {
          ...selector,
          resourceVersion: version,
          signal,
        });
        for await (const events of batches)
          for (const event of events) {
            version = event.object.metadata.resourceVersion;
            if (event.type === "BOOKMARK") continue;
            entry.object = event.type === "DELETED" ? undefined : event.object;
            this.#notify(entry);
          }
      } catch (error) {
        if (signal.aborted) return;
        if (isStatus(error, "Expired", "Gone")) version = undefined;
        else {
          logger.info(
            "Watching a referenced object failed",
            { [type.resource]: `${namespace}/${name}`, error: (error as Error).message },
            2,
          );
          await clock.sleep(retryMs, signal).catch(() => undefined);
        }
      }
    }
  }

  #notify(entry: Entry): void {
    for (const uid of entry.users) this.#deps.onChange(uid);
  }
}

function keyOf(type: ResourceType, namespace: string, name: string): string {
  return `${type.resource}/${namespace}/${name}`;
}

interface Reference {
  readonly type: ResourceType<Referenced>;
  readonly name: string;
}

/** Every ConfigMap and Secret the containers and volumes of a pod name. */
function referencesOf(pod: Pod): readonly Reference[] {
  const found: Reference[] = [];
  const add = (type: ResourceType<ConfigMap> | ResourceType<Secret>, name: string | undefined): void => {
    // Only read: a type of ConfigMaps or of Secrets serves as one of either.
    if (name) found.push({ type: type as ResourceType<Referenced>, name });
  };
  for (const container of allContainers(pod.spec)) addEnvironment(container, add);
  for (const volume of pod.spec.volumes ?? []) {
    add(configmaps, volume.configMap?.name);
    add(secrets, volume.secret?.secretName);
    for (const source of volume.projected?.sources ?? []) {
      add(configmaps, source.configMap?.name);
      add(secrets, source.secret?.name);
    }
  }
  return found;
}

function addEnvironment(
  container: Container,
  add: (type: ResourceType<ConfigMap> | ResourceType<Secret>, name: string | undefined) => void,
): void {
  for (const { configMapRef, secretRef } of container.envFrom ?? []) {
    add(configmaps, configMapRef?.name);
    add(secrets, secretRef?.name);
  }
  for (const { valueFrom } of container.env ?? []) {
    add(configmaps, valueFrom?.configMapKeyRef?.name);
    add(secrets, valueFrom?.secretKeyRef?.name);
  }
}

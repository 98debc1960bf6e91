// Keeps a mirror of one collection current, as client-go's reflector does: one list, then watches that go on from its
// resource version, moved forward by bookmarks. A watch that ends is taken up where it was; one whose version the server
// no longer has (410) begins with a new list. Failures are waited out with back-off and jitter, so that many clients do
// not come back to a server at the same moment.
import type { KubernetesObject } from "../api/meta/object.ts";
import { isStatus, StatusError } from "../api/meta/status-error.ts";
import { groupResourceOf, type ResourceType } from "../api/resource-type.ts";
import { Backoff } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client, ObjectList, WatchEvent } from "./client.ts";
import type { InformerOptions } from "./informer.ts";

export interface ReflectorSink<T> {
  /** All there is, at once. */
  replaced(objects: readonly T[]): void;
  changed(type: "ADDED" | "MODIFIED" | "DELETED", object: T): void;
}

export interface ReflectorDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

const backoffOptions = { baseMs: 800, maxMs: 30_000, jitter: 1 };
/** A connection that held for so long was good: the next failure is a first one. */
const steadyMs = 120_000;
const minWatchSeconds = 300;
const listTimeoutMs = 60_000;

export class Reflector<T extends KubernetesObject> implements Running {
  readonly #type: ResourceType<T>;
  readonly #scope: InformerOptions;
  readonly #deps: ReflectorDeps;
  readonly #sink: ReflectorSink<T>;
  readonly #abort = new AbortController();
  readonly #backoff: Backoff;
  /** Where the next watch begins; undefined when a list is needed first. */
  #resourceVersion: string | undefined;
  /** What the next list has to be at least as new as: "0" is whatever the server's cache has, "" the newest. */
  #listFrom = "0";
  #delivered: string | undefined;
  #running: Promise<void> | undefined;

  constructor(type: ResourceType<T>, scope: InformerOptions, deps: ReflectorDeps, sink: ReflectorSink<T>) {
    this.#type = type;
    this.#scope = scope;
    this.#deps = deps;
    this.#sink = sink;
    this.#backoff = new Backoff(backoffOptions, () => deps.clock.random());
  }

  /** The newest version delivered to the sink; undefined before the first list. */
  get resourceVersion(): string | undefined {
    return this.#delivered;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error("the informer is stopped"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#deps;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const startedMs = clock.monotonic();
      try {
        if (this.#resourceVersion === undefined) this.#resourceVersion = await this.#list();
        await this.#watch(this.#resourceVersion);
        // A watch that the server ends at once would otherwise be asked for in a tight loop.
        if (clock.monotonic() - startedMs < 1000) await this.#pause(this.#backoff.next());
        else this.#backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        if (clock.monotonic() - startedMs > steadyMs) this.#backoff.reset();
        if (this.#mustListAgain(error)) {
          logger.info("Listing again", { resource: groupResourceOf(this.#type), error }, 4);
          continue;
        }
        logger.warn("Failed to list or watch", { resource: groupResourceOf(this.#type), error });
        await this.#pause(this.#backoff.next());
      }
    }
  }

  async #list(): Promise<string> {
    let list: ObjectList<T>;
    const options = { ...this.#scope, signal: this.#abort.signal, timeoutMs: listTimeoutMs };
    try {
      list = await this.#deps.client.list(this.#type, { ...options, ...(this.#listFrom ? { resourceVersion: this.#listFrom } : {}) });
    } catch (error) {
      // The server cannot give what is at least as new as we have seen (restored from a backup, a replica behind): take
      // its newest instead.
      if (this.#listFrom === "" || !(isVersionGone(error) || isVersionTooLarge(error))) throw error;
      list = await this.#deps.client.list(this.#type, options);
    }
    const { resourceVersion } = list.metadata;
    if (!resourceVersion) throw new Error(`the list of ${groupResourceOf(this.#type)} has no resourceVersion`);
    if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
    this.#listFrom = resourceVersion;
    this.#sink.replaced(list.items);
    this.#delivered = resourceVersion;
    return resourceVersion;
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { client, clock } = this.#deps;
    const timeoutSeconds = Math.floor(minWatchSeconds * (1 + clock.random()));
    const { signal } = this.#abort;
    const options = { ...this.#scope, resourceVersion, allowWatchBookmarks: true, timeoutSeconds, signal };
    for await (const batch of await client.watch(this.#type, options)) {
      if (signal.aborted) return;
      for (const event of batch) this.#take(event);
    }
  }

  #take(event: WatchEvent<T>): void {
    if (event.type !== "BOOKMARK") this.#sink.changed(event.type, event.object);
    this.#resourceVersion = event.object.metadata.resourceVersion;
    this.#listFrom = this.#resourceVersion;
    this.#delivered = this.#resourceVersion;
  }

  /** Whether the version we were to go on from is gone: then a list is needed at once, without waiting. */
  #mustListAgain(error: unknown): boolean {
    if (!isVersionGone(error)) {
      // Any other refusal may be about our version too; a broken connection is not, its watch goes on where it was.
      if (error instanceof StatusError) this.#resourceVersion = undefined;
      return false;
    }
    const watched = this.#resourceVersion !== undefined;
    this.#resourceVersion = undefined;
    if (!watched) this.#listFrom = "";
    return watched;
  }

  async #pause(delayMs: number): Promise<void> {
    await this.#deps.clock.sleep(delayMs, this.#abort.signal).catch((reason: unknown) => {
      if (!this.#abort.signal.aborted) throw reason;
    });
  }
}

function isVersionGone(error: unknown): boolean {
  return isStatus(error, "Expired", "Gone");
}

function isVersionTooLarge(error: unknown): boolean {
  if (!isStatus(error, "Timeout")) return false;
  return error.status.details?.causes?.some((cause) => cause.reason === "ResourceVersionTooLarge") ?? false;
}

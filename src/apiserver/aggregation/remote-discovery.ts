// What extension servers serve, by their own word: asked for when an APIService appears or changes, once a minute, and with
// back-off where it fails. A server that cannot be reached keeps what it said last, marked as stale; nothing waits for it.
import type { Clock } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { DiscoveredResource, RemoteVersion } from "../discovery/documents.ts";
import { aggregatorUser } from "./availability.ts";
import type { Backend } from "./backend.ts";
import type { BackendListener, Backends } from "./backends.ts";
import { fetchDocument } from "./fetch-document.ts";
import { type RemoteResources, readGroupDiscoveryList, readResourceList } from "./remote-documents.ts";

export interface RemoteDiscoveryDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly backends: Backends;
}

const workers = 2;
const refreshMs = 60_000;
const backoff = { baseMs: 500, maxMs: refreshMs };
const timeoutMs = 5000;
const maxDocumentBytes = 4 * 1024 * 1024;
const notKnown: RemoteVersion = { resources: [], freshness: "Stale" };
const aggregatedTypes = ["v2", "v2beta1"].map((version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`);

/** What a service has said, for all its group versions. */
interface ServiceDocument {
  readonly resources: RemoteResources;
  readonly etag: string;
  /** Its answer shows what was true then. */
  readonly askedAtMs: number;
}

export class RemoteDiscovery implements BackendListener, Running {
  readonly #deps: RemoteDiscoveryDeps;
  readonly #queue: KeyedQueue<string>;
  readonly #versions = new Map<string, RemoteVersion>();
  /** When each APIService was last seen to change. */
  readonly #changedAtMs = new Map<string, number>();
  readonly #documents = new Map<string, ServiceDocument>();
  #generation = 0;

  constructor(deps: RemoteDiscoveryDeps) {
    this.#deps = deps;
    const metrics = deps.queues?.hooks("DiscoveryController");
    this.#queue = new KeyedQueue<string>({
      clock: deps.clock,
      workers,
      backoff,
      work: (name, signal) => this.#refresh(name, signal),
      ...(metrics ? { metrics } : {}),
    });
    deps.queues?.measure("DiscoveryController", this.#queue);
    this.#queue.start();
  }

  /** Another number when some version() has changed. */
  get generation(): number {
    return this.#generation;
  }

  /** By the name of the APIService. */
  version(apiService: string): RemoteVersion {
    return this.#versions.get(apiService) ?? notKnown;
  }

  onChange({ apiService }: Backend): void {
    this.#changedAtMs.set(apiService, this.#deps.clock.monotonic());
    this.#queue.add(apiService);
  }

  onRemove({ apiService, service }: Backend): void {
    this.#changedAtMs.delete(apiService);
    if (this.#versions.delete(apiService)) this.#generation++;
    const key = serviceKey(service);
    for (const other of this.#deps.backends.all()) if (serviceKey(other.service) === key) return;
    this.#documents.delete(key);
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #refresh(name: string, signal: AbortSignal): Promise<KeyOutcome> {
    const backend = this.#deps.backends.get(name);
    if (!backend) return { kind: "done" };
    try {
      const resources = await this.#ask(backend, signal);
      if (this.#deps.backends.get(name) === backend) this.#set(name, { resources, freshness: "Current" });
      return { kind: "after", delayMs: refreshMs };
    } catch (error) {
      if (signal.aborted) return { kind: "retry" };
      this.#deps.logger.info("Discovery of an API service failed", { apiService: name, error }, 2);
      if (this.#deps.backends.get(name) === backend) this.#set(name, { ...this.version(name), freshness: "Stale" });
      return { kind: "retry" };
    }
  }

  #set(name: string, version: RemoteVersion): void {
    const known = this.#versions.get(name);
    if (known?.freshness === version.freshness && known.resources === version.resources) return;
    this.#versions.set(name, version);
    this.#generation++;
  }

  async #ask(backend: Backend, signal: AbortSignal): Promise<readonly DiscoveredResource[]> {
    const key = serviceKey(backend.service);
    const known = this.#documents.get(key);
    const groupVersion = `${backend.group}/${backend.version}`;
    // Several group versions of one service are described by one document.
    const changedAtMs = this.#changedAtMs.get(backend.apiService) ?? 0;
    const askedAtMs = this.#deps.clock.monotonic();
    if (known && known.askedAtMs > Math.max(changedAtMs, askedAtMs - refreshMs / 2)) return known.resources.get(groupVersion) ?? [];
    const common = { user: aggregatorUser, timeoutMs, maxBytes: maxDocumentBytes, signal };
    const request = { ...common, path: "/apis", accept: aggregatedTypes.join(","), etag: known?.etag };
    const answer = await fetchDocument(backend, request, this.#deps.clock);
    if (known && answer.status === 304) {
      this.#documents.set(key, { ...known, askedAtMs });
      return known.resources.get(groupVersion) ?? [];
    }
    if (answer.status === 503) throw new Error(`service ${key} returned non-success response code: ${answer.status}`);
    if (answer.status === 200 && answer.contentType.includes("as=APIGroupDiscoveryList")) {
      const resources = readGroupDiscoveryList(answer.text);
      this.#documents.set(key, { resources, etag: answer.etag, askedAtMs });
      return resources.get(groupVersion) ?? [];
    }
    const older = await fetchDocument(backend, { ...common, path: backend.root }, this.#deps.clock);
    if (older.status !== 200) throw new Error(`failed to download legacy discovery for ${backend.root}: status ${older.status}`);
    return this.#sameAsBefore(backend.apiService, readResourceList(older.text));
  }

  /** The list of before where it says the same, so that nobody takes it for a change. */
  #sameAsBefore(name: string, resources: readonly DiscoveredResource[]): readonly DiscoveredResource[] {
    const before = this.version(name).resources;
    return JSON.stringify(before) === JSON.stringify(resources) ? before : resources;
  }
}

const serviceKey = ({ namespace, name, port }: Backend["service"]): string => `${namespace}/${name}:${port}`;

// Keeps an APIService for every group version that this server serves itself: for the built-in ones at the start, for those of
// custom resource definitions as they come and go. What to do is decided in decide-registration.ts.
import { isStatus } from "../../api/meta/status-error.ts";
import { apiservices, customresourcedefinitions } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { Informer } from "../../client/informer.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { decideRegistration, type WantedApiService } from "./decide-registration.ts";
import { apiServiceName, builtInPriority, customPriority, type GroupVersion } from "./group-priorities.ts";

export interface AutoRegistrationDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly reader: AdmissionReader;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface AutoRegistration extends Running {
  /** Names of built-in APIServices that have not been seen available yet. */
  readonly missing: readonly string[];
  /** Resolves when none is missing. */
  readonly completed: Promise<void>;
}

const workers = 5;
const done: KeyOutcome = { kind: "done" };

/** `builtIn`: the group versions that are served whatever happens. */
export function startAutoRegistration(deps: AutoRegistrationDeps, builtIn: readonly GroupVersion[]): AutoRegistration {
  return new Registration(deps, builtIn);
}

class Registration implements AutoRegistration {
  readonly completed: Promise<void>;
  readonly #deps: AutoRegistrationDeps;
  readonly #services: Informer<APIService>;
  readonly #definitions: Informer<CustomResourceDefinition>;
  readonly #wanted = new Map<string, WantedApiService>();
  readonly #missing = new Set<string>();
  /** By the name of an APIService: the definitions that serve its version. */
  readonly #definers = new Map<string, Set<string>>();
  readonly #synced = new Set<string>();
  readonly #atStart = new Set<string>();
  readonly #queue: KeyedQueue<string>;
  readonly #handlers: readonly { remove(): void }[];
  #complete: () => void = () => undefined;

  constructor(deps: AutoRegistrationDeps, builtIn: readonly GroupVersion[]) {
    this.#deps = deps;
    this.completed = new Promise((resolve) => {
      this.#complete = resolve;
    });
    for (const served of builtIn) {
      const priority = builtInPriority(served);
      if (!priority) continue;
      this.#wanted.set(apiServiceName(served), { ...served, priority, managed: "onstart" });
      this.#missing.add(apiServiceName(served));
    }
    const metrics = deps.queues?.hooks("autoregister");
    this.#queue = new KeyedQueue<string>({
      clock: deps.clock,
      workers,
      work: (name, signal) => this.#sync(name, signal),
      ...(metrics ? { metrics } : {}),
    });
    deps.queues?.measure("autoregister", this.#queue);
    this.#services = deps.reader.informer(apiservices);
    this.#definitions = deps.reader.informer(customresourcedefinitions);
    this.#handlers = this.#follow();
    this.#services.start();
    this.#definitions.start();
    void this.#begin();
  }

  get missing(): readonly string[] {
    return [...this.#missing];
  }

  async stop(): Promise<void> {
    for (const handler of this.#handlers) handler.remove();
    await this.#queue.stop();
  }

  #follow(): readonly { remove(): void }[] {
    const seen = (service: APIService): void => {
      const { name } = service.metadata;
      if (isConditionTrue(service.status?.conditions, "Available") && this.#missing.delete(name) && this.#missing.size === 0)
        this.#complete();
      this.#queue.add(name);
    };
    return [
      this.#services.addHandler({ onAdd: seen, onUpdate: seen, onDelete: ({ metadata }) => this.#queue.add(metadata.name) }),
      this.#definitions.addHandler({
        onAdd: (definition) => this.#define(definition),
        onUpdate: (definition, previous) => this.#define(definition, previous),
        onDelete: (definition) => this.#define(undefined, definition),
      }),
    ];
  }

  /** Nothing is deleted before all definitions are known. */
  async #begin(): Promise<void> {
    try {
      await Promise.all([this.#services.synced(), this.#definitions.synced()]);
    } catch {
      // The caches stop with the server, and so does this.
      return;
    }
    for (const { metadata } of this.#services.list()) this.#atStart.add(metadata.name);
    if (this.#missing.size === 0) this.#complete();
    for (const name of this.#wanted.keys()) this.#queue.add(name);
    this.#queue.start();
  }

  /** The versions that a definition names, or named, are wanted as long as some definition serves them. */
  #define(now: CustomResourceDefinition | undefined, previous?: CustomResourceDefinition): void {
    const definition = now ?? previous;
    if (!definition) return;
    const { group } = definition.spec;
    const served = new Set(now?.spec.versions.filter((v) => v.served).map((v) => v.name));
    const named = [...(previous?.spec.versions ?? []), ...(now?.spec.versions ?? [])].map((v) => v.name);
    for (const version of new Set(named)) {
      const groupVersion = { group, version };
      const name = apiServiceName(groupVersion);
      const isWanted = this.#count(name, definition.metadata.name, served.has(version));
      if (this.#wanted.get(name)?.managed === "onstart") continue;
      if (isWanted) this.#wanted.set(name, { ...groupVersion, priority: customPriority, managed: "true" });
      else this.#wanted.delete(name);
      this.#queue.add(name);
    }
  }

  /** Remembers whether a definition serves a version, and says whether any does. */
  #count(name: string, definition: string, serves: boolean): boolean {
    const definers = this.#definers.get(name) ?? new Set<string>();
    if (serves) definers.add(definition);
    else definers.delete(definition);
    if (definers.size > 0) this.#definers.set(name, definers);
    else this.#definers.delete(name);
    return definers.size > 0;
  }

  async #sync(name: string, signal: AbortSignal): Promise<KeyOutcome> {
    const { client, logger } = this.#deps;
    const action = decideRegistration({
      wanted: this.#wanted.get(name),
      current: this.#services.get(name),
      hasSynced: this.#synced.has(name),
      wasThereAtStart: this.#atStart.has(name),
    });
    try {
      if (action.kind === "create") await client.create(apiservices, action.object, { signal });
      if (action.kind === "update") await client.update(apiservices, action.object, { signal });
      if (action.kind === "delete") {
        const body = { preconditions: { uid: action.object.metadata.uid } };
        await client.delete(apiservices, { name }, { signal, body });
      }
    } catch (error) {
      // Somebody else was faster: the event of it brings the name back here.
      if (!isStatus(error, "AlreadyExists", "Conflict", "NotFound")) {
        if (!signal.aborted) logger.warn("API service not brought up to date", { apiService: name, error });
        return { kind: "retry" };
      }
    }
    this.#synced.add(name);
    return done;
  }
}

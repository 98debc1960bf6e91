// Serves custom resources: follows the CustomResourceDefinitions by the server's own cache, adds and removes their resources,
// and keeps their status (names, Established, termination). What is served changes while the event of a definition is
// applied, so whoever has seen a definition established finds its resource.
import { isStatus } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import { customresourcedefinitions } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import { jsonKey } from "../../api/structural/json.ts";
import type { CustomResourceDefinition } from "../../api/types/apiextensions-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { Informer } from "../../client/informer.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { ResourceStores } from "../registry/stores.ts";
import { AcceptedNames } from "./accepted-names.ts";
import { type ConversionWebhookDeps, createWebhookConverter, type ObjectConverter } from "./conversion-webhook.ts";
import { customDefinitions, customKeySpace, type SchemaCompiler } from "./custom-definition.ts";
import { decideStatus, instanceCleanupFinalizer, isServed, withTermination } from "./decide-status.ts";
import { removeInstances } from "./remove-instances.ts";

export interface CustomResourcesDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  readonly stores: ResourceStores;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly compile: SchemaCompiler;
  /** How conversion webhooks are called. */
  readonly conversion: ConversionWebhookDeps;
}

/** One loop does the work of upstream's several; it is counted under the name of the first. */
const queueName = "crd_naming_condition_controller";
const backoff = { baseMs: 50, maxMs: 30_000 };
const workers = 4;
/** How soon a definition whose objects do not go is looked at again. */
const remainingMs = 1000;

export function startCustomResources(deps: CustomResourcesDeps): Running {
  const served = new ServedDefinitions(deps);
  const definitions = deps.stores.reader.informer(customresourcedefinitions);
  const names = new AcceptedNames();
  const requeue = (waiting: readonly string[]): void => {
    for (const name of waiting) queue.add(name);
  };
  const work = createWork(deps, { definitions, names, requeue });
  const metrics = deps.queues?.hooks(queueName);
  const queue = new KeyedQueue<string>({ clock: deps.clock, workers, backoff, work, ...(metrics ? { metrics } : {}) });
  deps.queues?.measure(queueName, queue);
  const changed = (definition: CustomResourceDefinition): void => {
    requeue(names.put(definition));
    served.serve(definition);
    queue.add(definition.metadata.name);
  };
  const handler = definitions.addHandler({
    onAdd: changed,
    onUpdate: changed,
    onDelete: (definition) => {
      served.forget(definition.metadata.name);
      requeue(names.delete(definition));
    },
  });
  definitions.start();
  void definitions.synced().then(
    () => queue.start(),
    // The cache stops with the server.
    () => undefined,
  );
  return {
    async stop() {
      handler.remove();
      await queue.stop();
    },
  };
}

interface Served {
  /** Another when the resources have to be made anew. */
  readonly key: string;
  readonly types: readonly ResourceType[];
}

const terminating = "create not allowed while custom resource definition is terminating";

/** The resources that the definitions have brought. */
class ServedDefinitions {
  readonly #deps: CustomResourcesDeps;
  readonly #served = new Map<string, Served>();
  readonly #terminating = new Set<string>();

  constructor(deps: CustomResourcesDeps) {
    this.#deps = deps;
  }

  /** Serves the definition as it is now: adds, replaces and removes what has changed. */
  serve(definition: CustomResourceDefinition): void {
    const { name, uid, generation = 0 } = definition.metadata;
    if (isConditionTrue(definition.status?.conditions, "Terminating")) this.#terminating.add(name);
    else this.#terminating.delete(name);
    if (!isServed(definition)) return this.#unserve(name);
    const key = `${uid} ${generation} ${jsonKey(definition.status?.acceptedNames)}`;
    const before = this.#served.get(name);
    if (before?.key === key) return;
    const { stores, compile, conversion } = this.#deps;
    const converterOf = (of: CustomResourceDefinition): ObjectConverter => createWebhookConverter(of, conversion);
    const createRefusal = (): string | undefined => (this.#terminating.has(name) ? terminating : undefined);
    const types: ResourceType[] = [];
    for (const resource of customDefinitions(definition, { compile, converterOf, createRefusal })) {
      // A version that has built-in resources has no others.
      if (stores.hasBuiltIn(resource.type.group, resource.type.version)) continue;
      stores.add(resource);
      types.push(resource.type);
    }
    // Only now: what is served in another way keeps the mirror of its objects.
    for (const type of before?.types ?? []) if (!types.some((now) => isSameResource(now, type))) stores.remove(type);
    this.#served.set(name, { key, types });
  }

  /** The definition is gone. */
  forget(name: string): void {
    this.#unserve(name);
    this.#terminating.delete(name);
  }

  #unserve(name: string): void {
    for (const type of this.#served.get(name)?.types ?? []) this.#deps.stores.remove(type);
    this.#served.delete(name);
  }
}

const isSameResource = (a: ResourceType, b: ResourceType): boolean =>
  a.group === b.group && a.version === b.version && a.resource === b.resource;

interface Work {
  readonly definitions: Informer<CustomResourceDefinition>;
  readonly names: AcceptedNames;
  /** Looks at definitions again for which a name has become free. */
  requeue(waiting: readonly string[]): void;
}

const done: KeyOutcome = { kind: "done" };

function createWork(deps: CustomResourcesDeps, work: Work): (name: string, signal: AbortSignal) => Promise<KeyOutcome> {
  const { logger } = deps;
  return async (name, signal) => {
    try {
      const definition = work.definitions.get(name);
      if (!definition) return done;
      if (await settleStatus(deps, work, definition, signal)) return done;
      return await terminate(deps, definition, signal);
    } catch (error) {
      // The cache is behind: the event that is on its way brings the definition back here, and so does the back-off.
      if (!isStatus(error, "Conflict", "NotFound") && !signal.aborted)
        logger.warn("Custom resource definition not brought up to date", { customResourceDefinition: name, error });
      return { kind: "retry" };
    }
  };
}

/** Writes the status where it has to change. */
async function settleStatus(
  deps: CustomResourcesDeps,
  work: Work,
  definition: CustomResourceDefinition,
  signal: AbortSignal,
): Promise<boolean> {
  const { client, clock } = deps;
  const { names, definitions } = work;
  const status = decideStatus(definition, names.besides(definition), clock.now());
  if (!status) return false;
  // Taken from now on: others are decided on meanwhile.
  const freed = names.put({ ...definition, status });
  try {
    await client.updateStatus(customresourcedefinitions, { ...definition, status }, { signal });
  } catch (error) {
    const now = definitions.get(definition.metadata.name);
    work.requeue(now ? names.put(now) : names.delete(definition));
    throw error;
  }
  work.requeue(freed);
  return true;
}

/** Deletes the objects of a definition that is being deleted, then lets it go. */
async function terminate(deps: CustomResourcesDeps, definition: CustomResourceDefinition, signal: AbortSignal): Promise<KeyOutcome> {
  const { client, clock, stores } = deps;
  const { metadata } = definition;
  if (metadata.deletionTimestamp === undefined || !metadata.finalizers?.includes(instanceCleanupFinalizer)) return done;
  const active = { active: true, reason: "InstanceDeletionInProgress", message: "CustomResource deletion is in progress" };
  const begun = withTermination(definition, active, clock.now());
  if (begun) {
    await client.updateStatus(customresourcedefinitions, { ...definition, status: begun }, { signal });
    return done;
  }
  const { store, prefix } = stores.keySpace(customKeySpace(definition));
  const remaining = await removeInstances(store, { prefix, nowMs: clock.now(), signal });
  if (remaining > 0) return { kind: "after", delayMs: remainingMs };
  const completed = { active: false, reason: "InstanceDeletionCompleted", message: "removed all instances" };
  const finalizers = metadata.finalizers.filter((finalizer) => finalizer !== instanceCleanupFinalizer);
  // One write of the status, which may take finalizers away: whatever else is wrong with the definition does not hold it up.
  const status = withTermination(definition, completed, clock.now()) ?? definition.status;
  const last = { ...definition, metadata: { ...metadata, finalizers }, ...(status ? { status } : {}) };
  await client.updateStatus(customresourcedefinitions, last, { signal });
  return done;
}

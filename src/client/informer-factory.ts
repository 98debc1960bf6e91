// Shared informers by resource and scope: every loop of a process asks the factory, and those who ask for the same get the
// same, so that a resource is listed and watched once.
import type { KubernetesObject } from "../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../api/resource-type.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "./client.ts";
import type { Informer, InformerFactory, InformerOptions } from "./informer.ts";
import { SharedInformer } from "./shared-informer.ts";

export interface InformerFactoryOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Freeze every object that enters a cache: for tests. Default false. */
  readonly deepFreeze?: boolean;
}

export function createInformerFactory(client: Client, options: InformerFactoryOptions): InformerFactory {
  const deps = { ...options, client, logger: options.logger.named("informer") };
  const informers = new Map<string, SharedInformer<KubernetesObject>>();
  const started = new Set<SharedInformer<KubernetesObject>>();
  let stopping: Promise<void> | undefined;

  return {
    informer<T extends KubernetesObject>(type: ResourceType<T>, scope: InformerOptions = {}): Informer<T> {
      const key = informerKey(type, scope);
      let informer = informers.get(key);
      if (!informer) {
        informer = new SharedInformer(type as ResourceType<KubernetesObject>, scope, deps);
        informers.set(key, informer);
      }
      // The key contains the resource, so the informer found under it is one of the same object type.
      return informer as unknown as Informer<T>;
    },

    async drop(type, scope = {}) {
      const key = informerKey(type, scope);
      const informer = informers.get(key);
      informers.delete(key);
      if (!informer) return;
      started.delete(informer);
      await informer.stop();
    },

    start() {
      if (stopping) throw new Error("the informers have been stopped");
      for (const informer of informers.values()) {
        started.add(informer);
        informer.start();
      }
    },

    async synced(signal) {
      await Promise.all([...started].map((informer) => informer.synced(signal)));
    },

    stop() {
      stopping ??= Promise.all([...informers.values()].map((informer) => informer.stop())).then(() => undefined);
      return stopping;
    },
  };
}

function informerKey(type: ResourceType, scope: InformerOptions): string {
  return [apiVersionOf(type), type.resource, scope.namespace, scope.labelSelector, scope.fieldSelector].join("|");
}

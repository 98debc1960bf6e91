// resourcequota-controller: counts what the objects of a namespace use of its quotas: when a limit changes, when an object
// goes or comes to cost something else, and every five minutes. Only resources that some quota limits are watched.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { type KubernetesObject, keyOf } from "../../api/meta/object.ts";
import { parseQuantity } from "../../api/meta/quantity.ts";
import { groupResourceOf, type ResourceType } from "../../api/resource-type.ts";
import { builtInResources, resourcequotas } from "../../api/resources.generated.ts";
import { isCountedFor } from "../../api/semantics/quota-usage.ts";
import type { ResourceQuota } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Informer } from "../../client/informer.ts";
import type { Controller, ControllerContext, Watched } from "../controller.ts";
import { ServedResources } from "../served-resources.ts";
import { type Population, presentUsage, quotaStatus } from "./quota-status.ts";

const resyncMs = 5 * 60_000;

/** Many objects that go at once are counted once. */
const gatherMs = 100;

/** An object that comes was charged by admission, before it was stored: a recount is to come well after that. */
const settleMs = 5_000;

export const resourceQuotaController: Controller = {
  name: "resourcequota-controller",
  create(context) {
    const counter = new QuotaCounter(context);
    return {
      watches: [watchQuotas(counter.quotas)],
      reconcile: async (key, { signal }) => {
        await counter.count(key, signal);
        return undefined;
      },
      start: () => counter.start(),
    };
  },
};

/** Changes of the status are admission's and our own; what somebody else writes there stays until the next recount. */
function watchQuotas(informer: Informer<ResourceQuota>): Watched {
  return {
    start: (enqueue) =>
      informer.addHandler({
        onAdd: (quota) => enqueue(keyOf(quota)),
        onUpdate(quota, previous) {
          const isNew = quota.metadata.uid !== previous.metadata.uid;
          if (isNew || !semanticallyEqual(quota.spec?.hard, previous.spec?.hard)) enqueue(keyOf(quota));
        },
      }),
  };
}

/** Its limits have been taken over. */
function isKnown({ spec, status }: ResourceQuota): boolean {
  return semanticallyEqual(spec?.hard, status?.hard);
}

class QuotaCounter {
  readonly quotas: Informer<ResourceQuota>;
  readonly #context: ControllerContext;
  readonly #served: ServedResources;
  readonly #followed = new Map<Informer<KubernetesObject>, { remove(): void }>();

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#served = new ServedResources(context);
    this.quotas = context.informers.informer(resourcequotas);
  }

  start(): Running {
    const timer = this.#context.clock.every(resyncMs, () => {
      for (const quota of this.quotas.list()) this.#context.enqueue(keyOf(quota));
    });
    return {
      stop: async () => {
        timer.cancel();
        for (const registration of this.#followed.values()) registration.remove();
        this.#followed.clear();
      },
    };
  }

  async count(key: string, signal: AbortSignal): Promise<void> {
    const quota = this.quotas.get(key);
    if (!quota) return;
    const populations: Population[] = [];
    for (const type of await this.#typesFor(quota, signal)) {
      const informer = await this.#follow(type, signal);
      populations.push({ type, objects: informer.inNamespace(quota.metadata.namespace) });
    }
    const status = quotaStatus(quota, populations, this.#context.clock.now());
    if (isKnown(quota) && isSameUse(status.used, quota.status?.used)) return;
    await this.#context.client.updateStatus(resourcequotas, { ...quota, status }, { signal });
  }

  /** The resources that the quota limits, as far as they are served. */
  async #typesFor({ spec }: ResourceQuota, signal: AbortSignal): Promise<readonly ResourceType<KubernetesObject>[]> {
    const types = new Set<ResourceType>();
    for (const name of Object.keys(spec?.hard ?? {})) {
      const counted = builtInResources.filter((type) => type.namespaced && isWatchable(type) && isCountedFor(type, name));
      for (const type of preferred(counted)) types.add(type);
      if (counted.length > 0 || !name.startsWith("count/")) continue;
      const custom = await this.#served.find((type) => type.namespaced && isWatchable(type) && isCountedFor(type, name), signal);
      if (custom) types.add(custom);
    }
    return [...types] as readonly ResourceType<KubernetesObject>[];
  }

  async #follow(type: ResourceType<KubernetesObject>, signal: AbortSignal): Promise<Informer<KubernetesObject>> {
    const informer = this.#context.informers.informer(type);
    if (!this.#followed.has(informer)) {
      informer.start();
      await informer.synced(signal);
      // Another quota may have waited for the same.
      if (!this.#followed.has(informer)) this.#followed.set(informer, this.#listen(type, informer));
    }
    return informer;
  }

  #listen(type: ResourceType, informer: Informer<KubernetesObject>): { remove(): void } {
    const recount = (object: KubernetesObject, delayMs: number): void => {
      for (const quota of this.quotas.inNamespace(object.metadata.namespace ?? "")) {
        if (Object.keys(quota.spec?.hard ?? {}).some((name) => isCountedFor(type, name))) this.#context.enqueue(keyOf(quota), delayMs);
      }
    };
    const costs = (object: KubernetesObject): Readonly<Record<string, string>> => {
      const usage = presentUsage(type, object, this.#context.clock.now());
      return Object.fromEntries(Object.entries(usage).map(([name, quantity]) => [name, quantity.toString()]));
    };
    return informer.addHandler({
      onAdd: (object) => recount(object, settleMs),
      onUpdate: (object, previous) => {
        if (this.quotas.inNamespace(object.metadata.namespace ?? "").length === 0) return;
        if (!semanticallyEqual(costs(object), costs(previous))) recount(object, gatherMs);
      },
      onDelete: (object) => recount(object, gatherMs),
    });
  }
}

const isWatchable = ({ verbs }: ResourceType): boolean => verbs.includes("list") && verbs.includes("watch");

/** Of the versions of one resource the first: its objects are the same in all. */
function preferred(types: readonly ResourceType[]): readonly ResourceType[] {
  const byName = new Map<string, ResourceType>();
  for (const type of types) if (!byName.has(groupResourceOf(type))) byName.set(groupResourceOf(type), type);
  return [...byName.values()];
}

function isSameUse(a: Readonly<Record<string, string | number>> = {}, b: Readonly<Record<string, string | number>> = {}): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => {
    const [left, right] = [a[name], b[name]];
    return left !== undefined && right !== undefined && parseQuantity(left).compare(parseQuantity(right)) === 0;
  });
}

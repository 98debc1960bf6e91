// resourcequota-controller: counts what the objects of a namespace use of its quotas: when a limit changes, when an object
// goes or comes to cost something else, and every five minutes. Only resources that some quota limits are watched. What
// admission has charged for an object that is still on its way stays charged.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { type KubernetesObject, keyOf } from "../../api/meta/object.ts";
import { parseQuantity } from "../../api/meta/quantity.ts";
import { groupResourceOf, type ResourceType } from "../../api/resource-type.ts";
import { builtInResources, deviceclasses, pods, resourceclaims, resourcequotas } from "../../api/resources.generated.ts";
import { type ClaimSurroundings, isExtendedQuota } from "../../api/semantics/device-quota.ts";
import { addQuantities, type Quantities } from "../../api/semantics/pod-quantities.ts";
import { isCountedFor, type Present } from "../../api/semantics/quota-usage.ts";
import type { ResourceQuota } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Informer } from "../../client/informer.ts";
import type { Controller, ControllerContext, Watched } from "../controller.ts";
import { ServedResources } from "../served-resources.ts";
import { ChargeLedger, chargeMs } from "./charge-ledger.ts";
import { costTo, type Population, quotaStatus } from "./quota-status.ts";

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
      watches: [watchQuotas(counter)],
      reconcile: async (key, { signal }) => {
        const isFinal = await counter.count(key, signal);
        return isFinal ? undefined : { requeueAfterMs: chargeMs };
      },
      start: () => counter.start(),
    };
  },
};

/** Changes of the status are admission's and our own; what somebody else writes there stays until the next recount. */
function watchQuotas(counter: QuotaCounter): Watched {
  return {
    start: (enqueue) =>
      counter.quotas.addHandler({
        onAdd: (quota) => enqueue(keyOf(quota)),
        onUpdate(quota, previous) {
          const isNew = quota.metadata.uid !== previous.metadata.uid;
          if (isNew || !semanticallyEqual(quota.spec?.hard, previous.spec?.hard)) enqueue(keyOf(quota));
          else counter.charged(quota, previous);
          if (isNew) counter.forget(previous);
        },
        onDelete: (quota) => counter.forget(quota),
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
  readonly #ledger = new ChargeLedger();
  readonly #around: ClaimSurroundings;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#served = new ServedResources(context);
    this.quotas = context.informers.informer(resourcequotas);
    const { informers } = context;
    this.#around = {
      classes: () => informers.informer(deviceclasses).list(),
      pod: (namespace, name) => informers.informer(pods).get(`${namespace}/${name}`),
      claims: (namespace) => informers.informer(resourceclaims).inNamespace(namespace),
    };
  }

  get #present(): Present {
    return { nowMs: this.#context.clock.now(), around: this.#around };
  }

  start(): Running {
    const { clock, options } = this.#context;
    const timer = clock.every(options.resourceQuotaSyncPeriodMs || resyncMs, () => {
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

  /** Somebody else has written the status: admission, as a rule. What then does not come is given back. */
  charged(quota: ResourceQuota, previous: ResourceQuota): void {
    if (!semanticallyEqual(quota.status?.hard, previous.status?.hard)) return;
    if (this.#ledger.changed(quota, previous, this.#context.clock.now())) this.#context.enqueue(keyOf(quota), chargeMs);
  }

  forget({ metadata: { uid } }: ResourceQuota): void {
    this.#ledger.forget(uid);
  }

  /** Whether nothing is charged that has not come yet. */
  async count(key: string, signal: AbortSignal): Promise<boolean> {
    const quota = this.quotas.get(key);
    if (!quota) return true;
    const populations: Population[] = [];
    for (const type of await this.#typesFor(quota, signal)) {
      const informer = await this.#follow(type, signal);
      populations.push({ type, objects: informer.inNamespace(quota.metadata.namespace) });
    }
    const present = this.#present;
    const pending = this.#ledger.pending(quota.metadata.uid, present.nowMs);
    const isFinal = Object.keys(pending).length === 0;
    const status = quotaStatus(quota, { populations, pending, ...present });
    if (isKnown(quota) && isSameUse(status.used, quota.status?.used)) return isFinal;
    const counted = { ...quota, status };
    this.#ledger.writing(counted);
    await this.#context.client.updateStatus(resourcequotas, counted, { signal });
    return isFinal;
  }

  /** The resources that the quota limits, as far as they are served. */
  async #typesFor({ spec }: ResourceQuota, signal: AbortSignal): Promise<readonly ResourceType<KubernetesObject>[]> {
    const names = Object.keys(spec?.hard ?? {});
    if (names.some(isExtendedQuota)) await this.#read(deviceclasses, signal);
    const isCounted = (type: ResourceType, name: string): boolean =>
      type.namespaced && isWatchable(type) && isCountedFor(type, name, this.#around);
    const types = new Set<ResourceType>();
    for (const name of names) {
      const counted = builtInResources.filter((type) => isCounted(type, name));
      for (const type of preferred(counted)) types.add(type);
      if (counted.length > 0 || !name.startsWith("count/")) continue;
      const custom = await this.#served.find((type) => isCounted(type, name), signal);
      if (custom) types.add(custom);
    }
    return [...types] as readonly ResourceType<KubernetesObject>[];
  }

  async #read<T extends KubernetesObject>(type: ResourceType<T>, signal: AbortSignal): Promise<Informer<T>> {
    const informer = this.#context.informers.informer(type);
    informer.start();
    await informer.synced(signal);
    return informer;
  }

  async #follow(type: ResourceType<KubernetesObject>, signal: AbortSignal): Promise<Informer<KubernetesObject>> {
    const informer = this.#context.informers.informer(type);
    if (!this.#followed.has(informer)) {
      await this.#read(type, signal);
      // Another quota may have waited for the same.
      if (!this.#followed.has(informer)) this.#followed.set(informer, this.#listen(type, informer));
    }
    return informer;
  }

  #listen(type: ResourceType, informer: Informer<KubernetesObject>): { remove(): void } {
    const { clock } = this.#context;
    const concerned = (object: KubernetesObject): readonly ResourceQuota[] =>
      this.quotas
        .inNamespace(object.metadata.namespace ?? "")
        .filter((quota) => Object.keys(quota.spec?.hard ?? {}).some((name) => isCountedFor(type, name, this.#around)));
    const recount = (quotas: readonly ResourceQuota[], delayMs: number): void => {
      for (const quota of quotas) this.#context.enqueue(keyOf(quota), delayMs);
    };
    return informer.addHandler({
      onAdd: (object) => {
        const quotas = concerned(object);
        for (const quota of quotas) this.#ledger.arrived(quota.metadata.uid, costTo(quota, type, object, this.#present), clock.now());
        recount(quotas, settleMs);
      },
      onUpdate: (object, previous) => {
        for (const quota of concerned(object)) {
          const present = this.#present;
          const cost = costTo(quota, type, object, present);
          const changes = differenceOf(cost, costTo(quota, type, previous, present));
          if (Object.values(changes).every(({ sign }) => sign === 0)) continue;
          this.#ledger.arrived(quota.metadata.uid, changes, present.nowMs);
          recount([quota], gatherMs);
        }
      },
      onDelete: (object) => recount(concerned(object), gatherMs),
    });
  }
}

function differenceOf(cost: Quantities, before: Quantities): Quantities {
  const gone = Object.entries(before).map(([name, quantity]) => [name, quantity.negate()] as const);
  return addQuantities(cost, Object.fromEntries(gone));
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

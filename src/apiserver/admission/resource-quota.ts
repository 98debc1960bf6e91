// ResourceQuota: refuses what would exceed a quota of the namespace, and charges what it lets pass to the quota's status at
// once, so that the next request sees it. Requests of one namespace are charged one after the other; against other API
// servers the quota's resource version decides. The quota controller counts anew from time to time, which also returns what
// was charged for objects that then failed to be stored.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods, resourcequotas } from "../../api/resources.generated.ts";
import { addQuantities, type Quantities, quantitiesOf } from "../../api/semantics/pod-quantities.ts";
import { isCountedFor, isInScope, missingValues, usageOf } from "../../api/semantics/quota-usage.ts";
import type { Pod, ResourceQuota } from "../../api/types/core-v1.ts";
import type { Client } from "../../client/client.ts";
import { type AdmissionPlugin, type AdmissionReader, type AdmissionRequest, loadedInformer } from "./admission.ts";
import { isAbout, refuse } from "./refusal.ts";

export interface ResourceQuotaDependencies {
  readonly reader: AdmissionReader;
  readonly client: Pick<Client, "get" | "updateStatus">;
}

const attempts = 5;
const maxRemembered = 1000;

/** Resources whose cost may change with an update. */
const chargedOnUpdate = new Set(["services", "persistentvolumeclaims"]);

export function createResourceQuota(deps: ResourceQuotaDependencies): AdmissionPlugin {
  const quotas = new ChargedQuotas(deps);
  const queue = new NamespaceQueue();
  return {
    name: "ResourceQuota",
    handles: (request) => {
      if (request.namespace === "" || !request.object) return false;
      if (request.operation === "CREATE") return request.subresource === "";
      const { group, resource } = request.resource;
      return (
        request.operation === "UPDATE" &&
        ((group === "" && request.subresource === "" && chargedOnUpdate.has(resource)) || isAbout(request, pods, "resize"))
      );
    },
    async validate(request) {
      await loadedInformer(deps.reader, resourcequotas);
      // Most namespaces have no quota: they do not queue.
      if (quotas.in(request.namespace).length === 0) return;
      await queue.run(request.namespace, () => quotas.charge(request));
    },
  };
}

/** Runs the tasks of one namespace one after the other. */
class NamespaceQueue {
  readonly #tails = new Map<string, Promise<unknown>>();

  run<T>(namespace: string, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(namespace) ?? Promise.resolve();
    const result = before.then(task, task);
    const tail = result.then(
      () => undefined,
      () => undefined, // the failure is the caller's of `result`
    );
    this.#tails.set(namespace, tail);
    void tail.then(() => {
      if (this.#tails.get(namespace) === tail) this.#tails.delete(namespace);
    });
    return result;
  }
}

class ChargedQuotas {
  readonly #deps: ResourceQuotaDependencies;
  /** What was written last, until the reader has it too. */
  readonly #written = new Map<string, ResourceQuota>();

  constructor(deps: ResourceQuotaDependencies) {
    this.#deps = deps;
  }

  /** By name, each in its newest known version. */
  in(namespace: string): readonly ResourceQuota[] {
    const found = this.#deps.reader.informer(resourcequotas).inNamespace(namespace);
    return found.map((q) => this.#newest(q)).sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  /** Checks all quotas, then charges them. Starts over where somebody else has charged one in between. */
  async charge(request: AdmissionRequest): Promise<void> {
    let quotas = this.in(request.namespace);
    for (let attempt = 1; ; attempt++) {
      const charged = quotas.flatMap((quota) => chargedQuota(quota, request) ?? []);
      if (request.dryRun) return;
      try {
        for (const quota of charged) this.#remember(await this.#deps.client.updateStatus(resourcequotas, quota));
        return;
      } catch (error) {
        if (!isStatus(error, "Conflict", "NotFound") || attempt === attempts) throw error;
        quotas = await this.#reread(quotas);
      }
    }
  }

  async #reread(quotas: readonly ResourceQuota[]): Promise<readonly ResourceQuota[]> {
    const found: ResourceQuota[] = [];
    for (const { metadata } of quotas) {
      try {
        found.push(await this.#deps.client.get(resourcequotas, { namespace: metadata.namespace ?? "", name: metadata.name }));
      } catch (error) {
        if (!isStatus(error, "NotFound")) throw error;
      }
    }
    return found;
  }

  #remember(quota: ResourceQuota): void {
    const oldest = this.#written.keys().next();
    if (this.#written.size >= maxRemembered && !oldest.done) this.#written.delete(oldest.value);
    this.#written.set(quota.metadata.uid, quota);
  }

  #newest(known: ResourceQuota): ResourceQuota {
    const written = this.#written.get(known.metadata.uid);
    if (!written) return known;
    if (Number(written.metadata.resourceVersion) > Number(known.metadata.resourceVersion)) return written;
    this.#written.delete(known.metadata.uid);
    return known;
  }
}

/** The quota with the request charged; undefined where it does not cost it anything. Throws 403 where it would exceed it. */
function chargedQuota(quota: ResourceQuota, request: AdmissionRequest): ResourceQuota | undefined {
  const object = request.object as KubernetesObject; // handles() has seen it
  const hard = quantitiesOf(quota.status?.hard);
  const names = Object.keys(hard).filter((name) => isCountedFor(request.resource, name));
  if (names.length === 0 || !isInScope(request.resource, object, quota)) return undefined;
  const { name } = quota.metadata;
  const missing = request.resource.resource === "pods" && request.resource.group === "" ? missingValues(object as Pod, names) : undefined;
  if (missing !== undefined) throw refuse(request, `failed quota: ${name}: ${missing}`);
  const used = quantitiesOf(quota.status?.used);
  if (!names.every((n) => used[n])) throw refuse(request, `status unknown for quota: ${name}, resources: ${[...names].sort().join(",")}`);
  const delta = pick(costOf(request, object), names);
  if (!Object.values(delta).some((q) => q.sign > 0)) return undefined;
  const newUsed = addQuantities(used, delta);
  const exceeded = Object.keys(delta).filter((n) => (delta[n]?.sign ?? 0) > 0 && exceeds(newUsed, hard, n));
  if (exceeded.length > 0)
    throw refuse(
      request,
      `exceeded quota: ${name}, requested: ${show(delta, exceeded)}, used: ${show(used, exceeded)}, limited: ${show(hard, exceeded)}`,
    );
  return {
    ...quota,
    status: { ...quota.status, used: Object.fromEntries(Object.entries(newUsed).map(([n, quantity]) => [n, quantity.toString()])) },
  };
}

function exceeds(used: Quantities, hard: Quantities, name: string): boolean {
  const [now, limit] = [used[name], hard[name]];
  return now !== undefined && limit !== undefined && now.compare(limit) > 0;
}

/** An update costs the difference to what the object cost before. */
function costOf(request: AdmissionRequest, object: KubernetesObject): Quantities {
  const cost = usageOf(request.resource, object);
  if (request.operation !== "UPDATE" || !request.oldObject) return cost;
  const before = Object.entries(usageOf(request.resource, request.oldObject)).map(([name, quantity]) => [name, quantity.negate()] as const);
  return addQuantities(cost, Object.fromEntries(before));
}

function pick(quantities: Quantities, names: readonly string[]): Quantities {
  return Object.fromEntries(Object.entries(quantities).filter(([name]) => names.includes(name)));
}

function show(quantities: Quantities, names: readonly string[]): string {
  return [...names]
    .sort()
    .map((name) => `${name}=${quantities[name]?.toString() ?? "0"}`)
    .join(",");
}

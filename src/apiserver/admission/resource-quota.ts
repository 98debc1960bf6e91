// ResourceQuota: refuses what would exceed a quota of the namespace, and charges what it lets pass to the quota's status at
// once, so that the next request sees it. Requests of one namespace are charged one after the other; against other API
// servers the quota's resource version decides. The quota controller counts anew from time to time, which also returns what
// was charged for objects that then failed to be stored.
import { isStatus } from "../../api/meta/status-error.ts";
import { groupResourceOf } from "../../api/resource-type.ts";
import { deviceclasses, pods, resourceclaims, resourcequotas } from "../../api/resources.generated.ts";
import type { ClaimSurroundings } from "../../api/semantics/device-quota.ts";
import type { Pod, ResourceQuota } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import type { AdmissionPlugin, AdmissionReader, AdmissionRequest } from "./admission.ts";
import { decideQuotas, type LimitedResource } from "./quota-decision.ts";
import { isAbout } from "./refusal.ts";

export interface ResourceQuotaDependencies {
  readonly reader: AdmissionReader;
  readonly client: Pick<Client, "get" | "updateStatus">;
  readonly clock: Clock;
}

const attempts = 5;
const maxRemembered = 1000;

/** Resources, in words of quotas, whose cost may change with an update. */
const chargedOnUpdate = new Set(["services", "persistentvolumeclaims", "resourceclaims.resource.k8s.io"]);

export function createResourceQuota(deps: ResourceQuotaDependencies, limited: readonly LimitedResource[] = []): AdmissionPlugin {
  const quotas = new ChargedQuotas(deps, limited);
  const queue = new NamespaceQueue();
  return {
    name: "ResourceQuota",
    waitsFor: [resourcequotas, deviceclasses],
    handles: (request) => {
      if (request.namespace === "" || !request.object || isNeverCounted(request)) return false;
      if (request.operation === "CREATE") return request.subresource === "";
      return request.operation === "UPDATE" && mayCostMore(request);
    },
    validate(request) {
      // They have been read: the plugin waits for them. Most namespaces have no quota, and do not queue.
      if (limited.length === 0 && quotas.in(request.namespace).length === 0) return;
      return queue.run(request.namespace, () => quotas.charge(request));
    },
  };
}

/** Events come and go; reviews are not stored. */
function isNeverCounted({ resource: { group, resource } }: AdmissionRequest): boolean {
  if (resource === "events") return group === "" || group === "events.k8s.io";
  return group === "authorization.k8s.io" || group === "authentication.k8s.io";
}

function mayCostMore(request: AdmissionRequest): boolean {
  const { subresource } = request;
  const resource = groupResourceOf(request.resource);
  if (isAbout(request, pods)) return endsByItself(request.object as Pod) !== endsByItself(request.oldObject as Pod); // it changes its scope
  if (subresource === "") return chargedOnUpdate.has(resource);
  return (resource === "pods" && subresource === "resize") || (resource === "persistentvolumeclaims" && subresource === "status");
}

const endsByItself = ({ spec }: Pod): boolean => (spec?.activeDeadlineSeconds ?? -1) >= 0;

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
  readonly #limited: readonly LimitedResource[];
  readonly #around: ClaimSurroundings;
  /** What was written last, until the reader has it too. */
  readonly #written = new Map<string, ResourceQuota>();

  constructor(deps: ResourceQuotaDependencies, limited: readonly LimitedResource[]) {
    this.#deps = deps;
    this.#limited = limited;
    const { reader } = deps;
    this.#around = {
      classes: () => reader.informer(deviceclasses).list(),
      pod: (namespace, name) => reader.informer(pods).get(`${namespace}/${name}`),
      claims: (namespace) => reader.informer(resourceclaims).inNamespace(namespace),
    };
  }

  /** By name, each in its newest known version. */
  in(namespace: string): readonly ResourceQuota[] {
    const found = this.#deps.reader.informer(resourcequotas).inNamespace(namespace);
    if (found.length === 0) return found;
    return found.map((q) => this.#newest(q)).sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  /** Checks all quotas, then charges them. Where somebody else has charged one in between, those that are left are checked anew. */
  async charge(request: AdmissionRequest): Promise<void> {
    const present = { nowMs: this.#deps.clock.now(), around: this.#around };
    let charged = decideQuotas(this.in(request.namespace), request, { limited: this.#limited, present });
    if (request.dryRun) return;
    for (let attempt = 1; ; attempt++) {
      const left = [...charged];
      try {
        for (let quota = left[0]; quota; quota = left[0]) {
          this.#remember(await this.#deps.client.updateStatus(resourcequotas, quota));
          left.shift();
        }
        return;
      } catch (error) {
        if (!isStatus(error, "Conflict", "NotFound") || attempt === attempts) throw error;
        charged = decideQuotas(await this.#reread(left), request, { present });
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

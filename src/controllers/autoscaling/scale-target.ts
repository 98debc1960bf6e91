// What an autoscaler scales: any kind with a scale subresource, found by its group and kind.
import { isStatus } from "../../api/meta/status-error.ts";
import { type ResourceType, resourcePath } from "../../api/resource-type.ts";
import type { Scale } from "../../api/types/autoscaling-v1.ts";
import type { CrossVersionObjectReference } from "../../api/types/autoscaling-v2.ts";
import type { Clock } from "../../base/clock.ts";
import type { Client } from "../../client/client.ts";
import { ServedResources } from "../served-resources.ts";

export interface TargetScale {
  readonly replicas: number;
  readonly statusReplicas: number;
  /** "" where the target has none. */
  readonly selector: string;
  /** Sets the number of replicas; when the target changes meanwhile, again. */
  resize(replicas: number, signal: AbortSignal): Promise<void>;
}

const maxConflicts = 5;

export class ScaleTargets {
  readonly #client: Client;
  readonly #served: ServedResources;

  constructor(deps: { readonly client: Client; readonly clock: Clock }) {
    this.#client = deps.client;
    this.#served = new ServedResources(deps);
  }

  /** Throws what the server says, or that the kind is not known, in upstream's words. */
  async find(reference: CrossVersionObjectReference, namespace: string, signal: AbortSignal): Promise<TargetScale> {
    const { kind, name, apiVersion = "" } = reference;
    const parts = apiVersion.split("/");
    if (parts.length > 2) throw new Error(`unexpected GroupVersion string: ${apiVersion}`);
    const group = parts.length === 2 ? (parts[0] ?? "") : "";
    const type = await this.#served.find((served) => served.group === group && served.kind === kind, signal);
    if (!type) throw new Error(`no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`);
    const at = { namespace, name, subresource: "scale" };
    const scale = await this.#client.getSubresource<Scale>(type, at, { signal });
    return {
      replicas: scale.spec?.replicas ?? 0,
      statusReplicas: scale.status?.replicas ?? 0,
      selector: scale.status?.selector ?? "",
      resize: (replicas, abort) => this.#resize(type, at, { scale, replicas, signal: abort }),
    };
  }

  async #resize(
    type: ResourceType,
    at: { readonly namespace: string; readonly name: string; readonly subresource: string },
    { scale: known, replicas, signal }: { readonly scale: Scale; readonly replicas: number; readonly signal: AbortSignal },
  ): Promise<void> {
    let scale = known;
    for (let conflicts = 0; ; conflicts++) {
      try {
        await this.#client.raw("PUT", resourcePath(type, at), { body: { ...scale, spec: { ...scale.spec, replicas } }, signal });
        return;
      } catch (error) {
        if (!isStatus(error, "Conflict") || conflicts + 1 >= maxConflicts) throw error;
        scale = await this.#client.getSubresource<Scale>(type, at, { signal });
      }
    }
  }
}

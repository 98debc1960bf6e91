// What the server serves beyond the built-in resources, for controllers that meet a custom kind by name. Asks no more often
// than it must: a kind that is not known may belong to a definition that was just made, or to none.
import type { ResourceType } from "../api/resource-type.ts";
import { builtInResources } from "../api/resources.generated.ts";
import type { Clock } from "../base/clock.ts";
import type { Client } from "../client/client.ts";
import { discoverResources } from "../client/discovery.ts";

const rediscoverMs = 30_000;

export class ServedResources {
  readonly #deps: { readonly client: Client; readonly clock: Clock };
  #custom: readonly ResourceType[] = [];
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: { readonly client: Client; readonly clock: Clock }) {
    this.#deps = deps;
  }

  /** The first resource that is wanted; undefined where none is served, or none was half a minute ago. */
  async find(isWanted: (type: ResourceType) => boolean, signal: AbortSignal): Promise<ResourceType | undefined> {
    const known = builtInResources.find(isWanted) ?? this.#custom.find(isWanted);
    if (known) return known;
    const nowMs = this.#deps.clock.monotonic();
    if (nowMs - this.#askedAtMs < rediscoverMs) return undefined;
    this.#custom = (await discoverResources(this.#deps.client, { signal })).resources;
    this.#askedAtMs = nowMs;
    return this.#custom.find(isWanted);
  }
}

// Whether the proxy keeps up: it is unhealthy when a change has waited longer than a bound to be written. /healthz also says
// whether the node should get traffic from load balancers; /livez does not. The answers are upstream's JSON.
import type { Clock } from "../base/clock.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";
import type { HttpAnswer } from "./http-server.ts";
import type { ProxyMetrics } from "./proxy-metrics.ts";

export interface ProxyHealthOptions {
  /** A change may wait so long. */
  readonly timeoutMs: number;
  /** Whether load balancers should send to this node. */
  readonly isNodeEligible: () => boolean;
}

interface FamilyHealth {
  readonly lastUpdated: string;
  readonly healthy: boolean;
}

export class ProxyHealth {
  readonly #clock: Clock;
  readonly #metrics: ProxyMetrics;
  readonly #options: ProxyHealthOptions;
  readonly #updatedMs = new Map<IpFamily, number>();
  readonly #waitingSinceMs = new Map<IpFamily, number>();

  constructor(deps: { readonly clock: Clock; readonly metrics: ProxyMetrics }, options: ProxyHealthOptions) {
    this.#clock = deps.clock;
    this.#metrics = deps.metrics;
    this.#options = options;
  }

  /** Something is to be written. */
  queued(family: IpFamily): void {
    if (!this.#waitingSinceMs.has(family)) this.#waitingSinceMs.set(family, this.#clock.now());
  }

  /** Everything is written. */
  updated(family: IpFamily): void {
    this.#waitingSinceMs.delete(family);
    this.#updatedMs.set(family, this.#clock.now());
  }

  get isHealthy(): boolean {
    return [...this.#updatedMs.keys()].every((family) => this.#keepsUp(family));
  }

  healthz(): HttpAnswer {
    const nodeEligible = this.#options.isNodeEligible();
    return this.#answer("healthz", this.isHealthy && nodeEligible, { nodeEligible });
  }

  livez(): HttpAnswer {
    return this.#answer("livez", this.isHealthy, {});
  }

  #keepsUp(family: IpFamily): boolean {
    const sinceMs = this.#waitingSinceMs.get(family);
    return sinceMs === undefined || this.#clock.now() - sinceMs < this.#options.timeoutMs;
  }

  #answer(endpoint: "healthz" | "livez", isWell: boolean, more: object): HttpAnswer {
    const status = isWell ? 200 : 503;
    this.#metrics.probed(endpoint, status);
    const nowMs = this.#clock.now();
    const families = Object.fromEntries(
      [...this.#updatedMs].map(([family, atMs]): [string, FamilyHealth] => [
        family,
        { lastUpdated: time(atMs), healthy: this.#keepsUp(family) },
      ]),
    );
    const lastMs = Math.max(...this.#updatedMs.values());
    // Where all is well this is the present, as it was when the time of the last look was reported here.
    const lastUpdated = isWell ? time(nowMs) : Number.isFinite(lastMs) ? time(lastMs) : "0001-01-01T00:00:00Z";
    const body = { lastUpdated, currentTime: time(nowMs), ...more, healthy: this.isHealthy, status: families };
    return { status, body: JSON.stringify(body), contentType: "application/json" };
  }
}

const time = (ms: number): string => new Date(ms).toISOString();

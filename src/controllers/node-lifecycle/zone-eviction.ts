// How fast nodes of a zone may be tainted NoExecute, which evicts their pods: normally one in ten seconds; where most of a
// zone is down, slower or not at all, for then the fault is rather in the network; and where everything is down, not at
// all. Upstream's limits and thresholds.
import type { Node } from "../../api/types/core-v1.ts";

export type ZoneState = "Normal" | "PartialDisruption" | "FullDisruption";

export interface EvictionRates {
  /** Nodes per second in a zone that is well. Default 0.1. */
  readonly normalPerSecond: number;
  /** The same in a large zone that is not. Default 0.01. */
  readonly slowPerSecond: number;
  /** Nodes beyond which a zone is large. Default 50. */
  readonly largeZone: number;
  /** The share of nodes that are not ready at which a zone is not well. Default 0.55. */
  readonly unhealthyFraction: number;
}

export const defaultEvictionRates: EvictionRates = { normalPerSecond: 0.1, slowPerSecond: 0.01, largeZone: 50, unhealthyFraction: 0.55 };

/** Region and zone of a node, as one key. */
export function zoneOf(node: Node): string {
  const labels = node.metadata.labels ?? {};
  const region = labels["topology.kubernetes.io/region"] ?? labels["failure-domain.beta.kubernetes.io/region"] ?? "";
  const zone = labels["topology.kubernetes.io/zone"] ?? labels["failure-domain.beta.kubernetes.io/zone"] ?? "";
  return `${region}:${zone}`;
}

export function zoneState(
  counts: { readonly ready: number; readonly notReady: number },
  { unhealthyFraction }: EvictionRates = defaultEvictionRates,
): ZoneState {
  const { ready, notReady } = counts;
  if (ready === 0 && notReady > 0) return "FullDisruption";
  return notReady > 2 && notReady / (notReady + ready) >= unhealthyFraction ? "PartialDisruption" : "Normal";
}

/** Nodes that may be tainted per second in a zone of this state and size. */
export function evictionRate(
  { state, size }: { readonly state: ZoneState; readonly size: number },
  { normalPerSecond, slowPerSecond, largeZone }: EvictionRates = defaultEvictionRates,
): number {
  if (state !== "PartialDisruption") return normalPerSecond;
  return size > largeZone ? slowPerSecond : 0;
}

/** The nodes of one zone that wait to be tainted, and the allowance that lets them through one at a time. */
export class ZoneQueue {
  readonly #waiting = new Set<string>();
  #perSecond = defaultEvictionRates.normalPerSecond;
  #tokens = 1;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(nodeName: string): void {
    this.#waiting.add(nodeName);
  }

  remove(nodeName: string): void {
    this.#waiting.delete(nodeName);
  }

  setRate(perSecond: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#perSecond = perSecond;
    if (perSecond === 0) this.#tokens = 0;
  }

  /** The next node that may be tainted now; it no longer waits. */
  take(nowMs: number): string | undefined {
    this.#refill(nowMs);
    if (this.#tokens < 1) return undefined;
    for (const nodeName of this.#waiting) {
      this.#waiting.delete(nodeName);
      this.#tokens -= 1;
      return nodeName;
    }
    return undefined;
  }

  #refill(nowMs: number): void {
    this.#tokens = Math.min(1, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = nowMs;
  }
}

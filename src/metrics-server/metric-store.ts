// The last two points of every node and container, and the use that follows from them. A container that has just been started
// counts from its start, so that it need not be seen twice; one that was restarted begins anew. A pod has figures when all of
// its containers have.
import type { NodePoints, Point } from "./parse-metrics.ts";

export interface Usage {
  readonly cpuNanoCores: number;
  readonly memoryBytes: number;
  readonly timeMs: number;
  readonly windowMs: number;
}

interface Pair {
  readonly last: Point;
  readonly previous?: Point;
}

interface NodeState {
  readonly node?: Pair;
  readonly pods: ReadonlyMap<string, ReadonlyMap<string, Pair>>;
}

/** A container younger than this has no rate worth showing. */
const minAgeMs = 10_000;

export class MetricStore {
  readonly #nodes = new Map<string, NodeState>();
  readonly #resolutionMs: number;

  constructor(resolutionMs: number) {
    this.#resolutionMs = resolutionMs;
  }

  /** What a node has answered. */
  add(nodeName: string, points: NodePoints): void {
    const before = this.#nodes.get(nodeName);
    const node = points.node && pairOf(points.node, before?.node);
    const pods = new Map(
      [...points.pods].map(([pod, containers]) => {
        const known = before?.pods.get(pod);
        return [pod, new Map([...containers].map(([name, point]) => [name, this.#containerPair(point, known?.get(name))]))];
      }),
    );
    this.#nodes.set(nodeName, { pods, ...(node ? { node } : {}) });
  }

  /** A node that does not answer, or is gone, has no figures. */
  drop(nodeName: string): void {
    this.#nodes.delete(nodeName);
  }

  clear(): void {
    this.#nodes.clear();
  }

  node(name: string): Usage | undefined {
    const pair = this.#nodes.get(name)?.node;
    return pair && usageOf(pair);
  }

  /** By container; undefined unless every container has figures. */
  pod(nodeName: string, key: string): ReadonlyMap<string, Usage> | undefined {
    const containers = this.#nodes.get(nodeName)?.pods.get(key);
    if (!containers || containers.size === 0) return undefined;
    const found = new Map<string, Usage>();
    for (const [name, pair] of containers) {
      const usage = usageOf(pair);
      if (!usage) return undefined;
      found.set(name, usage);
    }
    return found;
  }

  #containerPair(point: Point, known: Pair | undefined): Pair {
    const pair = pairOf(point, known);
    if (pair.previous || point.startMs === undefined) return pair;
    const ageMs = point.timeMs - point.startMs;
    if (ageMs < minAgeMs || ageMs > this.#resolutionMs + minAgeMs) return pair;
    return { last: point, previous: { timeMs: point.startMs, cpuSeconds: 0, memoryBytes: 0, startMs: point.startMs } };
  }
}

function pairOf(point: Point, known: Pair | undefined): Pair {
  if (!known) return { last: point };
  const { last } = known;
  if (point.timeMs <= last.timeMs) return known;
  const isSame = point.cpuSeconds >= last.cpuSeconds && (point.startMs ?? 0) === (last.startMs ?? 0);
  return isSame ? { last: point, previous: last } : { last: point };
}

function usageOf({ last, previous }: Pair): Usage | undefined {
  if (!previous) return undefined;
  const windowMs = last.timeMs - previous.timeMs;
  const cpuNanoCores = Math.round(((last.cpuSeconds - previous.cpuSeconds) / windowMs) * 1e12);
  return { cpuNanoCores, memoryBytes: last.memoryBytes, timeMs: last.timeMs, windowMs };
}

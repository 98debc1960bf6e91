// Profiles of this process, taken by V8 while it goes on serving: where processor time goes, and what is allocated and stays.
import { type HeapProfiler, type Profiler, Session } from "node:inspector/promises";
import type { Clock } from "../../base/clock.ts";
import { type Frame, pprofBytes, type StackSample } from "./pprof-format.ts";

export interface ProfileRequest {
  readonly clock: Clock;
  readonly seconds: number;
  /** Ends it early. */
  readonly signal: AbortSignal;
}

/** A hundred a second, as Go's. */
const cpuPeriodMs = 10;
/** One sample for so many bytes, as Go's. */
const heapPeriodBytes = 512 * 1024;

/** Where processor time goes for so many seconds. */
export async function cpuProfile({ clock, seconds, signal }: ProfileRequest): Promise<Uint8Array> {
  return inSession(async (session) => {
    const beganMs = clock.now();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: cpuPeriodMs * 1000 });
    await session.post("Profiler.start");
    await clock.sleep(seconds * 1000, signal);
    const { profile } = await session.post("Profiler.stop");
    return pprofBytes(cpuSamples(profile), {
      valueTypes: [
        ["samples", "count"],
        ["cpu", "nanoseconds"],
      ],
      period: { type: ["cpu", "nanoseconds"], value: cpuPeriodMs * 1e6 },
      ...{ beganMs, durationMs: seconds * 1000 },
    });
  });
}

/** What is allocated in so many seconds, and not collected by their end. */
export async function heapProfile({ clock, seconds, signal }: ProfileRequest): Promise<Uint8Array> {
  return inSession(async (session) => {
    const beganMs = clock.now();
    await session.post("HeapProfiler.startSampling", { samplingInterval: heapPeriodBytes });
    await clock.sleep(seconds * 1000, signal);
    const { profile } = await session.post("HeapProfiler.stopSampling");
    return pprofBytes(heapSamples(profile), {
      valueTypes: [
        ["inuse_objects", "count"],
        ["inuse_space", "bytes"],
      ],
      period: { type: ["space", "bytes"], value: heapPeriodBytes },
      ...{ beganMs, durationMs: seconds * 1000 },
    });
  });
}

async function inSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
  const session = new Session();
  session.connect();
  try {
    return await work(session);
  } finally {
    session.disconnect();
  }
}

const isIdle = new Set(["(root)", "(idle)", "(program)"]);

function cpuSamples({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): readonly StackSample[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const counts = new Map<number, { count: number; microseconds: number }>();
  samples.forEach((id, i) => {
    const sum = counts.get(id) ?? { count: 0, microseconds: 0 };
    counts.set(id, { count: sum.count + 1, microseconds: sum.microseconds + Math.max(0, timeDeltas[i] ?? 0) });
  });
  return [...counts].flatMap(([id, { count, microseconds }]) => {
    const frames: Frame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = byId.get(at)?.callFrame;
      if (frame && !isIdle.has(frame.functionName)) frames.push(frame);
    }
    return frames.length > 0 ? [{ frames, values: [count, microseconds * 1000] }] : [];
  });
}

function heapSamples({ head }: HeapProfiler.SamplingHeapProfile): readonly StackSample[] {
  const samples: StackSample[] = [];
  const open: { readonly node: HeapProfiler.SamplingHeapProfileNode; readonly outer: readonly Frame[] }[] = [{ node: head, outer: [] }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { node, outer } = next;
    const frames = isIdle.has(node.callFrame.functionName) ? outer : [node.callFrame, ...outer];
    if (node.selfSize > 0 && frames.length > 0)
      samples.push({ frames, values: [Math.max(1, Math.round(node.selfSize / heapPeriodBytes)), node.selfSize] });
    for (const child of node.children) open.push({ node: child, outer: frames });
  }
  return samples;
}

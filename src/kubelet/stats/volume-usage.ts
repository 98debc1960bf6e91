// What the volumes of the node's pods take, measured in the background once a minute, like upstream, because a directory may
// hold a lot: who asks gets what was found last. A volume that is a file system of its own (tmpfs, a mounted disk) is asked
// for its figures; another one is walked, and the file system around it tells what is free.
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { diskUsage, fileSystemSpace, isMountPoint } from "../../linux/disk-usage.ts";
import type { MountedVolumes } from "../volumes/volume-manager.ts";
import type { VolumeMeasurement } from "./measurement.ts";
import { raceAbort } from "./shared-result.ts";

export interface VolumeUsageDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pods: () => Iterable<Pod>;
  /** For metrics: a volume was measured. */
  readonly onMeasured?: ((source: "du" | "statfs", durationMs: number) => void) | undefined;
  /** Undefined before the pod's volumes are made. */
  readonly mounted: (podUid: string) => MountedVolumes | undefined;
}

export interface VolumeUsageOptions {
  /** --volume-stats-agg-period. Default 60 s; 0 measures nothing. */
  readonly periodMs?: number;
  /** Of one volume. Default 20 s. */
  readonly walkTimeoutMs?: number;
}

export class VolumeUsage implements Running {
  readonly #deps: VolumeUsageDependencies;
  readonly #periodMs: number;
  readonly #walkTimeoutMs: number;
  readonly #abort = new AbortController();
  /** By pod, then by volume. */
  #found: ReadonlyMap<string, readonly VolumeMeasurement[]> = new Map();
  /** Paths that are being measured. */
  readonly #pending = new Set<string>();
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: VolumeUsageDependencies, options: VolumeUsageOptions = {}) {
    this.#deps = deps;
    this.#periodMs = options.periodMs ?? 60_000;
    this.#walkTimeoutMs = options.walkTimeoutMs ?? 20_000;
  }

  start(): void {
    if (this.#periodMs > 0) this.#schedule();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error("the kubelet stops"));
    this.#timer?.cancel();
    await this.#running;
  }

  /** Undefined for a pod that has not been looked at yet. */
  of(podUid: string): readonly VolumeMeasurement[] | undefined {
    return this.#found.get(podUid);
  }

  /** Looks at every volume now; those who ask while it goes on share the answer. */
  measure(): Promise<void> {
    this.#running ??= this.#measureAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Of these pods, those that have not been looked at yet: a volume that has just been filled is known before a minute is over. */
  async measureNew(podUids: ReadonlySet<string>): Promise<void> {
    if (this.#periodMs === 0) return;
    for (const pod of this.#deps.pods()) {
      const { uid } = pod.metadata;
      if (!podUids.has(uid) || this.#found.has(uid)) continue;
      const volumes = await this.#measurePod(pod, undefined);
      if (volumes && !this.#found.has(uid)) this.#found = new Map([...this.#found, [uid, volumes]]);
    }
  }

  #schedule(): void {
    if (this.#abort.signal.aborted) return;
    this.#timer = this.#deps.clock.after(this.#periodMs, () => void this.measure().then(() => this.#schedule()));
  }

  async #measureAll(): Promise<void> {
    const before = this.#found;
    const found = new Map<string, readonly VolumeMeasurement[]>();
    for (const pod of this.#deps.pods()) {
      const { uid } = pod.metadata;
      const volumes = await this.#measurePod(pod, before.get(uid));
      if (volumes) found.set(uid, volumes);
      if (this.#abort.signal.aborted) return;
    }
    this.#found = found;
  }

  /** Undefined before its volumes are made. What cannot be measured stays as it was. */
  async #measurePod(pod: Pod, before: readonly VolumeMeasurement[] | undefined): Promise<readonly VolumeMeasurement[] | undefined> {
    const mounted = this.#deps.mounted(pod.metadata.uid);
    if (!mounted) return undefined;
    const volumes: VolumeMeasurement[] = [];
    for (const volume of pod.spec.volumes ?? []) {
      const { hostPath: path, isDevice } = mounted.get(volume.name) ?? {};
      if (path === undefined || isDevice || volume.hostPath) continue;
      const measured = await this.#measureInTime(pod, volume, path).catch((error: unknown) => {
        const subject = { pod: `${pod.metadata.namespace}/${pod.metadata.name}`, volume: volume.name };
        if (!this.#abort.signal.aborted) this.#deps.logger.info("Measuring a volume failed", { ...subject, error }, 2);
        return before?.find((v) => v.name === volume.name);
      });
      if (measured) volumes.push(measured);
    }
    return volumes;
  }

  /** A file system that does not answer holds up neither the other volumes nor the end of the kubelet. */
  async #measureInTime(pod: Pod, volume: Volume, path: string): Promise<VolumeMeasurement | undefined> {
    if (this.#pending.has(path)) throw new Error(`measuring ${path} has not ended since the last time`);
    this.#pending.add(path);
    const limit = new AbortController();
    const late = (): void => limit.abort(new Error(`${path} took longer than ${this.#walkTimeoutMs} ms`));
    const timer = this.#deps.clock.after(this.#walkTimeoutMs, late);
    const signal = AbortSignal.any([limit.signal, this.#abort.signal]);
    const { clock, onMeasured } = this.#deps;
    const begunMs = clock.monotonic();
    const onSource = (source: "du" | "statfs"): void => onMeasured?.(source, clock.monotonic() - begunMs);
    const work = measureVolume(pod, volume, { path, signal, timeMs: clock.now(), onSource }).finally(() => this.#pending.delete(path));
    try {
      return await raceAbort(work, signal);
    } finally {
      timer.cancel();
    }
  }
}

interface VolumeWalk {
  readonly path: string;
  readonly signal: AbortSignal;
  readonly timeMs: number;
  /** It has been measured so. */
  readonly onSource: (source: "du" | "statfs") => void;
}

async function measureVolume(
  pod: Pod,
  volume: Volume,
  { path, signal, timeMs, onSource }: VolumeWalk,
): Promise<VolumeMeasurement | undefined> {
  const space = await fileSystemSpace(path);
  if (!space) return undefined;
  const { usedBytes, ...free } = space;
  const about = { name: volume.name, isEphemeral: isEphemeral(volume), ...claimOf(pod, volume), timeMs, ...free };
  if (await isMountPoint(path)) {
    onSource("statfs");
    return { ...about, usedBytes, inodesUsed: space.inodes - space.inodesFree };
  }
  const used = await diskUsage(path, { signal });
  onSource("du");
  return { ...about, usedBytes: used.bytes, inodesUsed: used.inodes };
}

/** On the node's disk, and gone with the pod. */
function isEphemeral({ emptyDir, configMap, downwardAPI }: Volume): boolean {
  return (emptyDir !== undefined && (emptyDir.medium ?? "") === "") || configMap !== undefined || downwardAPI !== undefined;
}

function claimOf(pod: Pod, volume: Volume): Pick<VolumeMeasurement, "claim"> {
  const { namespace } = pod.metadata;
  if (volume.persistentVolumeClaim) return { claim: { namespace, name: volume.persistentVolumeClaim.claimName } };
  return volume.ephemeral ? { claim: { namespace, name: `${pod.metadata.name}-${volume.name}` } } : {};
}

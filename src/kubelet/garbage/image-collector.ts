// Removes images that nothing uses: every five minutes when the images' file system is fuller than its high threshold, or
// when they have been unused for too long, and all of them when the eviction manager asks.

import type { Clock } from "../../base/clock.ts";
import { formatDuration } from "../../base/duration.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { nodeReference } from "../references.ts";
import type { StatsProvider } from "../stats/summary.ts";
import { agedImages, diskUse, type ImageRecord, recordImages, removableImages, sizeText, unusedImages } from "./image-garbage.ts";

export interface ImageCollectorDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly nodeName: string;
  readonly stats: Pick<StatsProvider, "summary">;
  /** Names of images that are kept although no container uses them: the sandbox's, volumes'. */
  readonly keptImages: () => readonly string[];
  /** A round that began then is over: the images that are left, by their ids. */
  readonly onCollected?: (left: ReadonlySet<string>, begunMs: number) => Promise<void>;
  /** For metrics: "age" or "space". */
  readonly onRemoved?: (why: "age" | "space") => void;
}

export interface ImageGarbagePolicy {
  readonly highThresholdPercent: number;
  readonly lowThresholdPercent: number;
  readonly minAgeMs: number;
  /** 0: age alone removes nothing. */
  readonly maxAgeMs: number;
}

const periodMs = 5 * 60_000;
/** The start of the node comes first. */
const firstLookMs = 2_000;
const callTimeoutMs = 120_000;

export class ImageCollector implements Running {
  readonly #deps: ImageCollectorDependencies;
  readonly #policy: ImageGarbagePolicy;
  readonly #abort = new AbortController();
  #records: ReadonlyMap<string, ImageRecord> = new Map();
  /** Ids of the images the runtime has. */
  #present = new Set<string>();
  #startedAtMs = 0;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(deps: ImageCollectorDependencies, policy: ImageGarbagePolicy) {
    this.#deps = deps;
    this.#policy = policy;
  }

  start(): void {
    this.#startedAtMs = this.#deps.clock.now();
    this.#running = this.#run(this.#abort.signal);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** All images that are unused and not too young. */
  async removeUnused(signal: AbortSignal = this.#abort.signal): Promise<void> {
    await this.#collected(() => this.#removeUnused(signal));
  }

  /** One round. Throws when not enough could be freed. */
  async collect(signal: AbortSignal = this.#abort.signal): Promise<void> {
    await this.#collected(() => this.#collect(signal));
  }

  async #collected(round: () => Promise<void>): Promise<void> {
    const begunMs = this.#deps.clock.now();
    await round();
    await this.#deps.onCollected?.(this.#present, begunMs);
  }

  async #removeUnused(signal: AbortSignal): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const unused = await this.#look(nowMs, signal);
    await this.#free(Infinity, removableImages(unused, { minAgeMs: this.#policy.minAgeMs, nowMs }), signal);
  }

  async #collect(signal: AbortSignal): Promise<void> {
    const { clock, stats } = this.#deps;
    const { minAgeMs } = this.#policy;
    const nowMs = clock.now();
    const unused = await this.#removeAged(await this.#look(nowMs, signal), nowMs, signal);
    const fs = (await stats.summary({ signal, pods: new Set() })).node.runtime?.imageFs;
    const capacityBytes = fs?.capacityBytes ?? 0;
    if (capacityBytes === 0) {
      const message = "invalid capacity 0 on image filesystem";
      this.#event("InvalidDiskCapacity", message);
      throw new Error(message);
    }
    const { usedPercent, bytesToFree } = diskUse({ capacityBytes, availableBytes: fs?.availableBytes ?? 0 }, this.#policy);
    if (bytesToFree <= 0) return;
    const freed = await this.#free(bytesToFree, removableImages(unused, { minAgeMs, nowMs }), signal);
    if (freed >= bytesToFree) return;
    const message =
      `Insufficient free disk space on the node's image filesystem (${usedPercent}% of ${sizeText(capacityBytes)} used). ` +
      `Failed to free sufficient space by deleting unused images (freed ${freed} bytes). ` +
      "Investigate disk usage, as it could be used by active images, logs, volumes, or other data.";
    this.#event("FreeDiskSpaceFailed", message);
    throw new Error(message);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    const { highThresholdPercent, maxAgeMs } = this.#policy;
    // Switched off; what is used is recorded all the same, for the eviction manager.
    const off = highThresholdPercent === 100 && maxAgeMs === 0;
    await clock.sleep(firstLookMs, signal).catch(() => undefined);
    while (!signal.aborted) {
      try {
        if (off) await this.#collected(async () => void (await this.#look(clock.now(), signal)));
        else await this.collect();
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        logger.info("Image garbage collection failed", { error: errorText(error) }, 1);
        // The first failure may be for want of figures: those that repeat are news.
        if (this.#failures++ > 0) this.#event("ImageGCFailed", errorText(error));
      }
      await clock.sleep(periodMs, signal).catch(() => undefined);
    }
  }

  /** Reads what there is; returns what nothing uses. */
  async #look(nowMs: number, signal: AbortSignal): Promise<readonly ImageRecord[]> {
    const { cri, keptImages } = this.#deps;
    const call = { signal, timeoutMs: callTimeoutMs };
    const [{ images }, { containers }] = await Promise.all([cri.listImages({}, call), cri.listContainers({}, call)]);
    const used = new Set(containers.map((c) => c.imageId || c.imageRef));
    for (const name of keptImages()) {
      const { image } = await cri.imageStatus({ image: { image: name } }, call);
      if (image) used.add(image.id);
    }
    this.#present = new Set(images.map((image) => image.id));
    this.#records = recordImages(this.#records, images, { used, nowMs });
    return unusedImages(this.#records, used);
  }

  /** Returns the others. */
  async #removeAged(unused: readonly ImageRecord[], nowMs: number, signal: AbortSignal): Promise<readonly ImageRecord[]> {
    const { maxAgeMs } = this.#policy;
    // The kubelet has to have watched for so long, or it would take images it has never seen used for unused ones.
    if (maxAgeMs === 0 || nowMs - this.#startedAtMs <= maxAgeMs) return unused;
    const aged = new Set(agedImages(unused, { maxAgeMs, nowMs }));
    const failures = await this.#removeEach(aged, "age", signal);
    if (failures.length > 0) {
      const errors = failures.map(errorText).join(", ");
      throw new Error(`wanted to free images older than ${formatDuration(maxAgeMs)}, encountered errors in image deletion: ${errors}`);
    }
    return unused.filter((image) => !aged.has(image));
  }

  /** Returns how many bytes that freed. */
  async #free(bytesToFree: number, images: readonly ImageRecord[], signal: AbortSignal): Promise<number> {
    let freed = 0;
    const failures: unknown[] = [];
    for (const image of images) {
      if (freed >= bytesToFree) break;
      const failed = await this.#removeEach([image], "space", signal);
      failures.push(...failed);
      if (failed.length === 0) freed += image.size;
    }
    if (failures.length === 0) return freed;
    const errors = failures.map(errorText).join(", ");
    const wanted = Number.isFinite(bytesToFree) ? bytesToFree : "as many as possible";
    throw new Error(`wanted to free ${wanted} bytes, but freed ${freed} bytes space with errors in image deletion: ${errors}`);
  }

  async #removeEach(images: Iterable<ImageRecord>, why: "age" | "space", signal: AbortSignal): Promise<readonly unknown[]> {
    const { cri, logger, onRemoved } = this.#deps;
    const failures: unknown[] = [];
    for (const { id, size } of images) {
      logger.info("Removing image to free bytes", { image: id, size });
      try {
        await cri.removeImage({ image: { image: id } }, { signal, timeoutMs: callTimeoutMs });
        this.#present.delete(id);
        onRemoved?.(why);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push(error);
      }
    }
    return failures;
  }

  #event(reason: string, message: string): void {
    this.#deps.recorder.record(nodeReference(this.#deps.nodeName), { type: "Warning", reason, message });
  }
}

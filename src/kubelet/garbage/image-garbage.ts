// Which images a node can give up, pure: what is known of each image (since when, when last used), in which order they go,
// the longest unused first, and which of them have to go for so many bytes. Pinned images and those that any container
// uses, dead or alive, stay.

export interface FoundImage {
  readonly id: string;
  readonly size: number;
  readonly pinned: boolean;
}

export interface ImageRecord extends FoundImage {
  readonly firstSeenMs: number;
  /** 0 when it was never seen to be used. */
  readonly lastUsedMs: number;
}

export type ImageRecords = ReadonlyMap<string, ImageRecord>;

/** What is known after looking again. */
export function recordImages(
  known: ImageRecords,
  images: readonly FoundImage[],
  { used, nowMs }: { readonly used: ReadonlySet<string>; readonly nowMs: number },
): ImageRecords {
  return new Map(
    images.map(({ id, size, pinned }) => {
      const before = known.get(id);
      const lastUsedMs = used.has(id) ? nowMs : (before?.lastUsedMs ?? 0);
      return [id, { id, size, pinned, firstSeenMs: before?.firstSeenMs ?? nowMs, lastUsedMs }];
    }),
  );
}

/** Those that may go, the longest unused first. */
export function unusedImages(records: ImageRecords, used: ReadonlySet<string>): readonly ImageRecord[] {
  return [...records.values()]
    .filter(({ id, pinned }) => !used.has(id) && !pinned)
    .sort((a, b) => a.lastUsedMs - b.lastUsedMs || a.firstSeenMs - b.firstSeenMs);
}

/** Unused for longer than `maxAgeMs`; an image never seen to be used has been so since before the kubelet. */
export function agedImages(unused: readonly ImageRecord[], { maxAgeMs, nowMs }: { readonly maxAgeMs: number; readonly nowMs: number }) {
  return maxAgeMs === 0 ? [] : unused.filter((image) => nowMs - image.lastUsedMs > maxAgeMs);
}

/** Old enough to be given up: a young image may have been pulled for a container that is about to be made. */
export function removableImages(
  unused: readonly ImageRecord[],
  { minAgeMs, nowMs }: { readonly minAgeMs: number; readonly nowMs: number },
) {
  return unused.filter((image) => image.lastUsedMs < nowMs && nowMs - image.firstSeenMs >= minAgeMs);
}

export interface DiskUse {
  readonly usedPercent: number;
  /** Down to the low threshold; 0 while the high one is not reached. */
  readonly bytesToFree: number;
}

export function diskUse(
  { capacityBytes, availableBytes }: { readonly capacityBytes: number; readonly availableBytes: number },
  { highThresholdPercent, lowThresholdPercent }: { readonly highThresholdPercent: number; readonly lowThresholdPercent: number },
): DiskUse {
  const available = Math.min(availableBytes, capacityBytes);
  const usedPercent = 100 - Math.floor((available * 100) / capacityBytes);
  const target = Math.floor((capacityBytes * (100 - lowThresholdPercent)) / 100);
  return { usedPercent, bytesToFree: usedPercent >= highThresholdPercent ? target - available : 0 };
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** "512 B", "1.5 GiB". */
export function sizeText(bytes: number): string {
  let [size, unit] = [bytes, 0];
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return unit === 0 ? `${size} B` : `${size.toFixed(1)} ${units[unit]}`;
}

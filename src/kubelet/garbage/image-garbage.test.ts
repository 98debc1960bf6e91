// What images a node gives up: the pure decisions, then the loop on the simulated runtime.
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { EventToRecord } from "../../client/event-recorder.ts";
import { createSimulatedRuntime } from "../../cri/simulated.ts";
import type { Summary } from "../stats/summary.ts";
import { ImageCollector, type ImageGarbagePolicy } from "./image-collector.ts";
import { agedImages, diskUse, recordImages, removableImages, sizeText, unusedImages } from "./image-garbage.ts";

const image = (id: string, pinned = false) => ({ id, size: 10, pinned });
const looked = (known: ReturnType<typeof recordImages>, ids: readonly string[], used: readonly string[], nowMs: number) =>
  recordImages(
    known,
    ids.map((id) => image(id, id === "pinned")),
    { used: new Set(used), nowMs },
  );

describe("image records", () => {
  it("remember since when an image is there and when it was used, and forget what is gone", () => {
    const first = looked(new Map(), ["a", "b"], ["a"], 100);
    const second = looked(first, ["a", "c"], [], 200);
    expect([...second.values()].map((r) => [r.id, r.firstSeenMs, r.lastUsedMs])).toEqual([
      ["a", 100, 100],
      ["c", 200, 0],
    ]);
  });

  it("give up the longest unused first, never what is used or pinned", () => {
    const records = looked(
      looked(new Map(), ["late", "early", "pinned", "used", "new"], ["late"], 100),
      ["late", "early", "pinned", "used", "new"],
      [],
      200,
    );
    const ordered = looked(records, ["late", "early", "pinned", "used", "new"], ["used"], 300);
    expect(unusedImages(ordered, new Set(["used"])).map((r) => r.id)).toEqual(["early", "new", "late"]);
  });

  it("know the young from the old", () => {
    const unused = [...looked(looked(new Map(), ["old"], ["old"], 100), ["old", "young"], [], 500).values()];
    expect(removableImages(unused, { minAgeMs: 200, nowMs: 600 }).map((r) => r.id)).toEqual(["old"]);
    expect(agedImages(unused, { maxAgeMs: 400, nowMs: 600 }).map((r) => r.id)).toEqual(["old", "young"]);
    expect(agedImages(unused, { maxAgeMs: 0, nowMs: 600 })).toEqual([]);
  });
});

describe("diskUse()", () => {
  const thresholds = { highThresholdPercent: 85, lowThresholdPercent: 80 };
  it.each([
    [200, { usedPercent: 80, bytesToFree: 0 }],
    [151, { usedPercent: 85, bytesToFree: 49 }],
    [150, { usedPercent: 85, bytesToFree: 50 }],
    [0, { usedPercent: 100, bytesToFree: 200 }],
    [2000, { usedPercent: 0, bytesToFree: 0 }],
  ])("with %i of 1000 available", (availableBytes, expected) =>
    expect(diskUse({ capacityBytes: 1000, availableBytes }, thresholds)).toEqual(expected),
  );

  it("says sizes as people read them", () => {
    expect([512, 1536, 5 * 2 ** 30, 2 ** 50].map(sizeText)).toEqual(["512 B", "1.5 KiB", "5.0 GiB", "1024.0 TiB"]);
  });
});

describe("ImageCollector", () => {
  function setUp(
    policy: Partial<ImageGarbagePolicy>,
    disk: { capacityBytes: number; availableBytes: number } | undefined,
    kept: readonly string[] = [],
  ) {
    const clock = new VirtualClock();
    const cri = createSimulatedRuntime({ clock, images: ["a:1", "b:1", "c:1"] });
    const events: EventToRecord[] = [];
    const summary = { node: disk ? { runtime: { imageFs: { time: "", ...disk } } } : {}, pods: [] } as unknown as Summary;
    const collector = new ImageCollector(
      {
        ...{ cri, clock, logger: silentLogger, nodeName: "n1", keptImages: () => kept, stats: { summary: async () => summary } },
        recorder: { record: (_about, event) => void events.push(event) },
      },
      { highThresholdPercent: 85, lowThresholdPercent: 80, minAgeMs: 120_000, maxAgeMs: 0, ...policy },
    );
    const images = async (): Promise<readonly string[]> =>
      (await cri.listImages({})).images.map((i) => i.repoTags[0]?.replace("docker.io/library/", "") ?? "").sort();
    const pass = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 60_000) await clock.advance(Math.min(left, 60_000));
    };
    return { clock, cri, collector, events, images, pass };
  }
  const size = async (cri: ReturnType<typeof createSimulatedRuntime>): Promise<number> => (await cri.listImages({})).images[0]?.size ?? 0;

  it("frees what brings the disk below its low threshold, no more", async () => {
    const probe = setUp({}, undefined);
    const bytes = await size(probe.cri);
    // 85 % used; the 5 % down to the low threshold are two images.
    const f = setUp({}, { capacityBytes: bytes * 40, availableBytes: bytes * 6 });
    f.collector.start();
    await f.pass(60_000);
    expect(await f.images()).toEqual(["a:1", "b:1", "c:1"]);
    await f.pass(300_000);
    expect(await f.images()).toEqual(["c:1"]);
    // At its start the kubelet takes every image for a young one: nothing could be freed.
    expect(f.events.map((e) => e.message.match(/freed \d+ bytes/)?.[0])).toEqual(["freed 0 bytes"]);
    await f.collector.stop();
  });

  it("keeps what it is told to keep, and says when that is not enough", async () => {
    const f = setUp({ minAgeMs: 0 }, { capacityBytes: 2 ** 40, availableBytes: 0 }, ["a:1"]);
    f.collector.start();
    await f.pass(310_000);
    expect(await f.images()).toEqual(["a:1"]);
    const bytes = await size(f.cri);
    expect(f.events[0]).toEqual({
      type: "Warning",
      reason: "FreeDiskSpaceFailed",
      message:
        `Insufficient free disk space on the node's image filesystem (100% of 1.0 TiB used). Failed to free sufficient space by deleting ` +
        `unused images (freed ${2 * bytes} bytes). Investigate disk usage, as it could be used by active images, logs, volumes, or other data.`,
    });
    // A second failure in a row is one of the collection.
    expect(f.events.map((e) => e.reason)).toEqual(["FreeDiskSpaceFailed", "FreeDiskSpaceFailed", "ImageGCFailed"]);
    await f.collector.stop();
  });

  it("removes what has not been used for too long, once it has watched that long", async () => {
    const f = setUp({ maxAgeMs: 600_000, highThresholdPercent: 100 }, { capacityBytes: 100, availableBytes: 90 });
    f.collector.start();
    await f.pass(600_000);
    expect(await f.images()).toHaveLength(3);
    await f.pass(300_000);
    expect(await f.images()).toEqual([]);
    await f.collector.stop();
  });

  it("complains about a disk without size", async () => {
    const f = setUp({}, undefined);
    await expect(f.collector.collect()).rejects.toThrow("invalid capacity 0 on image filesystem");
    expect(f.events.map((e) => e.reason)).toEqual(["InvalidDiskCapacity"]);
  });

  it("removes everything unused when asked to, but what is too young", async () => {
    const f = setUp({}, undefined);
    await f.collector.removeUnused();
    expect(await f.images()).toHaveLength(3);
    await f.pass(120_000);
    await f.collector.removeUnused();
    expect(await f.images()).toEqual([]);
  });
});

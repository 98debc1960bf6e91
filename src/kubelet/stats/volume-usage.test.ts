import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import { type Clock, realClock, VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { VolumeUsage } from "./volume-usage.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-volumes-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const podWith = (...volumes: readonly Volume[]): Pod => ({
  ...{ apiVersion: "v1", kind: "Pod" },
  metadata: { name: "p", namespace: "n", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { containers: [], volumes },
});

const usageOf = (pod: Pod, paths: Readonly<Record<string, string>>, clock: Clock = realClock) =>
  new VolumeUsage({
    ...{ clock, logger: silentLogger, pods: () => [pod] },
    mounted: () => new Map(Object.entries(paths).map(([name, hostPath]) => [name, { hostPath, readOnly: false }])),
  });

describe("VolumeUsage", () => {
  test("walks directories, asks file systems, and leaves alone what is not the pod's", async () => {
    await mkdir(join(directory, "data"));
    await writeFile(join(directory, "data", "file"), Buffer.alloc(10_000, 1));
    const pod = podWith(
      { name: "scratch", emptyDir: {} },
      { name: "memory", emptyDir: { medium: "Memory" } },
      { name: "host", hostPath: { path: "/etc" } },
      { name: "claimed", persistentVolumeClaim: { claimName: "c" } },
      { name: "own", ephemeral: {} },
      { name: "gone", emptyDir: {} },
    );
    const data = join(directory, "data");
    const usage = usageOf(pod, { scratch: data, memory: "/proc", host: "/etc", claimed: data, own: data, gone: join(directory, "none") });
    await usage.measure();
    const found = new Map(usage.of("u")?.map((volume) => [volume.name, volume]));
    expect([...found.keys()]).toEqual(["scratch", "memory", "claimed", "own"]);
    expect(found.get("scratch")).toMatchObject({ isEphemeral: true, inodesUsed: 2 });
    expect(found.get("scratch")?.usedBytes).toBeGreaterThanOrEqual(10_000);
    expect(found.get("memory")?.isEphemeral).toBe(false);
    expect(found.get("claimed")?.claim).toEqual({ namespace: "n", name: "c" });
    expect(found.get("own")?.claim).toEqual({ namespace: "n", name: "p-own" });
  });

  test("measures pods that it does not know yet when somebody asks for them, and no others", async () => {
    const usage = usageOf(podWith({ name: "scratch", emptyDir: {} }), { scratch: directory });
    await usage.measureNew(new Set(["other"]));
    expect(usage.of("u")).toBeUndefined();
    await usage.measureNew(new Set(["u"]));
    const first = usage.of("u");
    expect(first).toMatchObject([{ name: "scratch", inodesUsed: 1 }]);
    await writeFile(join(directory, "file"), "more");
    await usage.measureNew(new Set(["u"]));
    expect(usage.of("u")).toBe(first);
    await usage.measure();
    expect(usage.of("u")).toMatchObject([{ inodesUsed: 2 }]);
  });

  test("keeps what is known of a volume that takes too long", async () => {
    let isLate = false;
    const clock: Clock = {
      ...realClock,
      after(delayMs, callback) {
        if (!isLate) return realClock.after(delayMs, callback);
        callback();
        return { cancel: () => undefined };
      },
    };
    const usage = usageOf(podWith({ name: "scratch", emptyDir: {} }), { scratch: directory }, clock);
    await writeFile(join(directory, "file"), Buffer.alloc(10_000, 1));
    await usage.measure();
    const [before] = usage.of("u") ?? [];
    expect(before?.usedBytes).toBeGreaterThan(0);
    await writeFile(join(directory, "more"), Buffer.alloc(100_000, 1));
    isLate = true;
    await usage.measure();
    expect(usage.of("u")).toEqual([before]);
  });

  test("measures once a period, and not after it was stopped", async () => {
    const clock = new VirtualClock();
    let looks = 0;
    const pods = (): readonly Pod[] => {
      looks++;
      return [];
    };
    const usage = new VolumeUsage({ clock, logger: silentLogger, pods, mounted: () => undefined }, { periodMs: 1000 });
    usage.start();
    await clock.advance(3_500);
    expect(looks).toBe(3);
    await usage.stop();
    await clock.advance(5_000);
    expect(looks).toBe(3);
  });
});

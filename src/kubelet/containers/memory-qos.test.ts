import { describe, expect, it, test } from "vitest";
import type { Container, Pod, ResourceRequirements } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import type { CgroupLimits, Cgroups } from "../../linux/cgroups.ts";
import { createPodCgroups } from "../cgroups/pod-cgroups.ts";
import { QosCgroups } from "../cgroups/qos-cgroups.ts";
import { classMemoryQos, containerMemoryQos, type MemoryQos, podMemoryQos } from "./memory-qos.ts";

const mi = 2 ** 20;
const of = (requests: Readonly<Record<string, string>>, limits?: Readonly<Record<string, string>>): Container => ({
  ...{ name: "c", image: "i" },
  resources: { requests, ...(limits ? { limits } : {}) } as ResourceRequirements,
});
const podOf = (uid: string, ...containers: readonly Container[]): Pod =>
  ({ apiVersion: "v1", kind: "Pod", metadata: { name: uid, namespace: "d", uid }, spec: { containers } }) as unknown as Pod; // the rest is the server's

const guaranteed = of({ cpu: "1", memory: "64Mi" }, { cpu: "1", memory: "64Mi" });
const burstable = of({ cpu: "250m", memory: "64Mi" }, { memory: "128Mi" });
const open = of({ memory: "64Mi" });

describe("containerMemoryQos()", () => {
  const qos: MemoryQos = { throttlingFactor: 0.5, reservation: "None", allocatableBytes: 1024 * mi };
  const filesOf = (container: Container, options = qos) => containerMemoryQos(podOf("p", container), container, options);

  it("slows a container down between its request and its limit, or the node's memory", () => {
    expect(filesOf(burstable)).toEqual({ "memory.min": "0", "memory.low": "0", "memory.high": String(96 * mi) });
    expect(filesOf(open)["memory.high"]).toBe(String(544 * mi));
    expect(filesOf({ name: "c", image: "i" })).not.toHaveProperty("memory.high");
    expect(filesOf(guaranteed)).not.toHaveProperty("memory.high");
  });

  it("keeps what is requested where that is asked for: hard for guaranteed pods, soft for burstable ones", () => {
    const tiered: MemoryQos = { ...qos, reservation: "TieredReservation" };
    expect(filesOf(guaranteed, tiered)).toEqual({ "memory.min": String(64 * mi) });
    expect(filesOf(burstable, tiered)).toMatchObject({ "memory.low": String(64 * mi) });
    expect(podMemoryQos(podOf("p", guaranteed), tiered)).toEqual({ memoryMinBytes: 64 * mi });
    expect(podMemoryQos(podOf("p", guaranteed), qos)).toEqual({});
    expect(classMemoryQos([podOf("p", guaranteed), podOf("q", burstable)], tiered)).toEqual({
      ...{ guaranteed: { memoryMinBytes: 128 * mi }, burstable: { memoryLowBytes: 64 * mi } },
    });
  });
});

function remembering(version: 1 | 2 = 2): { readonly cgroups: Cgroups; readonly writes: (readonly [string, CgroupLimits | undefined])[] } {
  const writes: (readonly [string, CgroupLimits | undefined])[] = [];
  const write = async (path: string, limits?: CgroupLimits): Promise<void> => void writes.push([path, limits]);
  const cgroups = { version, exists: async () => false, ensure: write, update: write } as unknown as Cgroups; // the rest is not asked for
  return { cgroups, writes };
}

test("the classes of service have what their pods ask for together, and are written only when that changes", async () => {
  const { cgroups, writes } = remembering();
  const clock = new VirtualClock();
  const pods = [podOf("a", burstable), podOf("b", burstable), podOf("c", guaranteed)];
  const classes = new QosCgroups({ cgroups: createPodCgroups(cgroups, "r"), clock, logger: silentLogger, pods: () => pods });
  classes.start();
  classes.touch();
  await clock.advance(200);
  const shares = () => writes.filter(([path, limits]) => path === "/r/kubepods/burstable" && limits).map(([, limits]) => limits?.cpuShares);
  expect(shares()).toEqual([512]);
  await clock.advance(180_000);
  expect(shares()).toEqual([512]);
  pods.push(podOf("d", burstable));
  await clock.advance(60_000);
  expect(shares()).toEqual([512, 768]);
  await classes.stop();
});

test("memory that is requested is kept from the classes below, as much as can be", async () => {
  const { cgroups, writes } = remembering();
  const pods = [podOf("a", burstable), podOf("b", guaranteed)];
  const reservedMemory = { percent: 50, allocatableBytes: 1024 * mi };
  const memoryOf = (group: string) =>
    writes.filter(([path, limits]) => path.endsWith(group) && limits?.memoryBytes !== undefined).at(-1)?.[1]?.memoryBytes;
  await createPodCgroups(cgroups, "r", { reservedMemory }).updateClasses(pods);
  expect([memoryOf("burstable"), memoryOf("besteffort")]).toEqual([(1024 - 32) * mi, (1024 - 32 - 32) * mi]);

  // A class that cannot give back what it has is kept from taking more.
  const refusing = {
    ...cgroups,
    usage: async (path: string) => (path.endsWith("besteffort") ? { memoryBytes: 1000 * mi } : { memoryBytes: 1 }),
    async update(path: string, limits: CgroupLimits) {
      if (path.endsWith("besteffort") && (limits.memoryBytes ?? 0) < 1000 * mi) throw new Error("EBUSY");
      writes.push([path, limits]);
    },
  } as unknown as Cgroups; // the rest is not asked for
  await createPodCgroups(refusing, "r", { reservedMemory }).updateClasses(pods);
  expect([memoryOf("burstable"), memoryOf("besteffort")]).toEqual([(1024 - 32) * mi, 1000 * mi]);
});

test("a pod's group keeps its memory, and has a quota in the period it is told, or none", async () => {
  const { cgroups, writes } = remembering();
  const memoryQos: MemoryQos = { throttlingFactor: 0.9, reservation: "TieredReservation", allocatableBytes: 0 };
  const limitsOf = async (quota: { readonly enforced: boolean; readonly periodUs: number }): Promise<CgroupLimits | undefined> => {
    await createPodCgroups(cgroups, "r", { memoryQos, quota }).ensure(podOf("p", guaranteed));
    return writes.at(-1)?.[1];
  };
  expect(await limitsOf({ enforced: true, periodUs: 20_000 })).toMatchObject({
    ...{ cpuQuotaUs: 20_000, cpuPeriodUs: 20_000, memoryMinBytes: 64 * mi },
  });
  expect(await limitsOf({ enforced: false, periodUs: 100_000 })).toMatchObject({ cpuQuotaUs: -1 });
  const old = remembering(1);
  await createPodCgroups(old.cgroups, "r", { memoryQos }).ensure(podOf("p", guaranteed));
  expect(old.writes.at(-1)?.[1]).not.toHaveProperty("memoryMinBytes");
});

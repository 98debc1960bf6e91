// An empty directory on huge pages is a file system of pages of its size. None of the machine's pages are taken for it, so that
// a machine that keeps none will do.
import { mkdtemp, readFile, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { hostMounts } from "../../src/kubelet/volumes/host-mounts.ts";
import type { PayloadContext } from "../../src/kubelet/volumes/payload.ts";
import { VolumeManager } from "../../src/kubelet/volumes/volume-manager.ts";
import { unmountBelow } from "../../src/linux/mounts.ts";

const pageBytes = 2 ** 21;

async function whyNot(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "mounting needs Linux and root";
  const kinds = await readFile("/proc/filesystems", "utf8");
  return kinds.includes("hugetlbfs") ? undefined : "this kernel has no hugetlbfs";
}

const reason = await whyNot();
if (reason) console.log(`huge pages are not tried: ${reason}`);

describe.runIf(reason === undefined)("emptyDir with the medium HugePages", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "coracle-huge-"));
  });
  afterAll(async () => {
    await unmountBelow(directory);
    await rm(directory, { recursive: true });
  });

  test("is mounted with the size the pod asks for, once, and unmounted with the pod", async () => {
    const payload = (): PayloadContext => ({ allocatable: {} }) as unknown as PayloadContext; // nothing else is looked at
    const volumes = new VolumeManager(directory, { mounts: hostMounts, clock: realClock, payload });
    const requests = { "hugepages-2Mi": "4Mi" };
    const pod = {
      metadata: { uid: "u1", name: "p", namespace: "d" },
      spec: {
        volumes: [
          { name: "any", emptyDir: { medium: "HugePages" } },
          { name: "sized", emptyDir: { medium: "HugePages-2Mi" } },
        ],
        containers: [
          {
            name: "main",
            resources: { requests, limits: requests },
            volumeMounts: ["any", "sized"].map((name) => ({ name, mountPath: `/${name}` })),
          },
        ],
      },
    } as unknown as Pod; // what is looked at
    for (let i = 0; i < 2; i++) {
      const mounted = await volumes.setUp(pod, () => undefined);
      for (const name of ["any", "sized"]) {
        const { type, bsize } = await statfs(mounted.get(name)?.hostPath ?? "");
        expect([type, bsize]).toEqual([0x958458f6, pageBytes]);
      }
    }
    const mounts = await readFile("/proc/self/mounts", "utf8");
    expect(mounts.split("\n").filter((line) => line.includes(directory))).toHaveLength(2);
    await volumes.removePod("u1");
    expect(await readFile("/proc/self/mounts", "utf8")).not.toContain(directory);
  });
});

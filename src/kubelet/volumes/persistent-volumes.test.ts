// Claims whose volumes are directories or block devices of this node: what containers get of them, and what stays of them.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import type { Pod, PodSpec } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { createClient } from "../../client/create-client.ts";
import { createFakeApi } from "../../testing/fake-api.ts";
import { container } from "../../testing/kubelet-fixture.ts";
import { mountDevice } from "./block-devices.ts";
import { hostMounts } from "./host-mounts.ts";
import { createPersistentVolumePlugin, type DeviceMounts } from "./persistent-volumes.ts";
import type { VolumePlugin } from "./volume-manager.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-local-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const volume = { name: "data", persistentVolumeClaim: { claimName: "data" } };

function podWith(uid: string, spec: Partial<PodSpec>): Pod {
  return { metadata: { name: uid, namespace: "default", uid }, spec: { containers: [], volumes: [volume], ...spec } } as unknown as Pod; // as far as it matters
}

describe("the plugin of local volumes", () => {
  let mounted: string[];
  let plugin: VolumePlugin;
  const fake: DeviceMounts = {
    isMounted: async (target) => mounted.some((m) => m.startsWith(`${target} `)),
    mountDevice: async (device, target, fileSystem) => void mounted.push(`${target} ${device} ${fileSystem}`),
    unmount: async (target) => void (mounted = mounted.filter((m) => !m.startsWith(`${target} `))),
  };

  async function claimed(local: { readonly path: string; readonly fsType?: string }, volumeMode: "Block" | "Filesystem"): Promise<void> {
    const client = createClient(createFakeApi(new VirtualClock()));
    const claim = await client.create(persistentvolumeclaims, {
      metadata: { name: "data", namespace: "default" },
      spec: { volumeName: "pv" },
      status: { phase: "Bound" },
    });
    await client.updateStatus(persistentvolumeclaims, { ...claim, status: { phase: "Bound" } });
    const spec = { local, volumeMode, claimRef: { uid: claim.metadata.uid } };
    await client.create(persistentvolumes, { metadata: { name: "pv" }, spec });
    mounted = [];
    plugin = createPersistentVolumePlugin(client, fake);
  }

  async function blockDevice(): Promise<string> {
    const path = join(directory, "device");
    // No driver has this number: nothing here opens it.
    execFileSync("mknod", [path, "b", "7", "250"]);
    return path;
  }

  const byDevice = { containers: [container({ volumeDevices: [{ name: "data", devicePath: "/dev/data" }] })] };
  const byMount = { containers: [container({ volumeMounts: [{ name: "data", mountPath: "/data" }] })] };

  it("gives the device itself where the volume's mode is Block", async () => {
    const path = await blockDevice();
    await claimed({ path }, "Block");
    expect(await plugin.setUp(podWith("a", byDevice), volume, join(directory, "a"))).toEqual({
      hostPath: path,
      isDevice: true,
      readOnly: false,
    });
    expect(mounted).toEqual([]);
    await expect(plugin.setUp(podWith("b", byMount), volume, join(directory, "b"))).rejects.toThrow(
      "volume data has volumeMode Block, but is specified in volumeMounts",
    );
  });

  it("refuses a directory where the mode is Block, and volumeDevices where it is Filesystem", async () => {
    await claimed({ path: directory }, "Block");
    await expect(plugin.setUp(podWith("a", byDevice), volume, join(directory, "a"))).rejects.toThrow("is not a block device");
    await claimed({ path: directory }, "Filesystem");
    await expect(plugin.setUp(podWith("a", byDevice), volume, join(directory, "a"))).rejects.toThrow(
      "volume data has volumeMode Filesystem, but is specified in volumeDevices",
    );
  });

  it("mounts a device for each pod that wants files, once, and unmounts it with the pod", async () => {
    const path = await blockDevice();
    await claimed({ path, fsType: "xfs" }, "Filesystem");
    const [a, b] = [join(directory, "a"), join(directory, "b")];
    expect(await plugin.setUp(podWith("a", byMount), volume, a)).toEqual({ hostPath: a, readOnly: false });
    await plugin.setUp(podWith("a", byMount), volume, a);
    await plugin.setUp(podWith("b", byMount), volume, b);
    expect(mounted).toEqual([`${a} ${path} xfs`, `${b} ${path} xfs`]);
    await plugin.tearDown("a", "data", a);
    expect(mounted).toEqual([`${b} ${path} xfs`]);
  });

  it("gives the files to the pod's group, but not those that another pod uses", async () => {
    const path = join(directory, "files");
    await mkdir(path);
    await writeFile(join(path, "one"), "1", { mode: 0o600 });
    await claimed({ path }, "Filesystem");
    const inGroup = (fsGroup: number): Partial<PodSpec> => ({ ...byMount, securityContext: { fsGroup } });
    await plugin.setUp(podWith("a", inGroup(1234)), volume, join(directory, "a"));
    await plugin.setUp(podWith("b", inGroup(4321)), volume, join(directory, "b"));
    const [folder, file] = [await stat(path), await stat(join(path, "one"))];
    expect([folder.gid, file.gid, file.mode & 0o777]).toEqual([1234, 1234, 0o660]);
    await plugin.tearDown("a", "data", join(directory, "a"));
    await plugin.tearDown("b", "data", join(directory, "b"));
    await plugin.setUp(podWith("c", inGroup(4321)), volume, join(directory, "c"));
    expect((await stat(path)).gid).toBe(4321);
  });
});

describe("mountDevice()", () => {
  it("makes a file system on a blank device, once, and keeps the one that is there", async () => {
    const image = join(directory, "image");
    execFileSync("truncate", ["-s", "16M", image]);
    const device = execFileSync("losetup", ["-f", "--show", image], { encoding: "utf8" }).trim();
    const [a, b] = [join(directory, "a"), join(directory, "b")];
    try {
      await Promise.all([mountDevice(device, a), mountDevice(device, b)]);
      await writeFile(join(a, "file"), "kept");
      expect(await readFile(join(b, "file"), "utf8")).toBe("kept");
      await hostMounts.unmount(a);
      await hostMounts.unmount(b);
      await mountDevice(device, a);
      expect(await readFile(join(a, "file"), "utf8")).toBe("kept");
    } finally {
      await hostMounts.unmount(a);
      await hostMounts.unmount(b);
      execFileSync("losetup", ["-d", device]);
    }
  });
});

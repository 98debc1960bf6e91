// Whether an OCI runtime works on this machine: it is made to run a container, with the kinds of namespaces, mounts and control
// groups that pods have, whose only program ends at once. A runtime that only prints its version may still refuse all of that.
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { realClock } from "../base/clock.ts";
import { createCgroups, detectCgroups } from "../linux/cgroups.ts";
import { runCommand } from "../linux/run-command.ts";
import { elf, elfMachine } from "./elf.ts";
import { type Architecture, hostArchitecture } from "./image-archive.ts";

const probeTimeoutMs = 10_000;
const bundlePrefix = "oci-probe-";
const groupOf = (bundle: string): string => `coracle-${bundle}`;

export interface OciProbe {
  /** Of the runtime specification, as containerd writes it into what it wants to have run: "1.0.2". */
  readonly ociVersion: string;
  /** Where the bundle lies meanwhile. */
  readonly directory: string;
}

/** Resolves when the container ran; rejects with what the runtime said. Nothing of it stays below the directory. */
export async function tryOciRuntime(binary: string, { ociVersion, directory }: OciProbe): Promise<void> {
  const bundle = await mkdtemp(join(directory, bundlePrefix));
  const root = join(bundle, "state");
  const id = groupOf(basename(bundle));
  const command = (...args: readonly string[]) => runCommand(binary, ["--root", root, ...args], { timeoutMs: probeTimeoutMs });
  try {
    await mkdir(join(bundle, "rootfs"));
    await writeFile(join(bundle, "rootfs", "end"), endingProgram(hostArchitecture()), { mode: 0o755 });
    await writeFile(join(bundle, "config.json"), JSON.stringify({ ociVersion, ...specification(`/${id}`) }));
    await command("run", "--bundle", bundle, id);
  } catch (error) {
    await command("delete", "--force", id).catch(() => undefined); // mostly there is nothing to delete
    await removeGroup(id);
    throw error;
  } finally {
    await rm(bundle, { recursive: true, force: true });
  }
}

/** What probes have left that did not live to clean up after themselves. */
export async function removeOciProbes(directory: string): Promise<void> {
  const names = await readdir(directory).catch((): string[] => []);
  for (const name of names.filter((n) => n.startsWith(bundlePrefix))) {
    await removeGroup(groupOf(name));
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** A runtime that is killed leaves its container's control group. */
async function removeGroup(id: string): Promise<void> {
  await createCgroups(await detectCgroups(), { clock: realClock })
    .remove(`/${id}`)
    .catch(() => undefined);
}

function specification(cgroupsPath: string): object {
  const unsafe = ["nosuid", "noexec", "nodev"];
  return {
    process: { user: { uid: 0, gid: 0 }, args: ["/end"], env: [], cwd: "/", noNewPrivileges: true },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: unsafe },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=64k"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: [...unsafe, "ro"] },
      { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...unsafe, "ro"] },
    ],
    linux: {
      cgroupsPath,
      namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      resources: { cpu: { shares: 2 }, memory: { limit: 64 * 1024 * 1024 }, devices: [{ allow: false, access: "rwm" }] },
    },
  };
}

/** exit_group(0). */
function endingProgram(architecture: Architecture): Uint8Array {
  const code =
    architecture === "amd64"
      ? [0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05] // xor edi, edi; mov eax, 231; syscall
      : [0x00, 0x00, 0x80, 0xd2, 0xc8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]; // mov x0, #0; mov x8, #94; svc #0
  return elf(elfMachine[architecture], Buffer.from(code));
}

// The volumes of the pods on this node: made before the containers start, kept up to date while they run, removed when
// they have ended. Directories are laid out as upstream's kubelet does: <root>/pods/<uid>/volumes/<plugin>/<volume>.
// Secrets and tokens lie on tmpfs, so that they never reach a disk.
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type FileCalls, pooledFiles } from "../../base/file-calls.ts";
import { podCgroupResources } from "../containers/linux-resources.ts";
import { type VolumeMetrics, type VolumeOperation, volumePlugin } from "../stats/volume-metrics.ts";
import { type Payload, writePayload } from "./atomic-writer.ts";
import { prepareHostPath } from "./host-path.ts";
import { hugePageBytes, isHugePageMedium } from "./huge-pages.ts";
import { applyFsGroup } from "./ownership.ts";
import { type PayloadContext, volumePayload } from "./payload.ts";
import { usedVolumes } from "./used-volumes.ts";

/** What the node's mounts are asked for; linux/mounts.ts has it. */
export interface HostMounts {
  mountTmpfs(target: string, options?: { readonly sizeBytes?: number; readonly mode?: string }): Promise<void>;
  /** A file system of huge pages of this size. */
  mountHugePages(target: string, pageBytes: number): Promise<void>;
  /** Does nothing where nothing is mounted. */
  unmount(target: string): Promise<void>;
  /** Everything at and below a directory. */
  unmountBelow(directory: string): Promise<void>;
  isMounted(target: string): Promise<boolean>;
  /** A block device, with a file system that is made where there is none. */
  mountDevice(device: string, target: string, fileSystem: string | undefined): Promise<void>;
}

export interface MountedVolume {
  readonly hostPath: string;
  /** It is the device of this path: containers get that (volumeDevices), no directory. */
  readonly isDevice?: boolean;
  readonly readOnly: boolean;
}

/** By volume name. */
export type MountedVolumes = ReadonlyMap<string, MountedVolume>;

/** A kind of volume that others provide: persistent volumes, CSI. */
export interface VolumePlugin {
  /** Part of the directory's name: "kubernetes.io~csi". */
  readonly name: string;
  supports(volume: Volume): boolean;
  /** Makes the volume usable, at `directory` or elsewhere. Called again for each start of the kubelet: idempotent. */
  setUp(pod: Pod, volume: Volume, directory: string): Promise<MountedVolume>;
  /** Undoes setUp; `directory` is removed afterwards. Called for volumes of pods that are no longer known, too. */
  tearDown(podUid: string, volumeName: string, directory: string): Promise<void>;
}

export interface VolumeManagerDependencies {
  readonly mounts: HostMounts;
  readonly clock: Clock;
  readonly plugins?: readonly VolumePlugin[];
  readonly payload: (pod: Pod) => PayloadContext;
  /** Default: nobody counts. */
  readonly metrics?: VolumeMetrics | undefined;
  /** What files of configuration and secrets are written with. Default pooledFiles. */
  readonly files?: FileCalls;
}

/** One volume could not be made. */
export class VolumeError extends Error {
  readonly volume: string;

  constructor(volume: string, cause: unknown) {
    super(`MountVolume.SetUp failed for volume "${volume}" : ${(cause as Error).message}`, { cause });
    this.name = "VolumeError";
    this.volume = volume;
  }
}

/** It cannot even be told what is to be mounted: a claim that is not there, or not bound. */
export class UnprocessedVolumeError extends Error {}

/** Some of a pod's volumes could not be made. */
export class VolumesError extends Error {
  /** Those that could be told what they are. */
  readonly failures: readonly VolumeError[];
  /** Of the others. */
  readonly unprocessed: readonly VolumeError[];

  constructor(all: readonly VolumeError[]) {
    const unprocessed = all.filter(({ cause }) => cause instanceof UnprocessedVolumeError);
    const names = (of: readonly VolumeError[]): string => of.map(({ volume }) => volume).join(" ");
    const why = unprocessed.map(({ cause }) => `: ${(cause as Error).message}`).join("");
    super(`unmounted volumes=[${names(all)}], unattached volumes=[], failed to process volumes=[${names(unprocessed)}]${why}`);
    this.name = "VolumesError";
    this.failures = all.filter((failure) => !unprocessed.includes(failure));
    this.unprocessed = unprocessed;
  }
}

const kinds = {
  configMap: "kubernetes.io~configmap",
  secret: "kubernetes.io~secret",
  downwardAPI: "kubernetes.io~downward-api",
  projected: "kubernetes.io~projected",
  emptyDir: "kubernetes.io~empty-dir",
} as const;

/** What a volume was found to contain, or was written to contain, is taken to be there for so long. */
const checkedMs = 60_000;

interface WrittenPayload {
  readonly digest: string;
  /** On the monotonic clock. */
  readonly atMs: number;
}

export class VolumeManager {
  readonly #deps: VolumeManagerDependencies;
  readonly #podsDirectory: string;
  /** What has been made since the start, by pod. */
  readonly #mounted = new Map<string, MountedVolumes>();
  /** By pod and directory. A pod is looked at several times while it starts: its files are not read again each time. */
  readonly #written = new Map<string, Map<string, WrittenPayload>>();

  constructor(podsDirectory: string, deps: VolumeManagerDependencies) {
    this.#podsDirectory = podsDirectory;
    this.#deps = deps;
  }

  podDirectory(podUid: string): string {
    return join(this.#podsDirectory, podUid);
  }

  /**
   * Makes all volumes, or brings the contents of those that exist up to date. Throws a VolumesError when some cannot be
   * made; what fails for a volume that was made before is told to `onStale`, and its contents stay.
   */
  async setUp(pod: Pod, onStale: (error: VolumeError) => void): Promise<MountedVolumes> {
    const before = this.#mounted.get(pod.metadata.uid);
    const mounted = new Map<string, MountedVolume>();
    const failures: VolumeError[] = [];
    await Promise.all(
      usedVolumes(pod).map(async (volume) => {
        try {
          const made = await this.#observed("volume_mount", volumePlugin(volume), () => this.#setUpVolume(pod, volume));
          if (made) mounted.set(volume.name, made);
        } catch (error) {
          const failure = new VolumeError(volume.name, error);
          const known = before?.get(volume.name);
          if (!known) return void failures.push(failure);
          mounted.set(volume.name, known);
          onStale(failure);
        }
      }),
    );
    if (failures.length > 0) throw new VolumesError(failures);
    this.#mounted.set(pod.metadata.uid, mounted);
    return mounted;
  }

  /** What has been made for the pod since the start. */
  mounted(podUid: string): MountedVolumes | undefined {
    return this.#mounted.get(podUid);
  }

  /** Removes everything of the pod's volumes; what is under a hostPath is not the pod's. */
  async tearDown(podUid: string): Promise<void> {
    this.#mounted.delete(podUid);
    this.#written.delete(podUid);
    const volumes = join(this.podDirectory(podUid), "volumes");
    for (const kind of await namesIn(volumes)) {
      for (const name of await namesIn(join(volumes, kind))) {
        const directory = join(volumes, kind, name);
        await this.#observed("volume_unmount", kind.replace("~", "/"), () => this.#tearDownVolume(podUid, { kind, name, directory }));
      }
    }
    await rm(volumes, { recursive: true, force: true });
  }

  async #tearDownVolume(
    podUid: string,
    { kind, name, directory }: { readonly kind: string; readonly name: string; readonly directory: string },
  ): Promise<void> {
    const plugin = this.#deps.plugins?.find((p) => p.name === kind);
    if (!plugin) {
      await this.#deps.mounts.unmount(directory);
      return rm(directory, { recursive: true, force: true });
    }
    await plugin.tearDown(podUid, name, directory);
    // What is left must be an empty directory: never delete what may still be someone's data.
    await rmdir(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }

  #observed<T>(operation: VolumeOperation, plugin: string, work: () => Promise<T>): Promise<T> {
    return this.#deps.metrics ? this.#deps.metrics.observe(operation, plugin, work) : work();
  }

  /** The whole directory of a pod that is gone. */
  async removePod(podUid: string): Promise<void> {
    await this.tearDown(podUid);
    await this.#deps.mounts.unmountBelow(this.podDirectory(podUid));
    await rm(this.podDirectory(podUid), { recursive: true, force: true });
  }

  /** UIDs of pods that have a directory here. */
  async podsOnDisk(): Promise<readonly string[]> {
    return await namesIn(this.#podsDirectory);
  }

  async #setUpVolume(pod: Pod, volume: Volume): Promise<MountedVolume | undefined> {
    if (volume.hostPath) {
      await prepareHostPath(volume.hostPath);
      return { hostPath: volume.hostPath.path, readOnly: false };
    }
    if (volume.emptyDir) return await this.#setUpEmptyDir(pod, volume);
    const kind = (["configMap", "secret", "downwardAPI", "projected"] as const).find((k) => volume[k] !== undefined);
    if (kind) return await this.#setUpFiles(pod, volume, kinds[kind], kind === "secret" || kind === "projected");
    const plugin = this.#deps.plugins?.find((p) => p.supports(volume));
    if (plugin) return await this.#setUpByPlugin(pod, volume, plugin);
    // Images are mounted by the runtime itself.
    if (volume.image) return undefined;
    if (volume.csi) throw unknownDriver(volume.csi.driver);
    throw new Error(
      `no volume plugin matched (${Object.keys(volume)
        .filter((k) => k !== "name")
        .join(", ")})`,
    );
  }

  /** Only once: afterwards its mode and owners are the containers' business. */
  async #setUpEmptyDir(pod: Pod, volume: Volume): Promise<MountedVolume> {
    const directory = this.#volumeDirectory(pod, kinds.emptyDir, volume.name);
    const { medium = "", sizeLimit } = volume.emptyDir ?? {};
    const made = { hostPath: directory, readOnly: false };
    if (medium === "Memory") {
      if (await this.#deps.mounts.isMounted(directory)) return made;
      const sizeBytes = this.#memorySize(pod, sizeLimit);
      await this.#deps.mounts.mountTmpfs(directory, { mode: "1777", ...(sizeBytes ? { sizeBytes } : {}) });
      await this.#applyFsGroup(pod, directory, false);
    } else if (medium === "") {
      if (await exists(directory)) return made;
      // Prepared under another name, so that a crash leaves nothing half done.
      const fresh = `${directory}.new`;
      await mkdir(fresh, { recursive: true });
      await chmod(fresh, 0o777);
      await this.#applyFsGroup(pod, fresh, false);
      await rename(fresh, directory);
    } else if (isHugePageMedium(medium)) {
      if (await this.#deps.mounts.isMounted(directory)) return made;
      await this.#deps.mounts.mountHugePages(directory, hugePageBytes(medium, pod));
      await this.#applyFsGroup(pod, directory, false);
    } else throw new Error(`unknown storage medium "${medium}"`);
    return made;
  }

  /** At most what the pod may use, or all pods together; less where the volume says so. */
  #memorySize(pod: Pod, sizeLimit: string | number | undefined): number {
    const asked = sizeLimit === undefined ? 0 : parseQuantity(sizeLimit).value();
    const { memory = 0 } = this.#deps.payload(pod).allocatable;
    const available = podCgroupResources(pod).memoryBytes ?? parseQuantity(memory).value();
    return asked > 0 && (available === 0 || asked <= available) ? asked : available;
  }

  async #setUpFiles(pod: Pod, volume: Volume, kind: string, inMemory: boolean): Promise<MountedVolume> {
    const payload = (await volumePayload(pod, volume, this.#deps.payload(pod))) ?? new Map();
    const directory = this.#volumeDirectory(pod, kind, volume.name);
    const made = { hostPath: directory, readOnly: false };
    const digest = digestOf(payload);
    if (this.#isWritten(pod, directory, digest)) return made;
    const { mounts, clock, files = pooledFiles } = this.#deps;
    if (!inMemory) await files.mkdir(directory, { recursive: true });
    else if (!(await mounts.isMounted(directory))) await mounts.mountTmpfs(directory, { mode: "1777" });
    // In memory as the kernel makes it, and as upstream leaves it: whoever owns a file there is who may delete it.
    await files.chmod(directory, inMemory ? 0o1777 : 0o777);
    const prepare = async (next: string): Promise<void> => {
      for (const [path, { uid }] of payload) if (uid !== undefined) await files.chown(join(next, path), uid, -1);
      await this.#applyFsGroup(pod, next, true);
    };
    await writePayload(directory, payload, { nowMs: clock.now(), prepare, files });
    this.#noteWritten(pod, directory, digest);
    return made;
  }

  #isWritten(pod: Pod, directory: string, digest: string): boolean {
    const written = this.#written.get(pod.metadata.uid)?.get(directory);
    return written?.digest === digest && this.#deps.clock.monotonic() - written.atMs < checkedMs;
  }

  #noteWritten({ metadata: { uid } }: Pod, directory: string, digest: string): void {
    const ofPod = this.#written.get(uid) ?? new Map<string, WrittenPayload>();
    this.#written.set(uid, ofPod.set(directory, { digest, atMs: this.#deps.clock.monotonic() }));
  }

  async #setUpByPlugin(pod: Pod, volume: Volume, plugin: VolumePlugin): Promise<MountedVolume> {
    const directory = this.#volumeDirectory(pod, plugin.name, volume.name);
    await mkdir(directory, { recursive: true });
    return await plugin.setUp(pod, volume, directory);
  }

  async #applyFsGroup(pod: Pod, directory: string, readOnly: boolean): Promise<void> {
    const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
    if (fsGroup === undefined) return;
    await applyFsGroup(directory, fsGroup, { readOnly, onRootMismatch: fsGroupChangePolicy === "OnRootMismatch" });
  }

  #volumeDirectory(pod: Pod, kind: string, name: string): string {
    return join(this.podDirectory(pod.metadata.uid), "volumes", kind, name);
  }
}

/** Equal texts mean equal files. */
function digestOf(payload: Payload): string {
  const hash = createHash("sha256");
  for (const [path, { data, mode, uid }] of payload) {
    hash.update(`${path}\0${mode}\0${uid ?? ""}\0${data.length}\0`);
    hash.update(data);
  }
  return hash.digest("base64");
}

/** No driver of volumes can register yet. */
export const unknownDriver = (driver: string): Error =>
  new Error(
    `kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${driver} not found in the list of registered CSI drivers`,
  );

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

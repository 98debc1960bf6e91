// A whole cluster as users start it (`coracle up`), with kubectl beside it: in a directory and on a port of its own, and
// gone without a trace afterwards, also when the test fails.
import { writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { buildImage, type TestImage } from "../../src/testing/image-builder.ts";
import {
  type BackgroundCoracle,
  type CommandResult,
  coracle,
  freePort,
  mustRun,
  type RunOptions,
  run,
  startCoracle,
  temporaryDirectory,
  until,
} from "./processes.ts";

const needed = ["containerd", "runc", "busybox", "nft"];

/** The oldest kubectl that knows the commands these tests use. */
const oldestKubectlMinor = 28;

/** Why real containers, or kubectl beside them, cannot be tried here; undefined when they can. */
export async function whyNoContainers(): Promise<string | undefined> {
  if (process.platform !== "linux") return `containers need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "containers need root";
  const found = await Promise.all(needed.map(findExecutable));
  const missing = needed.filter((_, i) => found[i] === undefined);
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : whyNoKubectl();
}

/** Why kubectl cannot be tried here; undefined when it can. */
export async function whyNoKubectl(): Promise<string | undefined> {
  if ((await findExecutable("kubectl")) === undefined) return "not installed: kubectl";
  const { clientVersion } = JSON.parse(await mustRun("kubectl", ["version", "--client", "-o", "json"]));
  const isOld = Number(clientVersion.major) === 1 && Number.parseInt(clientVersion.minor, 10) < oldestKubectlMinor;
  return isOld ? `kubectl ${clientVersion.gitVersion} is older than 1.${oldestKubectlMinor}` : undefined;
}

const placesOfWorker = 64;
let places = process.pid;

/**
 * 0 to 127: which addresses a cluster has. Test files that run at the same time share none, nor do clusters of one file; and none
 * are taken that another cluster on this machine has.
 */
function nextPlace(): number {
  const worker = Number(process.env.VITEST_POOL_ID ?? 0) % 2;
  const inUse = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
  for (let tried = 0; ; tried++) {
    const place = worker * placesOfWorker + (places++ % placesOfWorker);
    const isFree = !inUse.some((address) => address.startsWith(`10.${112 + place}.`) || address.startsWith(`172.29.${place}.`));
    if (isFree || tried === placesOfWorker) return place;
  }
}

export class Cluster {
  readonly dataDir: string;
  readonly kubeconfig: string;
  readonly port: number;
  /** Of its own: other clusters may run on this machine. */
  readonly podRange: string;
  /** Of the nodes beside the first. */
  readonly nodeRange: string;
  /** Also of its own: the machine itself reaches services of all its clusters. */
  readonly serviceRange: string;
  readonly #args: readonly string[];
  readonly #remove: () => Promise<void>;
  #process: BackgroundCoracle | undefined;

  private constructor(dataDir: string, port: number, args: readonly string[], remove: () => Promise<void>) {
    this.dataDir = dataDir;
    this.port = port;
    const place = nextPlace();
    this.podRange = `10.${112 + place}.0.0/16`;
    this.nodeRange = `172.29.${place}.0/24`;
    this.serviceRange = `10.${96 + (place % 16)}.${(place >> 4) * 16}.0/20`;
    this.kubeconfig = join(dataDir, "kubeconfig");
    this.#args = args;
    this.#remove = remove;
  }

  /** `args`: flags of `up` besides directory, port and kubeconfig. Call start(). */
  static async prepare(name: string, args: readonly string[] = []): Promise<Cluster> {
    const directory = await temporaryDirectory(name);
    return new Cluster(join(directory.path, "data"), await freePort(), args, directory.remove);
  }

  /** Resolves when `up` says that everything is there. `more`: further flags, for this start. */
  async start(more: readonly string[] = []): Promise<void> {
    const started = startCoracle([
      "up",
      "--data-dir",
      this.dataDir,
      "--secure-port",
      String(this.port),
      "--kubeconfig",
      this.kubeconfig,
      "--cluster-cidr",
      this.podRange,
      "--node-cidr",
      this.nodeRange,
      "--service-cluster-ip-range",
      this.serviceRange,
      ...this.#args,
      ...more,
    ]);
    this.#process = started;
    const isUp = (): boolean => started.output().includes("Ctrl-C stops the cluster");
    try {
      await until("the cluster is up", () => isUp() || started.process.exitCode !== null, 90_000);
      if (!isUp()) throw new Error("coracle up has ended");
    } catch (error) {
      await started.stop("SIGKILL");
      throw new Error(`${(error as Error).message}\n${started.output()}`);
    }
  }

  get output(): string {
    return this.#process?.output() ?? "";
  }

  get process(): BackgroundCoracle {
    if (!this.#process) throw new Error("the cluster has not been started");
    return this.#process;
  }

  /** As Ctrl-C does, or by another signal. */
  stop(signal: NodeJS.Signals = "SIGINT"): Promise<number> {
    return this.process.stop(signal);
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    return mustRun("kubectl", args, { env: this.#env });
  }

  /** Also for commands that are to fail. */
  tryKubectl(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    return run("kubectl", args, { ...options, env: { ...this.#env, ...options.env } });
  }

  /** Applies manifests given as values. */
  async apply(...objects: readonly object[]): Promise<string> {
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
    return mustRun("kubectl", ["apply", "-f", "-"], { env: this.#env, input });
  }

  async get<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.kubectl("get", ...args, "-o", "json")) as T;
  }

  async importImages(...images: readonly TestImage[]): Promise<void> {
    for (const [i, image] of images.entries()) {
      const file = join(this.dataDir, `..`, `image-${i}.tar`);
      await writeFile(file, await buildImage(image));
      const result = await coracle(["image", "import", "--data-dir", this.dataDir, file]);
      if (result.code !== 0) throw new Error(`importing ${image.name}: ${result.stdout}${result.stderr}`);
    }
  }

  /** Ends everything and removes the directory. */
  async remove(): Promise<void> {
    if (this.#process) await this.#process.stop("SIGTERM");
    const down = await coracle(["down", "--force", "--data-dir", this.dataDir], { timeoutMs: 120_000 });
    await this.#remove();
    if (down.code !== 0) throw new Error(`coracle down: ${down.stdout}${down.stderr}`);
  }

  get #env(): NodeJS.ProcessEnv {
    return { KUBECONFIG: this.kubeconfig, HOME: join(this.dataDir, "home") };
  }
}

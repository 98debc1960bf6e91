// A host for CNI plugins in a network namespace of its own, and containers, which are namespaces too: what plugins do happens in
// there, and all of it is gone with the namespaces. Those of a test that was killed are removed by the next one.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { realClock } from "../../src/base/clock.ts";
import { type CniRuntime, createCniRuntime } from "../../src/cni/libcni/runtime.ts";
import { findDirectoryWith } from "../../src/linux/find-executable.ts";
import { mustRun, run } from "./processes.ts";

/** Whose plugins. */
export type CniVendor = "debian" | "coracle";

const prefix = "cnilab";
const launcherNames = ["bandwidth", "bridge", "firewall", "host-device", "host-local", "ipvlan", "loopback", "macvlan"].concat([
  "portmap",
  "ptp",
  "static",
  "tuning",
  "vlan",
]);

/** Where Debian's plugins are; undefined where they are not. */
export const debianPlugins = (): Promise<string | undefined> => findDirectoryWith(launcherNames, ["/usr/lib/cni", "/opt/cni/bin"]);

export class CniLab {
  /** For files of networks, of plugins. */
  readonly directory: string;
  readonly host: string;
  readonly runtime: CniRuntime;
  readonly #namespaces: string[] = [];
  #hostProcess: ChildProcess | undefined;

  private constructor(directory: string, host: string, bin: string, hostProcess: ChildProcess | undefined) {
    this.directory = directory;
    this.host = host;
    this.#hostProcess = hostProcess;
    const cacheDirectory = join(directory, "cache");
    this.runtime = createCniRuntime({ clock: realClock, path: [bin], cacheDirectory, pluginTimeoutMs: 60_000 });
  }

  static async create(vendor: CniVendor): Promise<CniLab> {
    await removeLeftOvers();
    const directory = await mkdtemp(join(tmpdir(), `${prefix}-`));
    const host = `${prefix}-${process.pid}-${randomBytes(2).toString("hex")}`;
    await mustRun("ip", ["netns", "add", host]);
    await mustRun("ip", ["-n", host, "link", "set", "lo", "up"]);
    const debian = (await debianPlugins()) ?? "";
    const hostProcess = vendor === "coracle" ? await startHost(directory, host) : undefined;
    const bin = join(directory, "bin");
    await wrap(vendor === "coracle" ? join(directory, "cni", "bin") : debian, bin, host);
    return new CniLab(directory, host, bin, hostProcess);
  }

  /** A second runtime on the same host, with Debian's plugins; it knows what the first one has attached. */
  async debianRuntime(): Promise<CniRuntime> {
    const bin = join(this.directory, "debian");
    await wrap((await debianPlugins()) ?? "", bin, this.host);
    return createCniRuntime({ clock: realClock, path: [bin], cacheDirectory: join(this.directory, "cache"), pluginTimeoutMs: 60_000 });
  }

  /** The plugin host ends at once, as by a crash, and another one begins. */
  async restartHost(): Promise<void> {
    const before = this.#hostProcess;
    const ended = new Promise((resolve) => before?.once("close", resolve));
    before?.kill("SIGKILL");
    await ended;
    this.#hostProcess = await startHost(this.directory, this.host);
  }

  /** Path of a new container's namespace. */
  async container(): Promise<string> {
    const name = `${prefix}-${process.pid}-${randomBytes(3).toString("hex")}`;
    await mustRun("ip", ["netns", "add", name]);
    this.#namespaces.push(name);
    return `/run/netns/${name}`;
  }

  /** Runs a tool in a namespace; by default the host's. */
  async in(netns: string | undefined, tool: string, ...args: readonly string[]): Promise<string> {
    return mustRun("nsenter", [`--net=${netns ?? `/run/netns/${this.host}`}`, tool, ...args]);
  }

  async json<T>(netns: string | undefined, ...args: readonly string[]): Promise<readonly T[]> {
    return JSON.parse((await this.in(netns, "ip", "-json", ...args)) || "[]") as readonly T[];
  }

  async remove(): Promise<void> {
    const ended = this.#hostProcess && new Promise((done) => this.#hostProcess?.once("exit", done));
    this.#hostProcess?.stdin?.end();
    await ended;
    for (const name of [...this.#namespaces, this.host]) await run("ip", ["netns", "delete", name]);
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Plugins are run as if the runtime were in the host's namespace. */
async function wrap(source: string, bin: string, host: string): Promise<void> {
  await mkdir(bin);
  for (const name of (await readdir(source)).filter((each) => !each.startsWith(".")))
    await writeFile(join(bin, name), `#!/bin/sh\nexec nsenter --net=/run/netns/${host} ${join(source, name)}\n`, { mode: 0o755 });
}

async function startHost(directory: string, host: string): Promise<ChildProcess> {
  const root = new URL("../../", import.meta.url).pathname;
  const node = [
    process.execPath,
    "--import",
    join(root, "scripts/ts-loader.mjs"),
    join(root, "test/support/cni-host-process.ts"),
    directory,
  ];
  const child = spawn("nsenter", [`--net=/run/netns/${host}`, ...node], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the plugin host ended with ${code}`)));
    createInterface({ input: child.stdout }).once("line", () => resolve());
  });
  return child;
}

/** Namespaces of tests whose process is no more. */
async function removeLeftOvers(): Promise<void> {
  for (const name of await readdir("/run/netns").catch(() => [])) {
    const pid = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await run("ip", ["netns", "delete", name]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

// The routing daemon of a node: bird, in the node's network namespace, with a directory of its own for its configuration and
// control socket. It runs beside this process, not within it, as containers do: routes stay while the node's process is
// started anew, and `coracle down` ends it. Whoever asks for a configuration gets a daemon that runs with it.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { findExecutable } from "../linux/find-executable.ts";
import { commandLine, identifyProcess, type ProcessIdentity, terminateProcess } from "../linux/processes.ts";
import { runCommand } from "../linux/run-command.ts";

export interface RoutingDaemon {
  /** Resolves when the daemon runs with this configuration. Rejects, with the daemon's words, where it refuses it. */
  apply(config: string): Promise<void>;
  /** Whether it has ended, so that it has to be given its configuration again. */
  hasEnded(): Promise<boolean>;
}

export interface BirdOptions {
  readonly directory: string;
  readonly logger: Logger;
  /** Path of the network namespace it is started in. Default this process's. */
  readonly netns?: string;
}

/** Why routes cannot be exchanged on this machine; undefined when they can. */
export async function whyNoBird(): Promise<string | undefined> {
  const found = await Promise.all(["bird", "birdc"].map(findExecutable));
  return found.every(Boolean) ? undefined : "bird is not installed, which a routed pod network needs (the Debian package bird2)";
}

export const birdLog = (directory: string): string => join(directory, "bird.log");

const paths = (directory: string) => ({
  config: join(directory, "bird.conf"),
  socket: join(directory, "bird.ctl"),
  pidFile: join(directory, "bird.pid"),
});

const stopMs = 5_000;
const timeoutMs = 15_000;

export function createBird({ directory, logger, netns }: BirdOptions): RoutingDaemon {
  const { config: configFile, socket, pidFile } = paths(directory);
  let applied: string | undefined;
  const start = async (): Promise<void> => {
    // What it was killed with is still there: then its routes are too, and stay until the neighbours have told theirs again.
    const hasCrashed = (await readFile(pidFile, "utf8").catch(() => "")) !== "";
    const args = ["-c", configFile, "-s", socket, "-P", pidFile, ...(hasCrashed ? ["-R"] : [])];
    await (netns === undefined
      ? runCommand("bird", args, { timeoutMs })
      : runCommand("nsenter", [`--net=${netns}`, "bird", ...args], { timeoutMs }));
    logger.info("The routing daemon was started", { directory }, 2);
  };
  const configure = async (): Promise<void> => {
    const { stdout } = await runCommand("birdc", ["-s", socket, "configure"], { timeoutMs });
    if (!/^(Reconfigured|Reconfiguration (in progress|confirmed|already in progress, queueing new config))\s*$/m.test(stdout))
      throw new Error(`the routing daemon has refused its configuration: ${stdout.trim().split("\n").slice(-3).join("; ")}`);
  };
  return {
    hasEnded: async () => applied !== undefined && (await findBird(directory)) === undefined,
    async apply(config) {
      const runs = (await findBird(directory)) !== undefined;
      if (runs && applied === config) return;
      if (!runs) {
        const missing = await whyNoBird();
        if (missing !== undefined) throw new Error(missing);
      }
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(`${configFile}.tmp`, config, { mode: 0o600 });
      await rename(`${configFile}.tmp`, configFile);
      await (runs ? configure() : start());
      applied = config;
    },
  };
}

/** Ends the daemon of a directory, whoever has started it, and removes its files. Safe to call where there is none. */
export async function removeBird(directory: string, clock: Clock): Promise<void> {
  const running = await findBird(directory);
  if (running) await terminateProcess(running, { clock, graceMs: stopMs });
  await rm(directory, { recursive: true, force: true });
}

/** What its neighbours have told and what it does, in the daemon's own words; for tests and for people. */
export async function askBird(directory: string, ...question: readonly string[]): Promise<string> {
  return (await runCommand("birdc", ["-s", paths(directory).socket, ...question], { timeoutMs })).stdout;
}

/** Not another process that has got its number. */
async function findBird(directory: string): Promise<ProcessIdentity | undefined> {
  const { pidFile, config } = paths(directory);
  const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
  if (!Number.isInteger(pid) || pid <= 0 || !(await commandLine(pid)).includes(config)) return undefined;
  return identifyProcess(pid);
}

// Shutdowns of the machine as systemd-logind announces them: a lock makes logind wait (at most as long as it is configured to)
// while pods end, its signal PrepareForShutdown says that it is time. Through systemd's own tools: systemd-inhibit holds the
// lock for as long as its standard input is open, so that it goes with this process, whatever becomes of it; busctl tells of the signal.
import { type ChildProcess, spawn } from "node:child_process";
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import { findExecutable } from "./find-executable.ts";
import { runCommand } from "./run-command.ts";

export interface LogindDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The machine waits until this resolves, or until its patience ends. */
  readonly onShutdown: () => Promise<void>;
  readonly onCancel: () => void;
}

export interface LogindOptions {
  /** How long the machine is to wait. */
  readonly delaySeconds: number;
  /** Whether systemd runs here. Default /run/systemd/system. */
  readonly systemDirectory?: string;
  /** Default /etc/systemd/logind.conf.d. */
  readonly configDirectory?: string;
}

const manager = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"] as const;
const match = `type='signal',interface='${manager[2]}',member='PrepareForShutdown'`;
const reconnectMs = 1_000;
const reloadTries = 5;

/** Undefined where there is no logind. */
export async function followShutdowns(deps: LogindDependencies, options: LogindOptions): Promise<Running | undefined> {
  const { systemDirectory = "/run/systemd/system" } = options;
  const found = await Promise.all(["busctl", "systemd-inhibit"].map(findExecutable));
  const running = await access(systemDirectory).then(
    () => true,
    () => false,
  );
  const [busctl, inhibit] = found;
  if (!running || busctl === undefined || inhibit === undefined) {
    deps.logger.warn("Graceful node shutdown is not available: it needs systemd-logind, busctl and systemd-inhibit");
    return undefined;
  }
  const follower = new ShutdownFollower(deps, options, { busctl, inhibit });
  follower.start();
  return follower;
}

class ShutdownFollower implements Running {
  readonly #deps: LogindDependencies;
  readonly #options: LogindOptions;
  readonly #tools: { readonly busctl: string; readonly inhibit: string };
  readonly #abort = new AbortController();
  #lock: ChildProcess | undefined;
  #running: Promise<void> = Promise.resolve();
  #ending: Promise<void> = Promise.resolve();

  constructor(deps: LogindDependencies, options: LogindOptions, tools: { readonly busctl: string; readonly inhibit: string }) {
    this.#deps = deps;
    this.#options = options;
    this.#tools = tools;
  }

  start(): void {
    this.#running = this.#run(this.#abort.signal);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#release();
    await this.#running;
    await this.#ending;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      try {
        await this.#extendDelay(signal);
        this.#hold();
        await this.#monitor(signal);
      } catch (error) {
        if (!signal.aborted) logger.error("Unable to watch the node for shutdown events", { error });
      }
      await clock.sleep(reconnectMs, signal).catch(() => undefined);
    }
  }

  /** logind waits five seconds unless it is told to wait longer. */
  async #extendDelay(signal: AbortSignal): Promise<void> {
    const { delaySeconds, configDirectory = "/etc/systemd/logind.conf.d" } = this.#options;
    if ((await this.#currentDelay(signal)) >= delaySeconds) return;
    await mkdir(configDirectory, { recursive: true });
    const text = `# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=${Math.ceil(delaySeconds)}\n`;
    await writeFile(join(configDirectory, "99-kubelet.conf"), text);
    const systemd = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    await runCommand(this.#tools.busctl, ["call", ...systemd, "KillUnit", "ssi", "systemd-logind.service", "all", "1"], { signal });
    for (let i = 0; i < reloadTries; i++) {
      if ((await this.#currentDelay(signal)) >= delaySeconds) return;
      await this.#deps.clock.sleep(100 * 2 ** i, signal);
    }
    throw new Error(`logind did not take over InhibitDelayMaxSec=${delaySeconds}`);
  }

  async #currentDelay(signal: AbortSignal): Promise<number> {
    const { stdout } = await runCommand(this.#tools.busctl, ["get-property", ...manager, "InhibitDelayMaxUSec"], { signal });
    return Number(/^t (\d+)/.exec(stdout)?.[1] ?? 0) / 1e6;
  }

  #hold(): void {
    this.#release();
    const why = "Kubelet needs time to handle node shutdown";
    const args = ["--what=shutdown", "--who=kubelet", `--why=${why}`, "--mode=delay", "cat"];
    const lock = spawn(this.#tools.inhibit, args, { stdio: ["pipe", "ignore", "ignore"] });
    lock.on("error", (error) => this.#deps.logger.error("Failed creating systemd inhibitor", { error }));
    lock.stdin.on("error", () => undefined); // it has ended by itself: there is nothing left to release
    this.#lock = lock;
  }

  #release(): void {
    this.#lock?.stdin?.end();
    this.#lock = undefined;
  }

  /** Resolves when the tool has ended. */
  async #monitor(signal: AbortSignal): Promise<void> {
    const args = ["monitor", "--json=short", `--match=${match}`];
    const child = spawn(this.#tools.busctl, args, { stdio: ["ignore", "pipe", "ignore"], signal });
    const ended = new Promise<void>((resolve) => {
      child.once("error", () => resolve());
      child.once("close", () => resolve());
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const announced = announcementOf(line);
      if (announced === true) this.#begin();
      if (announced === false) this.#cancel();
    }
    await ended;
  }

  #begin(): void {
    const { onShutdown, logger } = this.#deps;
    this.#ending = onShutdown()
      .catch((error: unknown) => logger.error("Ending pods before the shutdown failed", { error }))
      .finally(() => this.#release());
  }

  #cancel(): void {
    this.#deps.onCancel();
    this.#hold();
  }
}

/** Whether the machine goes down (true) or does not after all (false); undefined for anything else. */
export function announcementOf(line: string): boolean | undefined {
  try {
    const message = JSON.parse(line) as { readonly member?: string; readonly payload?: { readonly data?: readonly unknown[] } };
    const [active] = message.payload?.data ?? [];
    return message.member === "PrepareForShutdown" && typeof active === "boolean" ? active : undefined;
  } catch {
    return undefined; // no message: the tool's own words
  }
}

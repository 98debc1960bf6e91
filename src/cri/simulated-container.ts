// A container of the simulated runtime: the life of a process without the process. What it does is decided by its image's
// behaviour; its output goes to a real log file in CRI's format, so that everything that reads logs works.
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";
import { criTime } from "./cri.ts";
import type { ContainerConfig, ContainerState, LinuxContainerResources } from "./generated/runtime-v1.ts";

/** What a simulated program sees of the container it runs in. */
export interface SimulatedProcess {
  readonly config: ContainerConfig;
  readonly clock: Clock;
  /** Writes lines to the container's log. */
  print(text: string, stream?: "stdout" | "stderr"): void;
  /** Ends the container. Nothing happens when it has ended. */
  exit(code: number): void;
}

export interface ExecResult {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number;
}

/** How containers of an image behave. Without any of it they run until they are stopped. */
export interface ImageBehaviour {
  /** Lines printed at the start. */
  readonly output?: readonly string[];
  /** Ends by itself after this time. */
  readonly exitAfterMs?: number;
  /** With `exitAfterMs`; default 0. */
  readonly exitCode?: number;
  /** The exit code on SIGTERM, default 143; "ignore" makes the container live on until it is killed. */
  readonly onTerminate?: number | "ignore";
  /** Called at every start, for anything else. */
  readonly run?: (process: SimulatedProcess) => void;
  /** Answers exec, and so exec probes. Default: success without output. */
  readonly exec?: (command: readonly string[], process: SimulatedProcess) => ExecResult | Promise<ExecResult>;
  /** What the container reports as its use. Default 1 millicore and 10 MiB. */
  readonly usage?: SimulatedUsage;
}

export interface SimulatedUsage {
  readonly cpuMillicores: number;
  readonly memoryBytes: number;
  /** Of the writable layer. Default 0. */
  readonly diskBytes?: number;
  readonly diskInodes?: number;
}

const killedExitCode = 137;
const terminatedExitCode = 143;

export class SimulatedContainer implements SimulatedProcess {
  readonly id: string;
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  readonly imageId: string;
  readonly behaviour: ImageBehaviour;
  readonly clock: Clock;
  /** Empty when the container has no log file. */
  readonly logPath: string;
  readonly createdAt: bigint;
  state: ContainerState = "CONTAINER_CREATED";
  startedAt = 0n;
  finishedAt = 0n;
  exitCode = 0;
  reason = "";
  #usage: SimulatedUsage;
  /** CPU time used until the usage was last set. */
  #usedNanoseconds = 0;
  #usageSince = 0n;
  readonly #onExit: (container: SimulatedContainer) => void;
  /** As last set. */
  resources: LinuxContainerResources | undefined;
  readonly #exitWaiters: (() => void)[] = [];
  #exitTimer: Timer | undefined;

  constructor(options: {
    readonly id: string;
    readonly sandboxId: string;
    readonly config: ContainerConfig;
    readonly imageId: string;
    readonly behaviour: ImageBehaviour;
    readonly clock: Clock;
    readonly logPath: string;
    readonly onExit: (container: SimulatedContainer) => void;
  }) {
    this.id = options.id;
    this.sandboxId = options.sandboxId;
    this.config = options.config;
    this.imageId = options.imageId;
    this.behaviour = options.behaviour;
    this.clock = options.clock;
    this.logPath = options.logPath;
    this.resources = options.config.linux?.resources;
    this.createdAt = criTime(options.clock.now());
    this.#usage = options.behaviour.usage ?? { cpuMillicores: 1, memoryBytes: 10 * 1024 * 1024 };
    this.#onExit = options.onExit;
  }

  start(): void {
    this.state = "CONTAINER_RUNNING";
    this.startedAt = criTime(this.clock.now());
    this.#usageSince = this.startedAt;
    this.reopenLog();
    const { output = [], exitAfterMs, exitCode = 0, run } = this.behaviour;
    for (const line of output) this.print(line);
    if (exitAfterMs !== undefined) this.#exitTimer = this.clock.after(exitAfterMs, () => this.exit(exitCode));
    run?.(this);
  }

  print(text: string, stream: "stdout" | "stderr" = "stdout"): void {
    if (this.logPath === "") return;
    const stamp = new Date(this.clock.now()).toISOString().replace("Z", "000000Z");
    const lines = text.replace(/\n$/, "").split("\n");
    // Written at once, so that a reader who has seen the event that follows also sees the line.
    appendFileSync(this.logPath, lines.map((line) => `${stamp} ${stream} F ${line}\n`).join(""));
  }

  /** Sets the resources given, and leaves those that are 0. */
  update(resources: LinuxContainerResources): void {
    const given = Object.entries(resources).filter(([, value]) => value !== 0);
    this.resources = { ...(this.resources ?? resources), ...Object.fromEntries(given) };
  }

  /** Makes the log file where it is missing, as after a rotation. */
  reopenLog(): void {
    if (this.logPath === "") return;
    mkdirSync(dirname(this.logPath), { recursive: true });
    appendFileSync(this.logPath, "");
  }

  exit(code: number): void {
    if (this.state !== "CONTAINER_RUNNING") return;
    this.#exitTimer?.cancel();
    this.state = "CONTAINER_EXITED";
    this.finishedAt = criTime(this.clock.now());
    this.exitCode = code;
    this.reason = code === 0 ? "Completed" : "Error";
    this.#onExit(this);
    for (const resolve of this.#exitWaiters.splice(0)) resolve();
  }

  /** SIGTERM, then SIGKILL after the grace period. Resolves when the container has ended. */
  async stop(graceMs: number): Promise<void> {
    if (this.state !== "CONTAINER_RUNNING") return;
    const { onTerminate = terminatedExitCode } = this.behaviour;
    if (graceMs <= 0) this.exit(killedExitCode);
    else if (onTerminate !== "ignore") this.exit(onTerminate);
    else await this.#exitWithin(graceMs);
  }

  /** Runs a command in the container through the image's behaviour. */
  async exec(command: readonly string[]): Promise<Required<ExecResult>> {
    const result = (await this.behaviour.exec?.(command, this)) ?? {};
    return { stdout: "", stderr: "", exitCode: 0, ...result };
  }

  /** CPU time used since the start. */
  cpuNanoseconds(): number {
    if (this.startedAt === 0n) return 0;
    const end = this.state === "CONTAINER_RUNNING" ? criTime(this.clock.now()) : this.finishedAt;
    return this.#usedNanoseconds + Math.round((Number(end - this.#usageSince) * this.#usage.cpuMillicores) / 1000);
  }

  /** What it uses at present. */
  get usage(): SimulatedUsage {
    return this.#usage;
  }

  /** From now on it uses this much; the CPU time used before stays. */
  set usage(usage: SimulatedUsage) {
    if (this.startedAt !== 0n) {
      this.#usedNanoseconds = this.cpuNanoseconds();
      this.#usageSince = criTime(this.clock.now());
    }
    this.#usage = usage;
  }

  #exitWithin(graceMs: number): Promise<void> {
    const killing = this.clock.after(graceMs, () => this.exit(killedExitCode));
    return new Promise((resolve) =>
      this.#exitWaiters.push(() => {
        killing.cancel();
        resolve();
      }),
    );
  }
}

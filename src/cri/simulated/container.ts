// A container of the simulated runtime: the life of a process without the process. What it does is decided by its image's
// behaviour, a program in this process (programs.ts, process.ts).
import { constants } from "node:os";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../../base/clock.ts";
import { criTime } from "../cri.ts";
import type { ContainerConfig, ContainerState, LinuxContainerResources } from "../generated/runtime-v1.ts";
import { runBuiltIn } from "./commands.ts";
import { SimulatedFiles } from "./files.ts";
import { ContainerInput } from "./input.ts";
import type { SimulatedNetwork } from "./network.ts";
import { ContainerOutput } from "./output.ts";
import { type ExecSession, processOf, type ResourceUse, type SimulatedPod, type SimulatedProcess, type StopRequest } from "./process.ts";
import type { ImageBehaviour, SimulatedUsage } from "./programs.ts";
import type { Stages } from "./stages.ts";

const killedExitCode = 137;
const killedReason = "OOMKilled";
const defaultUsage: SimulatedUsage = { cpuMillicores: 1, memoryBytes: 10 * 1024 * 1024 };

export interface SimulatedContainerOptions {
  readonly id: string;
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  readonly pod: SimulatedPod;
  readonly imageId: string;
  readonly behaviour: ImageBehaviour;
  readonly clock: Clock;
  readonly network: SimulatedNetwork;
  readonly stages: Stages;
  /** Empty when the container has no log file. */
  readonly logPath: string;
  /** Below which mounts are real; default everywhere. */
  readonly hostDirectories?: readonly string[] | undefined;
  readonly onExit: (container: SimulatedContainer) => void;
}

export class SimulatedContainer {
  readonly id: string;
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  readonly pod: SimulatedPod;
  readonly imageId: string;
  readonly behaviour: ImageBehaviour;
  readonly clock: Clock;
  readonly createdAt: bigint;
  readonly output: ContainerOutput;
  state: ContainerState = "CONTAINER_CREATED";
  startedAt = 0n;
  finishedAt = 0n;
  exitCode = 0;
  reason = "";
  /** As last set. */
  resources: LinuxContainerResources | undefined;
  readonly #options: SimulatedContainerOptions;
  #usage: SimulatedUsage;
  /** CPU time used until the usage was last set. */
  #usedNanoseconds = 0;
  #usageSince = 0n;
  #exitWaiters: (() => void)[] = [];
  #exitTimer: Timer | undefined;
  #stopTimer: Timer | undefined;
  #stopHandler: Parameters<SimulatedProcess["onStop"]>[0] | undefined;
  #isStopping = false;
  // Made when they are asked for: of ten thousand containers few need them.
  #ended: AbortController | undefined;
  #process: SimulatedProcess | undefined;
  #files: SimulatedFiles | undefined;
  #input: ContainerInput | undefined;
  #closeListeners: (() => void)[] = [];

  constructor(options: SimulatedContainerOptions) {
    this.id = options.id;
    this.sandboxId = options.sandboxId;
    this.config = options.config;
    this.pod = options.pod;
    this.imageId = options.imageId;
    this.behaviour = options.behaviour;
    this.clock = options.clock;
    this.output = new ContainerOutput(options.logPath, options.clock);
    this.resources = options.config.linux?.resources;
    this.createdAt = criTime(options.clock.now());
    this.#usage = options.behaviour.usage ?? defaultUsage;
    this.#options = options;
  }

  get logPath(): string {
    return this.output.logPath;
  }

  get signal(): AbortSignal {
    if (!this.#ended) {
      this.#ended = new AbortController();
      if (this.state === "CONTAINER_EXITED") this.#ended.abort(new Error("the container has ended"));
    }
    return this.#ended.signal;
  }

  get files(): SimulatedFiles {
    this.#files ??= new SimulatedFiles(this.config.mounts, this.#options.hostDirectories);
    return this.#files;
  }

  get stdin(): ContainerInput {
    this.#input ??= new ContainerInput();
    return this.#input;
  }

  /** What programs see of it. */
  get process(): SimulatedProcess {
    this.#process ??= processOf(this);
    return this.#process;
  }

  start(): void {
    this.state = "CONTAINER_RUNNING";
    this.startedAt = criTime(this.clock.now());
    this.#usageSince = this.startedAt;
    this.output.reopen();
    const { output = [], exitAfterMs, exitCode = 0 } = this.behaviour;
    for (const line of output) this.print(line);
    if (exitAfterMs !== undefined) this.#exitTimer = this.clock.after(exitAfterMs, () => this.exit(exitCode));
    this.#run();
    this.#killIfTooLarge();
  }

  print(text: string, stream: "stdout" | "stderr" = "stdout"): void {
    this.output.print(text, stream);
  }

  listen(port: number, accept: (connection: Duplex) => void): void {
    if (this.state !== "CONTAINER_RUNNING") throw new Error("the container has ended");
    const { network } = this.#options;
    for (const address of this.pod.addresses) this.#closeListeners.push(network.listen(address, port, accept));
  }

  connect(host: string, port: number): Duplex {
    const own = host === "localhost" || host === "127.0.0.1" || host === "::1";
    return this.#options.network.connectAs(this.pod.namespace, own ? (this.pod.addresses[0] ?? host) : host, port);
  }

  use({ cpuCores, ...others }: ResourceUse): void {
    this.usage = { ...this.usage, ...(cpuCores === undefined ? {} : { cpuMillicores: cpuCores * 1000 }), ...others };
  }

  onStop(handler: Parameters<SimulatedProcess["onStop"]>[0]): void {
    this.#stopHandler = handler;
  }

  /** Sets the resources given, and leaves those that are 0. */
  update(resources: LinuxContainerResources): void {
    const given = Object.entries(resources).filter(([, value]) => value !== 0);
    this.resources = { ...(this.resources ?? resources), ...Object.fromEntries(given) };
    this.#killIfTooLarge();
  }

  exit(code: number, reason = code === 0 ? "Completed" : "Error"): void {
    if (this.state !== "CONTAINER_RUNNING") return;
    this.#exitTimer?.cancel();
    this.#stopTimer?.cancel();
    this.state = "CONTAINER_EXITED";
    this.finishedAt = criTime(this.clock.now());
    this.exitCode = code;
    this.reason = reason;
    for (const close of this.#closeListeners.splice(0)) close();
    this.output.flush();
    this.#input?.end();
    this.#ended?.abort(new Error("the container has ended"));
    this.#options.onExit(this);
    for (const resolve of this.#exitWaiters.splice(0)) resolve();
  }

  /** The stop signal, then SIGKILL after the grace period. Resolves when the container has ended. */
  async stop(graceMs: number): Promise<void> {
    if (this.state !== "CONTAINER_RUNNING") return;
    if (graceMs <= 0) return this.exit(killedExitCode);
    if (!this.#isStopping) this.#beginStop(graceMs);
    if (this.state !== "CONTAINER_RUNNING") return;
    const killing = this.clock.after(graceMs, () => this.exit(killedExitCode));
    await this.exited();
    killing.cancel();
  }

  /** Resolves when it has ended. */
  exited(): Promise<void> {
    if (this.state === "CONTAINER_EXITED") return Promise.resolve();
    return new Promise((resolve) => this.#exitWaiters.push(resolve));
  }

  /** Runs a command by the image's behaviour, or by what every container has; undefined when neither knows it. */
  async exec(session: ExecSession): Promise<number | undefined> {
    const answer = await this.behaviour.exec?.(session.command, this.process, session);
    if (typeof answer === "number") return answer;
    if (answer === undefined) return await runBuiltIn(session, this.process);
    if (answer.stdout) await session.write(answer.stdout);
    if (answer.stderr) await session.write(answer.stderr, "stderr");
    return answer.exitCode ?? 0;
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
    this.#killIfTooLarge();
  }

  #run(): void {
    const { run } = this.behaviour;
    if (!run) return;
    const ended = (code: unknown): void => {
      if (typeof code === "number") this.exit(code);
    };
    const failed = (error: unknown): void => {
      if (this.state !== "CONTAINER_RUNNING") return; // what it waited for has been aborted
      // A program that lets itself be interrupted ends as one that is.
      if (this.#isStopping && error === this.#ended?.signal.reason) return this.exit(128 + this.#stopSignal().number);
      this.printError(error);
      this.exit(1);
    };
    try {
      const result = run(this.process);
      if (result instanceof Promise) result.then(ended, failed);
      else ended(result);
    } catch (error) {
      failed(error);
    }
  }

  #beginStop(graceMs: number): void {
    this.#isStopping = true;
    const request: StopRequest = { ...this.#stopSignal(), graceMs };
    const handler = this.#stopHandler;
    const { onTerminate } = this.behaviour;
    const { stages } = this.#options;
    if (onTerminate === "ignore" || stages.fails("stop", this.behaviour)) {
      this.#ended?.abort(request);
      return;
    }
    const delayMs = stages.delayMs("stop", this.behaviour);
    const end = async (): Promise<void> => {
      this.#ended?.abort(request);
      if (!handler) return this.exit(onTerminate ?? 128 + request.number);
      try {
        this.exit((await handler(request)) ?? 0);
      } catch (error) {
        if (this.state !== "CONTAINER_RUNNING") return;
        this.printError(error);
        this.exit(1);
      }
    };
    if (delayMs > 0) this.#stopTimer = this.clock.after(delayMs, () => void end());
    else void end();
  }

  #stopSignal(): { readonly signal: string; readonly number: number } {
    const { stopSignal } = this.config;
    const number = (constants.signals as Readonly<Record<string, number>>)[stopSignal];
    return number === undefined ? { signal: "SIGTERM", number: constants.signals.SIGTERM } : { signal: stopSignal, number };
  }

  #killIfTooLarge(): void {
    const limit = Number(this.resources?.memoryLimitInBytes ?? 0);
    if (limit > 0 && this.#usage.memoryBytes > limit) this.exit(killedExitCode, killedReason);
  }

  /** What a program threw. */
  printError(error: unknown): void {
    if (this.state === "CONTAINER_RUNNING") this.print(error instanceof Error ? (error.stack ?? error.message) : String(error), "stderr");
  }
}

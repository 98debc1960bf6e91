// The tunnel in plain UDP of one node: starts its program when it is needed, tells it the ways, and has it started again with
// growing pauses when it ends. What goes through it stands still meanwhile, other routes do not. It never outlives this process.
import { type ChildProcess, spawn } from "node:child_process";
import { Backoff } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { toolEnvironment } from "../linux/run-command.ts";
import { type UdpWay, udpProgramArguments, udpTable } from "./udp-program.ts";

export interface WantedUdpTunnel {
  /** This node's address, and the port, which is the same on all nodes. */
  readonly local: string;
  readonly port: number;
  readonly ways: readonly UdpWay[];
}

export interface UdpTunnel {
  readonly device: string;
  /** Undefined: there should be none. Resolves with whether the device is there and knows the ways; it says itself why it is not. */
  apply(wanted: WantedUdpTunnel | undefined): Promise<boolean>;
  stop(): Promise<void>;
}

export interface UdpTunnelDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** It is time to call apply() again. */
  readonly onRetry: () => void;
  /** Path of the network namespace it is in. Default this process's. */
  readonly netns?: string;
}

const backoff = { baseMs: 500, maxMs: 30_000 };
/** One that lived this long has its next failure treated as its first. */
const healthyAfterMs = 60_000;
const answerMs = 10_000;

export function createUdpTunnel(deps: UdpTunnelDeps, device: string): UdpTunnel {
  return new SupervisedTunnel(deps, device);
}

class SupervisedTunnel implements UdpTunnel {
  readonly device: string;
  readonly #deps: UdpTunnelDeps;
  readonly #pauses = new Backoff(backoff);
  #program: TunnelProgram | undefined;
  #retry: Timer | undefined;
  #isStopped = false;

  constructor(deps: UdpTunnelDeps, device: string) {
    this.#deps = deps;
    this.device = device;
  }

  async apply(wanted: WantedUdpTunnel | undefined): Promise<boolean> {
    if (wanted === undefined || this.#program?.fits(wanted) === false) await this.#end();
    if (wanted === undefined || this.#isStopped || this.#retry) return false;
    this.#program ??= this.#start(wanted);
    return this.#program.learn(wanted.ways);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#retry?.cancel();
    this.#retry = undefined;
    const program = this.#program;
    this.#program = undefined;
    await program?.end();
  }

  #start({ local, port }: WantedUdpTunnel): TunnelProgram {
    const { clock, logger, onRetry } = this.#deps;
    const { device } = this;
    const startedMs = clock.monotonic();
    const program: TunnelProgram = new TunnelProgram(this.#deps, { device, local, port }, (problem) => {
      if (this.#program !== program) return; // ended by us
      this.#program = undefined;
      if (clock.monotonic() - startedMs > healthyAfterMs) this.#pauses.reset();
      const afterMs = this.#pauses.next();
      logger.warn("The tunnel in UDP packets has ended and is started again", { device, problem, afterMs });
      this.#retry = clock.after(afterMs, () => {
        this.#retry = undefined;
        onRetry();
      });
    });
    return program;
  }
}

interface TunnelPlace {
  readonly device: string;
  readonly local: string;
  readonly port: number;
}

/** One process. */
class TunnelProgram {
  readonly #clock: Clock;
  readonly #place: TunnelPlace;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  /** Those who wait for the program to have taken a table, in their order. */
  readonly #waiting: ((isThere: boolean) => void)[] = [];
  #known = "";
  #isOver = false;

  constructor({ clock, netns }: Pick<UdpTunnelDeps, "clock" | "netns">, place: TunnelPlace, onEnd: (problem: string) => void) {
    this.#clock = clock;
    this.#place = place;
    const args = udpProgramArguments(place);
    const [command, ...rest] = netns === undefined ? ["perl", ...args] : ["nsenter", `--net=${netns}`, "perl", ...args];
    this.#child = spawn(command as string, rest, { stdio: ["pipe", "pipe", "pipe"], env: toolEnvironment() });
    let errors = "";
    this.#child.stderr?.on("data", (chunk: Buffer) => (errors = `${errors}${chunk}`.slice(-2000)));
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      for (const settle of this.#waiting.splice(0, chunk.length)) settle(true);
    });
    this.#child.stdin?.on("error", () => undefined); // told by its end
    this.#closed = new Promise((resolve) => {
      const over = (problem: string): void => {
        if (this.#isOver) return;
        this.#isOver = true;
        resolve();
        for (const settle of this.#waiting.splice(0)) settle(false);
        onEnd(problem);
      };
      this.#child.once("error", (error: NodeJS.ErrnoException) =>
        over(error.code === "ENOENT" ? `${command} is not installed` : error.message),
      );
      this.#child.once("close", (code, signal) => over(errors.trim() || `exit code ${code ?? signal}`));
    });
  }

  fits({ local, port }: WantedUdpTunnel): boolean {
    return local === this.#place.local && port === this.#place.port;
  }

  /** Resolves with whether it has taken them; one that does not answer is ended. */
  async learn(ways: readonly UdpWay[]): Promise<boolean> {
    const table = udpTable(ways);
    const text = table.toString("base64");
    if (this.#isOver) return false;
    if (text === this.#known) return true;
    const timer = this.#clock.after(answerMs, () => this.#child.kill("SIGKILL"));
    const taken = await new Promise<boolean>((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin?.write(table);
    });
    timer.cancel();
    if (taken) this.#known = text;
    return taken;
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

// The host's end of one launcher's connection: reads texts, writes frames, and lets the launcher run tools, one at a time. When the
// launcher is gone, tools that clean up after it are run by this process.
import type { Socket } from "node:net";
import { CommandError, type CommandResult } from "../../linux/run-command.ts";
import { type LauncherRequest, parseHead, parseOutcome, type RunOutcome, renderLink, renderRun } from "./host-protocol.ts";
import { localRunner, type ToolRunner } from "./tool-runner.ts";

const maxTextBytes = 8 * 1024 * 1024;
/** Exit code of a shell, and of the launcher, for a command that is not there. */
const notFoundCode = 127;

export class LauncherSession implements ToolRunner {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #size = 0;
  #ended = false;
  #waiting: { readonly bytes: number; resolve(bytes: Buffer): void; reject(error: Error): void } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      this.#serve();
    });
    const end = (): void => {
      this.#ended = true;
      this.#serve();
    };
    socket.once("end", end);
    socket.once("close", end);
  }

  async readRequest(): Promise<LauncherRequest> {
    const head = await this.#readText();
    return parseHead(head, await this.#readText());
  }

  run(run: Parameters<ToolRunner["run"]>[0]): Promise<CommandResult> {
    const { tool, args, input = "", netns = "", sysctls = {}, signal } = run;
    return this.#inTurn(async () => {
      signal.throwIfAborted();
      if (this.#ended) return localRunner.run(run);
      const request = { netns, input, sysctls: Object.entries(sysctls).flat(), command: [tool, ...args] };
      return resultOf([tool, ...args], await this.#ask(renderRun(request), signal));
    });
  }

  setLink(link: Parameters<ToolRunner["setLink"]>[0]): Promise<void> {
    const { netns, name, up, signal } = link;
    return this.#inTurn(async () => {
      signal.throwIfAborted();
      if (this.#ended) return localRunner.setLink(link);
      resultOf(["ip", "link", "set", "dev", name, up ? "up" : "down"], await this.#ask(renderLink(netns, name, up), signal));
    });
  }

  end(last: Buffer): void {
    this.#socket.end(last);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work, work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #ask(request: Buffer, signal: AbortSignal): Promise<RunOutcome> {
    this.#socket.write(request);
    const onAbort = (): void => {
      // What the launcher does now is not waited for: it ends with its connection.
      this.#waiting?.reject(signal.reason as Error);
      this.#ended = true;
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return parseOutcome(await this.#readText());
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #readText(): Promise<Buffer> {
    const length = (await this.#read(4)).readUInt32BE(0);
    if (length > maxTextBytes) throw new Error(`a CNI launcher sends ${length} bytes at once: at most ${maxTextBytes}`);
    return this.#read(length);
  }

  #read(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { bytes, resolve, reject };
      this.#serve();
    });
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    if (this.#size >= waiting.bytes) {
      const all = Buffer.concat(this.#chunks);
      this.#chunks = [all.subarray(waiting.bytes)];
      this.#size -= waiting.bytes;
      this.#waiting = undefined;
      waiting.resolve(all.subarray(0, waiting.bytes));
    } else if (this.#ended) {
      this.#waiting = undefined;
      waiting.reject(new Error("the launcher of a CNI call has ended"));
    }
  }
}

function resultOf(command: readonly string[], { exitCode, stdout, stderr }: RunOutcome): CommandResult {
  if (exitCode === 0) return { stdout, stderr };
  const [tool = ""] = command;
  if (exitCode === notFoundCode) throw new CommandError(`${tool} is not installed on this machine`, { notFound: true });
  const said = stderr.trim().split("\n").slice(-5).join("; ").slice(-2000) || "no message";
  throw new CommandError(`${command.join(" ")}: exit code ${exitCode}: ${said}`, { exitCode, stderr });
}

// Runs one of the system's own tools (ip, nft, mount, ctr …) to its end: arguments as a list, never through a shell, with a
// deadline and a bound on what it prints.
import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { realClock } from "../base/clock.ts";

export interface CommandOptions {
  /** Given to the tool's standard input. */
  readonly input?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** The tool is killed after this time. Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Output beyond this fails the call. Default 8 MiB. */
  readonly maxOutputBytes?: number;
  readonly cwd?: string;
  /** Replaces the environment; default: this process's, with /usr/sbin and /sbin in the path and messages untranslated. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** A tool that failed, was missing, or took too long. The message holds the command and the end of its standard error. */
export class CommandError extends Error {
  override name = "CommandError";
  /** Undefined when the tool did not run or was killed. */
  readonly exitCode: number | undefined;
  readonly stderr: string;
  /** Whether there is no such tool on this machine. */
  readonly notFound: boolean;

  constructor(message: string, details: { exitCode?: number | undefined; stderr?: string; notFound?: boolean; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.exitCode = details.exitCode;
    this.stderr = details.stderr ?? "";
    this.notFound = details.notFound ?? false;
  }
}

/** Resolves when the tool exits with 0; throws a CommandError otherwise. */
export async function runCommand(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { timeoutMs = 30_000, maxOutputBytes = 8 * 1024 * 1024, signal } = options;
  signal?.throwIfAborted();
  const shown = [command, ...args].join(" ");
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? toolEnvironment(),
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  let killedBecause: string | undefined;
  const kill = (reason: string): void => {
    killedBecause ??= reason;
    child.kill("SIGKILL");
  };
  const timer = realClock.after(timeoutMs, () => kill(`took longer than ${timeoutMs} ms`));
  const onAbort = (): void => kill("was cancelled");
  signal?.addEventListener("abort", onAbort, { once: true });
  const stdout = collect(child.stdout, maxOutputBytes, kill);
  const stderr = collect(child.stderr, maxOutputBytes, kill);
  try {
    const exited = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code));
    });
    // A tool that exits without reading everything breaks the pipe: its exit code says why, so the pipe's error is dropped.
    // An error of the input itself is not: it must not look like a short but complete input.
    const feeding = feed(child.stdin, options.input).catch((error: unknown) => {
      if (isPipeError(error)) return;
      kill("could not be given its input");
      throw error;
    });
    const [code] = await Promise.all([exited, feeding]);
    signal?.throwIfAborted();
    if (killedBecause) throw new CommandError(`${shown}: ${killedBecause}`, { stderr: stderr() });
    if (code !== 0)
      throw new CommandError(`${shown}: exit code ${code}: ${lastLines(stderr())}`, { exitCode: code ?? undefined, stderr: stderr() });
    return { stdout: stdout(), stderr: stderr() };
  } catch (error) {
    if (
      error instanceof Error &&
      "syscall" in error &&
      "code" in error &&
      error.code === "ENOENT" &&
      String(error.syscall).startsWith("spawn")
    )
      throw new CommandError(`${command} is not installed on this machine`, { notFound: true, cause: error });
    throw error;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

async function feed(stdin: NodeJS.WritableStream | null, input: CommandOptions["input"]): Promise<void> {
  if (!stdin || input === undefined) return;
  await pipeline(typeof input === "string" || input instanceof Uint8Array ? Readable.from([input]) : input, stdin);
}

function isPipeError(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EPIPE" || code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ECONNRESET" || code === "ERR_STREAM_DESTROYED";
}

/** Gathers a stream; the returned function gives the text so far. */
function collect(stream: Readable | null, maxBytes: number, kill: (reason: string) => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) kill(`printed more than ${maxBytes} bytes`);
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-5).join("; ").slice(-2000) || "no message";
}

/** Servers and su sessions often lack the sbin directories in their path. */
export function toolEnvironment(): Record<string, string | undefined> {
  return { ...process.env, PATH: `${process.env.PATH ?? "/usr/bin:/bin"}:/usr/local/sbin:/usr/sbin:/sbin`, LC_ALL: "C" };
}

// What tests that start processes share: running commands with a deadline, the built `coracle` in the background, free
// ports, directories of their own, and waiting for a condition (never for a time).
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export { freePort } from "../../src/testing/free-port.ts";

export const projectRoot = fileURLToPath(new URL("../../", import.meta.url));
const coracleCommand = join(projectRoot, "coracle");

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a command to its end; never throws for an exit code. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...options.env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  child.stdin.on("error", () => undefined); // a command that does not read its input
  child.stdin.end(options.input ?? "");
  const timeoutMs = options.timeoutMs ?? 60_000;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${command} ${args.join(" ")} did not end in ${timeoutMs} ms\n${stdout}\n${stderr}`));
    }, timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? (signal ? 128 : 1), stdout, stderr });
    });
  });
}

/** Like run, but throws with everything the command printed unless it ends with 0. */
export async function mustRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(command, args, options);
  if (result.code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

export const coracle = (args: readonly string[], options: RunOptions = {}): Promise<CommandResult> =>
  run(process.execPath, [coracleCommand, ...args], options);

export interface BackgroundCoracle {
  readonly process: ChildProcess;
  /** Everything it has printed so far, on both streams. */
  output(): string;
  /** Sends a signal and resolves with the exit code; kills after a minute. */
  stop(signal?: NodeJS.Signals): Promise<number>;
}

/** Starts `coracle` in the background; it is killed when the test process ends, whatever happens. `wrapper`: a command that runs it. */
export function startCoracle(args: readonly string[], wrapper: readonly string[] = []): BackgroundCoracle {
  const [command = "", ...rest] = [...wrapper, process.execPath, coracleCommand, ...args];
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  let isToStop = false;
  const ended = new Promise<number>((resolve) => child.on("close", (code, signal) => resolve(code ?? (signal ? 128 : 1))));
  // Without this, a process that crashed shows as connections that are refused.
  void ended.then((code) => isToStop || code === 0 || console.log(`coracle ${args[0]} ended with ${code}:\n${output.slice(-4_000)}`));
  const killWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", killWithUs);
  return {
    process: child,
    output: () => output,
    async stop(signal = "SIGTERM") {
      isToStop = true;
      const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
      if (child.exitCode === null) child.kill(signal);
      const code = await ended;
      clearTimeout(timer);
      process.off("exit", killWithUs);
      return code;
    },
  };
}

/** Repeats `probe` until it gives something other than undefined or false; throws with the last error after the deadline. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const result = await probe();
      if (result !== undefined && result !== false) return result;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(
    `not in ${timeoutMs} ms: ${what}${last === undefined ? "" : ` (${last instanceof Error ? last.message : String(last)})`}`,
  );
}

/** A directory of the test's own, with a short path (sockets lie in it), and its removal. */
export async function temporaryDirectory(name: string): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `coracle-${name}-`));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

// Runs a plugin's executable as the specification has it (section 2): arguments in the environment, configuration on standard
// input, the result or an error on standard output. A plugin that hangs is killed with all it has started; one that writes
// nonsense fails with what it wrote.
import { spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import type { CniCommand } from "../plugins/plugin.ts";
import { CniError, cniErrorCodes } from "../spec/cni-error.ts";
import { requirePluginType } from "../spec/names.ts";

export interface PluginExecution {
  /** Name of the executable. */
  readonly type: string;
  readonly command: CniCommand | "VERSION";
  readonly containerId?: string;
  readonly netns?: string;
  readonly ifName?: string;
  /** As in CNI_ARGS. */
  readonly args?: string;
  /** Directories that may have it, in order. */
  readonly path: readonly string[];
  /** Goes to standard input as JSON. */
  readonly config: object;
  readonly clock: Clock;
  /** Then it is killed. Default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const maxOutputBytes = 4 * 1024 * 1024;
const maxErrorBytes = 64 * 1024;

/** What it printed, as JSON; undefined where it printed nothing. Throws CniError. */
export async function executePlugin(execution: PluginExecution): Promise<unknown> {
  const { type, path, config } = execution;
  const file = await findPlugin(type, path);
  const ended = await runToEnd(file, JSON.stringify(config), execution);
  if (ended.exitCode !== 0) throw failure(type, ended);
  if (ended.stdout.trim() === "") return undefined;
  try {
    return JSON.parse(ended.stdout);
  } catch (error) {
    throw new CniError(cniErrorCodes.decodingFailure, `plugin ${type} printed no JSON: ${shown(ended.stdout)}`, { cause: error });
  }
}

/** The executable's path; throws CniError where no directory has it. */
export async function findPlugin(type: string, path: readonly string[]): Promise<string> {
  requirePluginType(type);
  for (const directory of path) {
    const file = join(directory, type);
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new CniError(cniErrorCodes.internal, `failed to find plugin "${type}" in path [${path.join(" ")}]`);
}

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function runToEnd(file: string, input: string, execution: PluginExecution): Promise<Ended> {
  const { type, command, clock, timeoutMs = 60_000, signal } = execution;
  signal?.throwIfAborted();
  // A group of its own, so that what the plugin has started ends with it.
  const child = spawn(file, [], { env: environment(execution), stdio: ["pipe", "pipe", "pipe"], detached: true });
  let killedBecause: string | undefined;
  const kill = (reason: string): void => {
    killedBecause ??= reason;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      child.kill("SIGKILL"); // the group has ended
    }
  };
  const timer = clock.after(timeoutMs, () => kill(`did not answer within ${timeoutMs / 1000} s`));
  const onAbort = (): void => kill("was cancelled");
  signal?.addEventListener("abort", onAbort, { once: true });
  const stdout = gather(child.stdout, maxOutputBytes, () => kill(`printed more than ${maxOutputBytes} bytes`));
  const stderr = gather(child.stderr, maxErrorBytes, () => undefined);
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code));
      child.stdin.on("error", () => undefined); // a plugin that does not read its configuration says by its exit code how it went
      child.stdin.end(input);
    });
    if (killedBecause !== undefined)
      throw new CniError(cniErrorCodes.internal, `plugin ${type} ${killedBecause} at ${command} and was killed`, { details: stderr() });
    return { exitCode, stdout: stdout(), stderr: stderr() };
  } catch (error) {
    if (error instanceof CniError) throw error;
    throw new CniError(cniErrorCodes.internal, `plugin ${type} cannot be run: ${(error as Error).message}`, { cause: error });
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

function environment({ command, containerId = "", netns = "", ifName = "", args = "", path }: PluginExecution): NodeJS.ProcessEnv {
  const { PATH = "/usr/bin:/bin", ...inherited } = process.env;
  return {
    ...inherited,
    PATH: `${PATH}:/usr/local/sbin:/usr/sbin:/sbin`,
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifName,
    CNI_ARGS: args,
    CNI_PATH: path.join(":"),
  };
}

/** Collects a stream up to a bound, and tells when it is passed. */
function gather(stream: Readable, maxBytes: number, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else onTooMuch();
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

/** What a plugin that failed has said, however it said it. */
function failure(type: string, { exitCode, stdout, stderr }: Ended): CniError {
  try {
    const { code, msg, details } = JSON.parse(stdout) as { readonly code?: unknown; readonly msg?: unknown; readonly details?: unknown };
    if (typeof msg === "string" || typeof code === "number")
      return new CniError(typeof code === "number" ? code : cniErrorCodes.internal, typeof msg === "string" ? msg : "", {
        details: typeof details === "string" ? details : "",
      });
  } catch {
    // told below
  }
  const said = stdout.trim() === "" ? stderr : stdout;
  const how = exitCode === null ? "was killed" : `failed with exit code ${exitCode}`;
  return new CniError(cniErrorCodes.internal, `plugin ${type} ${how} and ${said.trim() === "" ? "no message" : `said: ${shown(said)}`}`);
}

const shown = (text: string): string => JSON.stringify(text.trim().slice(0, 1000));

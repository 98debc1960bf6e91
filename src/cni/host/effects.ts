// What plugins do to the machine: by iproute2, nft, other tools and /proc/sys, each call one short process at most, in this
// process's network namespace or by nsenter in another. And how one plugin runs another: in this process where it is one of ours.
import { randomBytes } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { CommandError, type CommandResult, runCommand } from "../../linux/run-command.ts";
import { executePlugin } from "../libcni/execute.ts";
import type { CniCall, CniCommand, CniEffects, InNamespace, IpBatch, IpCommand, PluginTable } from "../plugins/plugin.ts";
import { perform } from "../spec/answer-call.ts";
import { failed } from "../spec/cni-error.ts";
import { parseResult, renderResult } from "../spec/convert-result.ts";
import type { CniResult } from "../spec/result.ts";
import type { DirectoryLocks } from "./directory-locks.ts";

export interface EffectsOptions {
  /** Those that run in this process. */
  readonly plugins: PluginTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly locks: DirectoryLocks;
  readonly signal: AbortSignal;
  /** How tools are run. Default by this process. */
  readonly runTool?: typeof runCommand;
}

const toolTimeoutMs = 20_000;

export function createEffects(options: EffectsOptions): CniEffects {
  const { clock, logger, locks, signal, runTool = runCommand } = options;
  const run = (tool: string, args: readonly string[], extra: ToolOptions = {}): Promise<CommandResult> => {
    const { netns, input, timeoutMs = toolTimeoutMs } = extra;
    const settings = { timeoutMs, signal, ...(input === undefined ? {} : { input }) };
    return netns === undefined ? runTool(tool, args, settings) : runTool("nsenter", [`--net=${netns}`, tool, ...args], settings);
  };
  const effects: CniEffects = {
    run,
    ip: (batch) => applyBatch(batch, run),
    async ipList<T>(args: readonly string[], { netns }: InNamespace = {}) {
      const { stdout } = await run("ip", ["-json", ...args], netns === undefined ? {} : { netns });
      const rows = stdout.trim() === "" ? [] : (JSON.parse(stdout) as readonly T[]);
      return rows.filter((row) => Object.keys(row as object).length > 0);
    },
    async nft(script, { netns } = {}) {
      await run("nft", ["-f", "-"], { input: script, ...(netns === undefined ? {} : { netns }) });
    },
    async sysctl(values) {
      for (const [name, value] of Object.entries(values)) await writeFile(join("/proc/sys", name), value);
    },
    async readSysctl(name) {
      return (await readFile(join("/proc/sys", name), "utf8")).trim();
    },
    namespaceExists,
    delegate: ((command: CniCommand, type: string, call: CniCall) =>
      delegate(command, type, call, options, effects)) as CniEffects["delegate"],
    locked: (directory, work) => locks.run(directory, work, signal),
    randomBytes: (count) => randomBytes(count),
    sleep: (ms) => clock.sleep(ms, signal),
    monotonic: () => clock.monotonic(),
    warn: (message, details) => logger.warn(message, details),
    signal,
  };
  return effects;
}

type ToolOptions = InNamespace & { readonly input?: string | Uint8Array | AsyncIterable<Uint8Array>; readonly timeoutMs?: number };
type Run = (tool: string, args: readonly string[], extra?: ToolOptions) => Promise<CommandResult>;

/** Writes pairs of files and values, those that are there, then becomes the command after "--". */
const writeThenExec = 'while [ "$1" != -- ]; do if [ -e "$1" ]; then printf %s "$2" > "$1"; fi; shift 2; done; shift; exec "$@"';

async function applyBatch({ commands, netns, sysctls = {} }: IpBatch, run: Run): Promise<void> {
  const force = commands.some((command) => typeof command !== "string");
  const ip = ["ip", ...(force ? ["-force"] : []), "-batch", "-"];
  const pairs = Object.entries(sysctls).flatMap(([name, value]) => [join("/proc/sys", name), value]);
  const [tool = "ip", ...args] = pairs.length === 0 ? ip : ["sh", "-c", writeThenExec, "sh", ...pairs, "--", ...ip];
  const input = `${commands.map((command) => (typeof command === "string" ? command : command.command)).join("\n")}\n`;
  try {
    await run(tool, args, { input, ...(netns === undefined ? {} : { netns }) });
  } catch (error) {
    if (!(error instanceof CommandError) || error.exitCode === undefined) throw error;
    const fault = firstFault(error.stderr, commands);
    if (fault !== undefined) throw failed(fault, error);
  }
}

/**
 * From what `ip -batch` printed: the words for the first command that may not fail so. Each failure is lines of words, then
 * "Command failed -:3", where 3 is the line.
 */
export function firstFault(stderr: string, commands: readonly IpCommand[]): string | undefined {
  let words: string[] = [];
  let seen = false;
  for (const line of stderr.split("\n")) {
    const number = /^Command failed -:(\d+)/.exec(line)?.[1];
    if (number === undefined) {
      if (line.trim() !== "") words.push(line.trim());
      continue;
    }
    seen = true;
    const command = commands[Number(number) - 1];
    const said = words.join("; ");
    words = [];
    if (command === undefined || typeof command === "string" || !command.unless.test(said))
      return `ip ${typeof command === "string" ? command : (command?.command ?? "")}: ${said}`;
  }
  return seen ? undefined : words.join("; ") || "ip failed without a message";
}

async function namespaceExists(path: string): Promise<boolean> {
  if (path === "") return false;
  try {
    // What is left of one that is gone may be the empty file it was mounted on.
    return (await stat(path)).dev === (await stat("/proc/self/ns/net")).dev;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return false;
    throw error;
  }
}

async function delegate(
  command: CniCommand,
  type: string,
  call: CniCall,
  { plugins, clock, signal }: EffectsOptions,
  effects: CniEffects,
): Promise<CniResult | undefined> {
  const own = Object.hasOwn(plugins, type) ? plugins[type] : undefined;
  if (own) return perform(own, command, call, effects);
  const { config, containerId, netns, ifName, rawArgs, path } = call;
  const { prevResult, ...rest } = config;
  const printed = await executePlugin({
    ...{ type, command, containerId, netns, ifName, args: rawArgs, path, clock, signal },
    config: { ...rest, ...(prevResult === undefined ? {} : { prevResult: renderResult(prevResult, config.cniVersion) }) },
  });
  return command === "ADD" ? parseResult(printed, config.cniVersion) : undefined;
}

// What plugins do to the machine: by iproute2, nft, other tools and /proc/sys, each call one short process at most, in this
// process's network namespace or by nsenter in another. And how one plugin runs another: in this process where it is one of ours.
import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import { CommandError, type CommandResult } from "../../linux/run-command.ts";
import { executePlugin } from "../libcni/execute.ts";
import type { CniCall, CniCommand, CniEffects, InNamespace, IpBatch, IpCommand, PluginTable } from "../plugins/plugin.ts";
import { perform } from "../spec/answer-call.ts";
import { failed } from "../spec/cni-error.ts";
import { parseResult, renderResult } from "../spec/convert-result.ts";
import type { CniResult } from "../spec/result.ts";
import type { DirectoryLocks } from "./directory-locks.ts";
import { localRunner, type ToolRun, type ToolRunner } from "./tool-runner.ts";

export interface EffectsOptions {
  /** Those that run in this process. */
  readonly plugins: PluginTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly locks: DirectoryLocks;
  readonly signal: AbortSignal;
  /** Whether this process stays when the call has been answered. Default false. */
  readonly lasting?: boolean;
  /** Who runs tools. Default this process. */
  readonly runner?: ToolRunner;
}

const toolTimeoutMs = 20_000;

export function createEffects(options: EffectsOptions): CniEffects {
  const { clock, logger, locks, signal, runner = localRunner, lasting = false } = options;
  const run = (tool: string, args: readonly string[], extra: ToolOptions = {}): Promise<CommandResult> =>
    runner.run({ timeoutMs: toolTimeoutMs, ...extra, tool, args, signal });
  const effects: CniEffects = {
    run,
    ip: (batch) => applyBatch(batch, run),
    async ipList<T>(args: readonly string[], { netns }: InNamespace = {}) {
      const { stdout } = await run("ip", ["-json", ...args], netns === undefined ? {} : { netns });
      const rows = stdout.trim() === "" ? [] : (JSON.parse(stdout) as readonly T[]);
      return rows.filter((row) => Object.keys(row as object).length > 0);
    },
    setLink: (link) => runner.setLink({ ...link, signal }),
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
    lasting,
    warn: (message, details) => logger.warn(message, details),
    signal,
  };
  return effects;
}

type ToolOptions = InNamespace & Partial<Pick<ToolRun, "input" | "timeoutMs" | "sysctls">>;
type Run = (tool: string, args: readonly string[], extra?: ToolOptions) => Promise<CommandResult>;

async function applyBatch({ commands, netns, sysctls = {} }: IpBatch, run: Run): Promise<void> {
  const force = commands.some((command) => typeof command !== "string");
  const input = `${commands.map((command) => (typeof command === "string" ? command : command.command)).join("\n")}\n`;
  try {
    await run("ip", [...(force ? ["-force"] : []), "-batch", "-"], { input, sysctls, ...(netns === undefined ? {} : { netns }) });
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
    return statSync(path).dev === statSync("/proc/self/ns/net").dev;
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

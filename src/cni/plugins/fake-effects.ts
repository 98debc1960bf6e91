// Effects for tests: commands are written down instead of run, and what they would list is given.
import { randomBytes } from "node:crypto";
import { CommandError } from "../../linux/run-command.ts";
import { perform } from "../spec/answer-call.ts";
import type { CniCall, CniEffects, CniPlugin, IpBatch, PluginConfig, PluginTable } from "./plugin.ts";

export interface FakeEffects extends CniEffects {
  readonly batches: IpBatch[];
  readonly scripts: string[];
  readonly tools: string[][];
}

export interface FakeOptions {
  readonly plugins?: PluginTable;
  /** By the joined arguments of `ip`. */
  readonly lists?: Readonly<Record<string, readonly unknown[]>>;
  /** Tools that fail, by a part of their command line, and their standard error. */
  readonly failing?: Readonly<Record<string, string>>;
}

export function createFakeEffects({ plugins = {}, lists = {}, failing = {} }: FakeOptions = {}): FakeEffects {
  const [batches, scripts, tools]: [IpBatch[], string[], string[][]] = [[], [], []];
  const signal = new AbortController().signal;
  const effects: FakeEffects = {
    batches,
    scripts,
    tools,
    signal,
    async ip(batch) {
      batches.push(batch);
    },
    async ipList<T>(args: readonly string[]) {
      return (lists[args.join(" ")] ?? []) as readonly T[];
    },
    async nft(script) {
      scripts.push(script);
    },
    async run(tool, args) {
      const line = [tool, ...args].join(" ");
      tools.push([tool, ...args]);
      const fault = Object.entries(failing).find(([part]) => line.includes(part));
      if (fault) throw new CommandError(`${line}: ${fault[1]}`, { exitCode: 1, stderr: fault[1] });
      return { stdout: "", stderr: "" };
    },
    sysctl: async () => undefined,
    readSysctl: async () => "1",
    namespaceExists: async (path) => path !== "",
    delegate: (async (command, type, call) => {
      const plugin: CniPlugin | undefined = plugins[type];
      if (!plugin) throw new Error(`no plugin ${type}`);
      return perform(plugin, command, call, effects);
    }) as CniEffects["delegate"],
    locked: (_directory, work) => work(),
    randomBytes: (count) => randomBytes(count),
    sleep: async () => undefined,
    monotonic: () => 0,
    warn: () => undefined,
  };
  return effects;
}

export function fakeCall(config: Partial<PluginConfig>, fields: Partial<CniCall> = {}): CniCall {
  return {
    config: { cniVersion: "1.1.0", name: "net", type: "test", ...config },
    containerId: "c1",
    netns: "/run/netns/c1",
    ifName: "eth0",
    args: {},
    rawArgs: "",
    path: [],
    ...fields,
  };
}

/** The commands of a batch as texts. */
export const commandsOf = (batch: IpBatch | undefined): readonly string[] =>
  (batch?.commands ?? []).map((command) => (typeof command === "string" ? command : command.command));

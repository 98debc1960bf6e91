// `coracle node add|rm|stop|start|partition|list`: the nodes of a running cluster on this machine. Asks the cluster's own
// process, which has them.
import { boolean, flag, optionalText } from "../../base/flags.ts";
import { CommandError } from "../command-error.ts";
import { parseCommand } from "../command-flags.ts";
import { defaultDataDir } from "../data-dir.ts";
import { callControl } from "../up/control-channel.ts";

const flags = {
  "data-dir": flag(optionalText, undefined, `directory of the cluster; default ${defaultDataDir()}`),
};
const partitionFlags = { ...flags, heal: flag(boolean, false, "join what has been cut off to the others again: the node named, or all") };

interface Action {
  readonly operand: string;
  readonly summary: string;
}

const actions: Readonly<Record<string, Action>> = {
  list: { operand: "", summary: "Lists the nodes that have been added to the cluster on this machine." },
  add: { operand: "[NAME]", summary: "Adds a node to the running cluster; it stays until it is removed." },
  rm: { operand: "NAME", summary: "Removes a node and all it has. Its pods are killed: kubectl drain moves them before." },
  stop: { operand: "NAME", summary: "Switches a node off, as a power cut does. It stays off until it is started." },
  start: { operand: "NAME", summary: "Switches a node on again." },
  partition: { operand: "NAME", summary: "Cuts a node off from the others, as a pulled cable does." },
};

export async function run(args: readonly string[]): Promise<number> {
  const [name = "", ...rest] = args;
  const action = actions[name];
  if (!action) {
    const rows = Object.entries(actions).map(([n, a]) => `  coracle node ${`${n} ${a.operand}`.padEnd(18)}${a.summary}`);
    process.stdout.write(`${rows.join("\n")}\n`);
    if (["", "help", "--help", "-h"].includes(name)) return name === "" ? 1 : 0;
    throw new CommandError(`unknown action ${JSON.stringify(name)}: expected ${Object.keys(actions).join(", ")}`);
  }
  const usage = { name: `node ${name}`, summary: action.summary, ...(action.operand ? { positional: action.operand } : {}) };
  const input = parseCommand(usage, name === "partition" ? partitionFlags : flags, rest);
  if (!input) return 0;
  const heal = "heal" in input.values && input.values.heal;
  if (input.positional.length > 1 || (action.operand === "NAME" && !heal && input.positional.length === 0))
    throw new CommandError(`expected ${action.operand} (see coracle node ${name} --help)`);
  const say = (text: string): void => void (text && process.stdout.write(`${text}\n`));
  const request = { command: `node ${heal ? "heal" : name}`, args: input.positional };
  say(await callControl(input.values["data-dir"] ?? defaultDataDir(), request, say));
  return 0;
}

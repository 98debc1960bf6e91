// What `coracle node …` makes the cluster's process do.
import { CommandError } from "../command-error.ts";
import type { ControlHandler } from "../up/control-channel.ts";
import type { MachineNodes, NodeLine, StartingNode } from "./machine-nodes.ts";

/** `nodes`: or why there can be none beside those that the cluster's process runs itself. */
export function nodeControl(nodes: MachineNodes | string): ControlHandler {
  return async ({ command, args: [name] }, say) => {
    if (typeof nodes === "string") throw new CommandError(nodes);
    const untilReady = async (starting: StartingNode): Promise<string> => {
      say(`node ${starting.name} starts`);
      try {
        return `node ${starting.name} is ready (${await starting.ready})`;
      } catch (error) {
        throw new CommandError(`node ${starting.name} has not become ready`, { cause: error });
      }
    };
    if (command === "node list") return table(await nodes.list());
    if (command === "node add") return untilReady(await nodes.add(name));
    if (command === "node heal") {
      const cutOff = name === undefined ? nodes.cutOff : [name];
      for (const each of cutOff) await nodes.setCutOff(each, false);
      return cutOff.length === 0 ? "no node is cut off" : `joined again: ${cutOff.join(", ")}`;
    }
    if (name === undefined) throw new CommandError(`${command}: expected the name of a node`);
    switch (command) {
      case "node start":
        return untilReady(await nodes.start(name));
      case "node stop":
        await nodes.switchOff(name);
        return `node ${name} is off`;
      case "node rm":
        await nodes.remove(name);
        return `node ${name} is removed`;
      case "node partition":
        await nodes.setCutOff(name, true);
        return `node ${name} is cut off (coracle node partition --heal joins it again)`;
      default:
        throw new CommandError(`the cluster does not know ${JSON.stringify(command)}: is it of another version?`);
    }
  };
}

function table(lines: readonly NodeLine[]): string {
  const rows = lines.map(({ name, addresses, state, pid }) => [name, addresses.join(","), state, pid === undefined ? "" : String(pid)]);
  const all = [["NAME", "ADDRESSES", "STATE", "PROCESS"], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(i < 3 ? (widths[i] ?? 0) + 3 : 0))
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

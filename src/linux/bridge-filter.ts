// Whether the kernel shows packets between two ports of a bridge to the packet filter. Without that, the answer of a pod to
// another one on the same bridge goes past the translation back from the pod's address to the service's.
import { readFile, writeFile } from "node:fs/promises";
import { CommandError, runCommand } from "./run-command.ts";

const directory = "/proc/sys/net/bridge";
const files = ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"];

/** Turns it on. Resolves with false where this kernel cannot. */
export async function enableBridgeFilter(): Promise<boolean> {
  if (await turnOn()) return true;
  try {
    await runCommand("modprobe", ["br_netfilter"]);
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
  return turnOn();
}

async function turnOn(): Promise<boolean> {
  try {
    for (const file of files)
      if ((await readFile(`${directory}/${file}`, "utf8")).trim() !== "1") await writeFile(`${directory}/${file}`, "1\n");
    return true;
  } catch {
    return false; // not in this kernel, or not ours to write
  }
}

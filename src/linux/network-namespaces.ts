// Named network namespaces, as `ip netns` keeps them: one holds an interface, addresses and rules of its own, and stays
// although no process is in it. Programs are started in one by `nsenter`, which changes nothing else.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, runCommand } from "./run-command.ts";

const directory = "/run/netns";

/** For nsenter and for nft. */
export function namespacePath(name: string): string {
  return join(directory, name);
}

export async function namespaceExists(name: string): Promise<boolean> {
  try {
    // What is left of one after a reboot of a container, say, is an empty file: no namespace.
    return (await stat(namespacePath(name))).dev !== (await stat(directory)).dev;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

/** Nothing happens where it is there already. */
export async function createNamespace(name: string): Promise<void> {
  if (await namespaceExists(name)) return;
  await removeNamespace(name);
  await runCommand("ip", ["netns", "add", name]);
}

/** Interfaces in it vanish as soon as no process is left in it. Nothing happens where there is none. */
export async function removeNamespace(name: string): Promise<void> {
  try {
    await runCommand("ip", ["netns", "delete", name]);
  } catch (error) {
    if (error instanceof CommandError && /No such file or directory/.test(error.stderr)) return;
    throw error;
  }
}

/** Names that begin so. */
export async function namespacesNamed(prefix: string): Promise<readonly string[]> {
  const { stdout } = await runCommand("ip", ["netns", "list"]);
  const names = stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
  return names.filter((name) => name !== "" && name.startsWith(prefix));
}

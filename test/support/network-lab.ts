// Hosts in network namespaces of a test's own, on one bridge: real members of something that can be cut off from the rest and
// joined again. The machine itself is on the bridge too, so that the test reaches them. All is gone after remove().
import { randomBytes, randomInt } from "node:crypto";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { mustRun, run } from "./processes.ts";

export interface LabHost {
  /** A path: "/run/netns/lab-1a2b-0". */
  readonly netns: string;
  readonly address: string;
  /** Takes its cable out, or plugs it in again. */
  connect(connected: boolean): Promise<void>;
}

export interface NetworkLab {
  readonly hosts: readonly LabHost[];
  remove(): Promise<void>;
}

/** Why namespaces cannot be made here; undefined when they can. */
export async function whyNoNetworkLab(): Promise<string | undefined> {
  if (process.platform !== "linux") return `network namespaces need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "network namespaces need root";
  return (await findExecutable("ip")) === undefined ? "not installed: ip" : undefined;
}

export async function createNetworkLab(count: number): Promise<NetworkLab> {
  const subnet = `10.253.${randomInt(256)}`;
  const id = randomBytes(2).toString("hex");
  const bridge = `lab-${id}`;
  const ip = (...args: readonly string[]): Promise<string> => mustRun("ip", args);
  const names = Array.from({ length: count }, (_, i) => `lab-${id}-${i}`);
  const remove = async (): Promise<void> => {
    for (const name of names) await run("ip", ["netns", "delete", name]);
    await run("ip", ["link", "delete", bridge]);
  };
  try {
    await ip("link", "add", bridge, "type", "bridge");
    await ip("address", "add", `${subnet}.1/24`, "dev", bridge);
    await ip("link", "set", bridge, "up");
    for (const [i, name] of names.entries()) {
      await ip("netns", "add", name);
      await ip("link", "add", `lab-${id}${i}`, "type", "veth", "peer", "name", "eth0", "netns", name);
      await ip("link", "set", `lab-${id}${i}`, "master", bridge, "up");
      for (const device of ["lo", "eth0"]) await ip("-netns", name, "link", "set", device, "up");
      await ip("-netns", name, "address", "add", `${subnet}.${i + 2}/24`, "dev", "eth0");
    }
  } catch (error) {
    await remove();
    throw error;
  }
  const hosts = names.map((name, i) => ({
    netns: `/run/netns/${name}`,
    address: `${subnet}.${i + 2}`,
    connect: async (connected: boolean) => void (await ip("link", "set", `lab-${id}${i}`, connected ? "up" : "down")),
  }));
  return { hosts, remove };
}

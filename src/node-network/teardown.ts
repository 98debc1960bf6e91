// Takes away what the pod network between nodes leaves in the kernel of a machine whose node has ended for good.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { udpDeviceName, vxlanDeviceName } from "../cni/network-config.ts";
import { createIpTool } from "../linux/ip-tool.ts";
import { deviceCommands, routeCommands, routeProtocol } from "./commands.ts";

interface Remembered {
  /** All ranges that routes may have been made into. */
  readonly clusterCidrs: readonly string[];
}

const fileOf = (dataDir: string): string => join(resolve(dataDir), "node-network.json");

/** Notes what removeNodeNetwork() has to know, before anything is made. */
export async function rememberNodeNetwork(dataDir: string, { clusterCidrs }: Remembered): Promise<void> {
  await mkdir(resolve(dataDir), { recursive: true, mode: 0o700 });
  await writeFile(fileOf(dataDir), `${JSON.stringify({ clusterCidrs } satisfies Remembered)}\n`, { mode: 0o600 });
}

/** Safe to call at any time, also when there is nothing: the tunnels of the data directory, and routes into the ranges. */
export async function removeNodeNetwork(dataDir: string): Promise<void> {
  const ip = createIpTool();
  const device = vxlanDeviceName(dataDir);
  await ip.apply(deviceCommands(await ip.vxlan(device), undefined, device));
  // Its program ends with the node's process, and with its device.
  const udp = udpDeviceName(dataDir);
  if ((await ip.addresses()).some(({ ifname }) => ifname === udp)) await ip.apply([`link delete dev ${udp}`]);
  const observed = [...(await ip.routes(4, routeProtocol)), ...(await ip.routes(6, routeProtocol))];
  await ip.apply(routeCommands(observed, [], await rememberedCidrs(dataDir)));
  await rm(fileOf(dataDir), { force: true });
}

async function rememberedCidrs(dataDir: string): Promise<readonly string[]> {
  try {
    return (JSON.parse(await readFile(fileOf(dataDir), "utf8")) as Remembered).clusterCidrs; // written by rememberNodeNetwork
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

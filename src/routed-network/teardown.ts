// Takes away what a routed pod network leaves on a machine whose node has ended for good, also after a crash: the routing daemon and
// its routes, tunnels, routes through them, and the host's ends of pods' cables.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { realClock } from "../base/clock.ts";
import { ipipDeviceName, vxlanDeviceName } from "../cni/network-config.ts";
import { createIpTool, type IpTool } from "../linux/ip-tool.ts";
import { CommandError, runCommand } from "../linux/run-command.ts";
import { routeCommands, routeProtocol } from "../node-network/commands.ts";
import { removeBird } from "./bird.ts";
import { birdDirectory, routedNetworkFile as fileOf, podCablePrefix } from "./names.ts";

interface Remembered {
  /** Of all pools there have been. */
  readonly ranges: readonly string[];
  /** Of the routing daemon's routes. */
  readonly metric: number;
}

/** Notes what removeRoutedNetwork() has to know, before anything is made. Resolves with all ranges that are known now. */
export async function rememberRoutedNetwork(dataDir: string, { ranges, metric }: Remembered): Promise<readonly string[]> {
  const all = [...new Set([...((await remembered(dataDir))?.ranges ?? []), ...ranges])];
  await mkdir(resolve(dataDir), { recursive: true, mode: 0o700 });
  await writeFile(fileOf(dataDir), `${JSON.stringify({ ranges: all, metric } satisfies Remembered)}\n`, { mode: 0o600 });
  return all;
}

/** Safe to call at any time, also where there is nothing. */
export async function removeRoutedNetwork(dataDir: string): Promise<void> {
  const known = await remembered(dataDir);
  await removeBird(birdDirectory(dataDir), realClock);
  if (!known) return;
  const ip = createIpTool();
  await removeInterfaces(ip, dataDir);
  const observed = await Promise.all(([4, 6] as const).map((family) => ip.routes(family, routeProtocol)));
  await ip.apply(routeCommands(observed.flat(), [], known.ranges));
  for (const family of ["-4", "-6"]) await removeDaemonRoutes(family, known.metric);
  await rm(fileOf(dataDir), { force: true });
}

async function removeInterfaces(ip: IpTool, dataDir: string): Promise<void> {
  const names = [vxlanDeviceName(dataDir), ipipDeviceName(dataDir)];
  const prefix = podCablePrefix(dataDir);
  for (const { ifname } of await ip.addresses())
    if (names.includes(ifname) || ifname.startsWith(prefix))
      await ip.apply([`link delete dev ${ifname}`]).catch((error: unknown) => {
        // It may vanish with its pod's namespace in the meantime.
        if (!(error instanceof CommandError && /Cannot find device/.test(error.stderr))) throw error;
      });
}

interface DaemonRoute {
  readonly dst: string;
  readonly type?: string;
  readonly metric?: number;
}

/** Known by their metric: those of other daemons on the machine have others. */
async function removeDaemonRoutes(family: string, metric: number): Promise<void> {
  const { stdout } = await runCommand("ip", ["-json", family, "route", "show", "proto", "bird"]);
  const routes = stdout.trim() === "" ? [] : (JSON.parse(stdout) as readonly DaemonRoute[]); // iproute2's form
  const ours = routes.filter((route) => route.metric === metric);
  const commands = ours.map(({ dst, type = "" }) => `route del ${type} ${dst} metric ${metric} proto bird`);
  if (commands.length > 0)
    await runCommand("ip", [family, "-force", "-batch", "-"], { input: `${commands.join("\n")}\n` }).catch(ignoreGone);
}

/** A route may go with its interface while others are taken away. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof CommandError && /No such process/.test(error.stderr))) throw error;
}

async function remembered(dataDir: string): Promise<Remembered | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(dataDir), "utf8")) as Remembered; // written by rememberRoutedNetwork
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

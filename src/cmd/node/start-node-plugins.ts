// The CNI plugins of a node, for the runtime that calls them: the directory of their executables, and the host that answers these
// inside this process. `--cni-plugins=system` leaves all of it away: the runtime runs the machine's own plugins.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { renderLauncher, renderLoopbackLauncher } from "../../cni/host/launcher.ts";
import { fallbackDirectory, keepPluginDirectory, pluginDirectory } from "../../cni/host/plugin-directory.ts";
import { pluginHostSocket, startPluginHost } from "../../cni/host/plugin-host.ts";
import type { CniPlugin, PluginTable } from "../../cni/plugins/plugin.ts";
import { dataDirHash } from "../../cri/containerd-paths.ts";
import { findExecutable } from "../../linux/find-executable.ts";

export interface NodePluginsOptions {
  readonly dataDir: string;
  /** Besides those of plugins/all.ts: ones that are made for this node. */
  readonly morePlugins?: PluginTable;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface NodePlugins extends Running {
  /** For the runtime. */
  readonly directory: string;
}

/** Resolves when calls are answered; the plugins themselves are loaded with the first. */
export async function startNodePlugins({ dataDir, morePlugins = {}, clock, logger }: NodePluginsOptions): Promise<NodePlugins> {
  const stack = new StopStack();
  const socket = pluginHostSocket(dataDir, dataDirHash(dataDir));
  const directory = pluginDirectory(dataDir);
  const { pluginNames } = await import("../../cni/plugins/plugin-names.ts");
  const leaseDirectory = join(dataDir, "cni", "dhcp");
  const load = async (): Promise<PluginTable> => ({
    ...(await import("../../cni/plugins/all.ts")).createPlugins({ leaseDirectory }),
    ...morePlugins,
  });
  let table: Promise<PluginTable> | undefined;
  const plugins = (): Promise<PluginTable> => (table ??= load());
  try {
    // Before calls are answered, which may be about what an earlier process has kept.
    const kept = await readdir(leaseDirectory).catch(() => []);
    if (kept.length > 0) await (await plugins()).dhcp?.restore?.((message, details) => logger.warn(message, details));
    stack.add(await startPluginHost({ socket, plugins, clock, logger }));
    const perl = await findExecutable("perl");
    const launcher = renderLauncher({ socket, alone: aloneCommand(), perl });
    const shortcuts = { loopback: renderLoopbackLauncher({ perl }, join(fallbackDirectory(directory), "loopback")) };
    const names = [...pluginNames, ...Object.keys(morePlugins)];
    stack.add(await keepPluginDirectory({ directory, names, launcher, shortcuts, logger }));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  return { directory, stop: () => stack.stop() };
}

/**
 * For the time in which all of a node is taken down: pods are detached by saying so, since everything that attached them is
 * removed as a whole afterwards.
 */
export async function answerTakeDown({ dataDir, clock, logger }: Omit<NodePluginsOptions, "morePlugins">): Promise<Running> {
  const entries = await readdir(pluginDirectory(dataDir), { withFileTypes: true }).catch(() => []);
  const refused = async (): Promise<never> => {
    throw new Error("the node is being taken down");
  };
  const plugin: CniPlugin = { add: refused, check: refused, del: async () => undefined };
  const table = Object.fromEntries(entries.filter((entry) => entry.isFile()).map(({ name }) => [name, plugin]));
  const socket = pluginHostSocket(dataDir, dataDirHash(dataDir));
  return startPluginHost({ socket, plugins: async () => table, clock, logger, anyNamespace: true });
}

/** `coracle cni`, as this process was started, or from where this file lies. */
function aloneCommand(): readonly string[] {
  const [, started = ""] = process.argv;
  const command = /^coracle(\.js)?$/.test(basename(started)) ? started : ownCommand(import.meta.dirname);
  return [process.execPath, command, "cni"];
}

function ownCommand(directory: string): string {
  const candidate = join(directory, "coracle");
  if (existsSync(candidate) && existsSync(join(directory, "package.json"))) return candidate;
  return dirname(directory) === directory ? "coracle" : ownCommand(dirname(directory));
}

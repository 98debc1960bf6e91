// The CNI configuration of a node in a routed pod network: the installer step. Written at once and whole, once the node gives out
// addresses; the runtime watches the directory.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cniConfigDirectory, podNetworkName } from "../cni/network-config.ts";
import { routedPluginName } from "./names.ts";

export interface RoutedConfigOptions {
  readonly dataDir: string;
  readonly mtu: number;
  readonly families: readonly (4 | 6)[];
}

/** The network configuration list (CNI specification 1.0.0, section 1): one call for both plugins. */
export function renderRoutedConfig({ dataDir, mtu, families }: RoutedConfigOptions): object {
  const capabilities = { portMappings: true };
  const plugins = [
    { type: routedPluginName, mtu, families },
    { type: "portmap", capabilities, snat: true },
  ];
  return { cniVersion: "1.0.0", name: podNetworkName(dataDir), plugins: [{ type: "coracle", capabilities, plugins }] };
}

/** Leaves an equal file alone. */
export async function writeRoutedConfig(options: RoutedConfigOptions): Promise<void> {
  const path = join(cniConfigDirectory(options.dataDir), "10-coracle.conflist");
  const text = `${JSON.stringify(renderRoutedConfig(options), null, 2)}\n`;
  if ((await readFile(path, "utf8").catch(() => "")) === text) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

// Our own CNI plugins by the names of their executables.
import { createBridge } from "./bridge/bridge.ts";
import { chain } from "./chain.ts";
import { createHostLocal } from "./host-local/host-local.ts";
import { loopback } from "./loopback.ts";
import type { PluginTable } from "./plugin.ts";
import { portmap } from "./portmap.ts";

/** The names are also in plugin-names.ts. `coracle` runs a chain of the others in one call. */
export function createPlugins(): PluginTable {
  return {
    bridge: createBridge(),
    coracle: chain,
    "host-local": createHostLocal(),
    loopback,
    portmap,
  };
}

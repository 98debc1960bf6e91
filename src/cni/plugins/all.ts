// Our own CNI plugins by the names of their executables, which are also in plugin-names.ts. `coracle` runs a chain of the others in
// one call.
import { bandwidth } from "./bandwidth.ts";
import { createBridge } from "./bridge/bridge.ts";
import { chain } from "./chain.ts";
import { createDhcp } from "./dhcp/dhcp.ts";
import { firewall } from "./firewall.ts";
import { flannel } from "./flannel.ts";
import { hostDevice } from "./host-device.ts";
import { createHostLocal } from "./host-local/host-local.ts";
import { ipvlan } from "./ipvlan.ts";
import { loopback } from "./loopback.ts";
import { macvlan } from "./macvlan.ts";
import type { PluginTable } from "./plugin.ts";
import { portmap } from "./portmap.ts";
import { ptp } from "./ptp.ts";
import { staticPlugin } from "./static.ts";
import { tuning } from "./tuning.ts";
import { vlan } from "./vlan.ts";

export interface PluginsOptions {
  /** Where leases of the dhcp plugin are written down. Default nowhere. */
  readonly leaseDirectory?: string;
}

export function createPlugins({ leaseDirectory }: PluginsOptions = {}): PluginTable {
  return {
    bandwidth,
    bridge: createBridge(),
    coracle: chain,
    dhcp: createDhcp(leaseDirectory === undefined ? {} : { directory: leaseDirectory }),
    firewall,
    flannel,
    "host-device": hostDevice,
    "host-local": createHostLocal(),
    ipvlan,
    loopback,
    macvlan,
    portmap,
    ptp,
    static: staticPlugin,
    tuning,
    vlan,
  };
}

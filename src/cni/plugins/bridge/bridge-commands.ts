// Of the bridge plugin: the commands of `ip` and `bridge` that make the bridge and a container's link to it. All of them may be
// given again: what is there already stays. Pure.

import { cidrsOverlap } from "../../../api/meta/ip.ts";
import { failed } from "../../spec/cni-error.ts";
import { familyOf, networkOf, requireCidr } from "../addresses.ts";
import { exists } from "../container-interface.ts";
import type { IpCommand } from "../plugin.ts";
import type { BridgeSettings } from "./bridge-settings.ts";

export interface ContainerLink {
  readonly host: string;
  readonly hostMac: string;
  readonly ifName: string;
  readonly mac: string;
  readonly netns: string;
}

const withMtu = (mtu: number): string => (mtu > 0 ? ` mtu ${mtu}` : "");

/** `mac`: a bridge has that of one of its ports, a different one as they come and go, unless it is given one. */
export function bridgeCommands(settings: BridgeSettings, mac: string): readonly IpCommand[] {
  const { bridge, mtu, promiscMode, vlan, trunk } = settings;
  const filtering = vlan !== 0 || trunk.length > 0 ? " vlan_filtering 1" : "";
  return [
    { command: `link add name ${bridge}${withMtu(mtu)} address ${mac} type bridge${filtering}`, unless: exists },
    `link set dev ${bridge}${promiscMode ? " promisc on" : ""} up`,
  ];
}

export interface GatewayAddresses {
  /** "10.1.0.1/16". */
  readonly gateways: readonly string[];
  /** Those the interface has. */
  readonly present: readonly string[];
  readonly forceAddress: boolean;
}

/** Gives an interface the gateways' addresses. Throws where it has others that are in the way and must stay. */
export function gatewayCommands(device: string, { gateways, present, forceAddress }: GatewayAddresses): readonly IpCommand[] {
  return gateways.flatMap((gateway): readonly IpCommand[] => {
    const inTheWay = present.filter((address) => address !== gateway && conflicts(address, gateway, gateways));
    if (inTheWay.length > 0 && !forceAddress) throw failed(`"${device}" already has an IP address different from ${gateway}`);
    return [
      ...inTheWay.map((address) => `address delete ${address} dev ${device}`),
      { command: `address add ${gateway} dev ${device}${familyOf(gateway) === 6 ? " nodad" : ""}`, unless: exists },
    ];
  });
}

/** One address of IPv4 at all besides those wanted; of IPv6 any number, in different networks. */
function conflicts(address: string, gateway: string, gateways: readonly string[]): boolean {
  if (familyOf(address) !== familyOf(gateway) || gateways.includes(address)) return false;
  if (familyOf(address) === 4) return true;
  return cidrsOverlap(requireCidr(networkOf(address), "address"), requireCidr(networkOf(gateway), "address"));
}

/** A pair, one end in the container's namespace, the other a port of the bridge. */
export function linkCommands(settings: BridgeSettings, { host, hostMac, ifName, mac, netns }: ContainerLink): readonly IpCommand[] {
  const { bridge, mtu, hairpinMode, portIsolation } = settings;
  const port = [...(hairpinMode ? ["hairpin on"] : []), ...(portIsolation ? ["isolated on"] : [])].join(" ");
  const peer = `peer name ${ifName}${withMtu(mtu)} address ${mac} netns ${netns}`;
  return [
    `link add name ${host}${withMtu(mtu)} address ${hostMac} master ${bridge} type veth ${peer}`,
    ...(port === "" ? [] : [`link set dev ${host} type bridge_slave ${port}`]),
    // A port has no use for an address of its own, and need not announce one.
    `link set dev ${host} addrgenmode none`,
    `link set dev ${host} up`,
  ];
}

/** For `bridge -batch`: which VLANs a port is in; nothing where there are none. */
export function vlanCommands(port: string, { vlan, trunk, preserveDefaultVlan }: BridgeSettings): readonly string[] {
  if (vlan === 0 && trunk.length === 0) return [];
  const native = vlan === 0 ? 1 : vlan;
  return [
    ...(preserveDefaultVlan || native === 1 ? [] : [`vlan delete dev ${port} vid 1`]),
    `vlan add dev ${port} vid ${native} pvid untagged`,
    ...trunk.filter((id) => id !== native).map((id) => `vlan add dev ${port} vid ${id}`),
  ];
}

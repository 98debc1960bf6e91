// A pod's cable: a pair of interfaces, one in the pod, one on the host. The pod has an address without a network, and sends
// everything to 169.254.1.1, which the host answers for as it does for any address it can reach (proxy ARP); the host has one
// route to the pod. Of IPv6 the gateway is a link-local address, the same on all cables. Pure: the commands for `ip`.
import type { IpCommand } from "../cni/plugins/plugin.ts";

export const gatewayOfPods = "169.254.1.1";
/** What the hardware address below gives by the usual rule. */
export const gatewayOfPods6 = "fe80::ecee:eeff:feee:eeee";
/** Of all host's ends: pods keep what they know of the gateway wherever they are. */
export const hostMac = "ee:ee:ee:ee:ee:ee";

export interface PodCable {
  /** Of the host's end. */
  readonly host: string;
  /** In the pod. */
  readonly interface: string;
  readonly mac: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly mtu: number;
  readonly addresses: readonly string[];
}

export const isIPv6 = (address: string): boolean => address.includes(":");
export const withLength = (address: string): string => `${address}/${isIPv6(address) ? 128 : 32}`;

export function hostCommands({ host, interface: name, mac, netns, mtu, addresses }: PodCable): readonly IpCommand[] {
  return [
    // Of an earlier attempt for the same container.
    { command: `link delete dev ${host}`, unless: /Cannot find device|does not exist|No such device/ },
    `link add name ${host} mtu ${mtu} address ${hostMac} type veth peer name ${name} mtu ${mtu} address ${mac} netns ${netns}`,
    `link set dev ${host} addrgenmode none`,
    ...(addresses.some(isIPv6) ? [`address add ${gatewayOfPods6}/64 dev ${host} nodad`] : []),
    `link set dev ${host} up`,
    ...addresses.map((address) => `route replace ${withLength(address)} dev ${host}${isIPv6(address) ? "" : " scope link"}`),
  ];
}

/** Below /proc/sys, of the host's end. */
export function hostSysctls({ host, addresses }: PodCable): Readonly<Record<string, string>> {
  const four = {
    [`net/ipv4/conf/${host}/proxy_arp`]: "1",
    // Nobody else answers on this link.
    [`net/ipv4/neigh/${host}/proxy_delay`]: "0",
    [`net/ipv4/conf/${host}/forwarding`]: "1",
    // A pod sends under no address but its own.
    [`net/ipv4/conf/${host}/rp_filter`]: "1",
  };
  return { ...four, ...(addresses.some(isIPv6) ? { [`net/ipv6/conf/${host}/forwarding`]: "1" } : {}) };
}

export function podCommands({ interface: name, addresses }: PodCable): readonly IpCommand[] {
  const hasFour = addresses.some((address) => !isIPv6(address));
  return [
    `link set dev ${name} up`,
    ...addresses.map((address) => `address add ${withLength(address)} dev ${name}${isIPv6(address) ? " nodad" : ""}`),
    ...(hasFour ? [`route add ${gatewayOfPods} dev ${name} scope link`, `route add default via ${gatewayOfPods} dev ${name}`] : []),
    ...(addresses.some(isIPv6) ? [`route add default via ${gatewayOfPods6} dev ${name}`] : []),
  ];
}

/** A pod may have been made with IPv6 turned off. */
export function podSysctls({ interface: name, addresses }: PodCable): Readonly<Record<string, string>> {
  return addresses.some(isIPv6) ? { [`net/ipv6/conf/${name}/disable_ipv6`]: "0", [`net/ipv6/conf/${name}/accept_ra`]: "0" } : {};
}

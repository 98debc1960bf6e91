// From what stands in the kernel and what should, the commands for `ip` and `bridge` that make the difference. Pure. Only
// what is this program's own is ever taken away: routes with its protocol number into the cluster's ranges, and
// whatever is on its VXLAN device.
import { cidrContains, type ParsedIP, parseCIDR } from "../api/meta/ip.ts";
import type { ListedForwarding, ListedNeighbour, ListedRoute, VxlanDetails } from "../linux/ip-tool.ts";
import type { NetworkPlan, PlannedRoute } from "./plan.ts";

/** Of our routes (rtnetlink's rtm_protocol), so that we know them again; among the numbers nobody has been given. */
export const routeProtocol = 196;

/** What the VXLAN device should be like. */
export interface WantedDevice {
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  /** Of the node, where its UDP packets come from, and the interface that has it. */
  readonly local: string;
  readonly underlay: string;
  readonly mac: string;
  readonly mtu: number;
}

/** Commands of `ip` that make the device, or what it lacks; an existing one that cannot be changed is made anew. */
export function deviceCommands(
  found: (VxlanDetails & { readonly address?: string; readonly mtu?: number }) | undefined,
  wanted: WantedDevice | undefined,
  name: string,
): readonly string[] {
  if (!wanted) return found ? [`link delete dev ${name}`] : [];
  const fits =
    found?.id === wanted.vni &&
    found.port === wanted.port &&
    (found.local ?? found.local6) === wanted.local &&
    found.address?.toLowerCase() === wanted.mac;
  const { vni, port, local, underlay, mac, mtu } = wanted;
  return [
    ...(found && !fits ? [`link delete dev ${name}`] : []),
    // Learning from packets would let any node pretend to be another one.
    ...(fits
      ? []
      : [`link add name ${name} address ${mac} type vxlan id ${vni} dstport ${port} local ${local} dev ${underlay} nolearning`]),
    ...(fits && found.mtu === mtu ? [] : [`link set dev ${name} mtu ${mtu} up`]),
  ];
}

/** `ip` for the tunnel in plain UDP, whose device is there as long as its program is. */
export function udpDeviceCommands(
  device: string,
  { addresses, mtu }: { readonly addresses: readonly string[]; readonly mtu: number },
): readonly string[] {
  return [`link set dev ${device} mtu ${mtu} up`, ...tunnelAddressCommands(device, addresses)];
}

/** `ip address` for this node's own addresses in a tunnel. */
export function tunnelAddressCommands(device: string, addresses: readonly string[]): readonly string[] {
  return addresses.map((address) =>
    address.includes(":") ? `address replace ${address}/128 dev ${device} nodad` : `address replace ${address}/32 dev ${device}`,
  );
}

/** `ip route` for all routes; `observed` are ours that stand there now. */
export function routeCommands(
  observed: readonly ListedRoute[],
  planned: readonly PlannedRoute[],
  clusterCidrs: readonly string[],
): readonly string[] {
  const keyOf = (dst: string, gateway?: string, dev?: string): string => `${dst} ${gateway} ${dev}`;
  const present = new Set(observed.map((route) => keyOf(withLength(route.dst), route.gateway, route.dev)));
  const wanted = new Map(planned.map((route) => [route.destination, route]));
  const stale = observed.filter(({ dst, dev }) => {
    const route = wanted.get(withLength(dst));
    if (!route) return isInside(dst, clusterCidrs);
    // The kernel finds the gateway within a route of IPv6 that is still there, by the other device, and refuses the new one.
    return dst.includes(":") && route.onlink && dev !== route.device;
  });
  return [
    ...stale.map(({ dst, dev }) => `route del ${dst}${dev === undefined ? "" : ` dev ${dev}`} proto ${routeProtocol}`),
    ...planned
      .filter((route) => !present.has(keyOf(route.destination, route.gateway, route.device)))
      .map(
        ({ destination, gateway, device, onlink }) =>
          `route replace ${destination} via ${gateway} dev ${device} proto ${routeProtocol}${onlink ? " onlink" : ""}`,
      ),
  ];
}

/** `ip neigh`: which hardware address the other ends' gateways have. */
export function neighbourCommands(
  device: string,
  observed: readonly ListedNeighbour[],
  { tunnels }: Pick<NetworkPlan, "tunnels">,
): readonly string[] {
  const wanted = new Map(tunnels.flatMap(({ mac, gateways }) => gateways.map((gateway) => [gateway, mac] as const)));
  const present = new Map(observed.map(({ dst, lladdr }) => [dst, lladdr?.toLowerCase()]));
  return [
    ...observed.filter(({ dst }) => !wanted.has(dst)).map(({ dst }) => `neigh del ${dst} dev ${device}`),
    ...[...wanted]
      .filter(([gateway, mac]) => present.get(gateway) !== mac)
      .map(([gateway, mac]) => `neigh replace ${gateway} lladdr ${mac} dev ${device} nud permanent`),
  ];
}

/** `bridge fdb`: behind which node a hardware address is. */
export function forwardingCommands(
  device: string,
  observed: readonly ListedForwarding[],
  { tunnels }: Pick<NetworkPlan, "tunnels">,
): readonly string[] {
  const wanted = new Map(tunnels.map(({ mac, remote }) => [mac, remote]));
  const present = new Map(observed.map(({ mac, dst }) => [mac.toLowerCase(), dst]));
  const stale = observed.filter(({ mac, dst }) => dst !== undefined && !wanted.has(mac.toLowerCase()));
  return [
    ...stale.map(({ mac, dst }) => `fdb del ${mac} dev ${device} dst ${dst} self`),
    ...[...wanted]
      .filter(([mac, remote]) => present.get(mac) !== remote)
      .map(([mac, remote]) => `fdb replace ${mac} dev ${device} dst ${remote} self permanent`),
  ];
}

/** `ip` shows a route to a single address without a length. */
function withLength(destination: string): string {
  return destination.includes("/") ? destination : `${destination}/${destination.includes(":") ? 128 : 32}`;
}

function isInside(destination: string, cidrs: readonly string[]): boolean {
  const ip = parseCIDR(withLength(destination))?.ip;
  return ip !== undefined && cidrs.some((text) => isWithin(text, ip));
}

function isWithin(text: string, ip: ParsedIP): boolean {
  const range = parseCIDR(text);
  return range !== undefined && cidrContains(range, ip);
}

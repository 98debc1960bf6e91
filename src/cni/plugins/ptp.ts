// The ptp plugin: each container has a link of its own to the host, which is its gateway. All of the container's packets, also to
// its own network, go by the gateway; the host has a route to each container.
import { failed } from "../spec/cni-error.ts";
import type { CniAddress, CniResult } from "../spec/result.ts";
import { familyOf, firstHost, networkOf, requireCidr, splitCidr } from "./addresses.ts";
import { flagField, numberField } from "./config-fields.ts";
import { checkContainerInterface, configureInterface, deleteContainerInterface, gone } from "./container-interface.ts";
import { hostInterfaceName, randomMac } from "./container-names.ts";
import { addMasquerade, deleteMasquerade } from "./ip-masquerade.ts";
import { dnsOf, ipamType, passToIpam, withAddresses } from "./ipam.ts";
import { deleteStaleTables } from "./packet-tables.ts";
import type { CniCall, CniEffects, CniPlugin } from "./plugin.ts";

interface Link {
  readonly host: string;
  readonly hostMac: string;
  readonly mac: string;
  readonly mtu: number;
}

type WithGateway = CniAddress & { readonly gateway: string };

export const ptp: CniPlugin = {
  async add(call, effects) {
    if (ipamType(call) === undefined) throw failed("ptp: an ipam section is needed");
    return withAddresses(call, effects, async (ipam) => {
      const link: Link = {
        host: hostInterfaceName(call),
        hostMac: randomMac(effects),
        mac: randomMac(effects),
        mtu: numberField(call.config, "mtu") ?? 0,
      };
      const ips = (ipam.ips ?? []).map(
        (ip): WithGateway => ({ ...ip, gateway: ip.gateway ?? firstHost(requireCidr(ip.address, "address")), interface: 1 }),
      );
      await effects.ip({ commands: [addLink(call, link)] });
      try {
        return await attach(call, effects, { link, ips, ipam });
      } catch (error) {
        await effects.ip({ commands: [{ command: `link delete dev ${link.host}`, unless: gone }] }).catch((problem: unknown) => {
          effects.warn("A container's link to the host is not removed", { interface: link.host, error: problem });
        });
        throw error;
      }
    });
  },
  async del(call, effects) {
    await passToIpam("DEL", call, effects);
    await deleteContainerInterface(call, effects);
    if (flagField(call.config, "ipMasq")) await deleteMasquerade(call, effects);
  },
  async check(call, effects) {
    await passToIpam("CHECK", call, effects);
    await checkContainerInterface(call, effects);
  },
  status: (call, effects) => passToIpam("STATUS", call, effects),
  async gc(call, effects) {
    await passToIpam("GC", call, effects);
    await deleteStaleTables({ family: "inet", kind: "masq" }, call, effects);
  },
};

function addLink({ ifName, netns }: CniCall, { host, hostMac, mac, mtu }: Link): string {
  const withMtu = mtu > 0 ? ` mtu ${mtu}` : "";
  return `link add name ${host}${withMtu} address ${hostMac} type veth peer name ${ifName}${withMtu} address ${mac} netns ${netns}`;
}

interface Parts {
  readonly link: Link;
  readonly ips: readonly WithGateway[];
  readonly ipam: CniResult;
}

async function attach(call: CniCall, effects: CniEffects, { link, ips, ipam }: Parts): Promise<CniResult> {
  const { netns, ifName, config } = call;
  const { routes = [] } = ipam;
  await forward(ips, effects);
  await effects.ip({ commands: hostCommands(link.host, ips) });
  await effects.ip(
    configureInterface({
      netns,
      ifName,
      ips,
      routes,
      ownNetworkRoutes: false,
      beforeRoutes: ips.flatMap((ip) => gatewayRoutes(ip, ifName)),
    }),
  );
  if (flagField(config, "ipMasq")) await addMasquerade(ips, call, effects);
  return {
    interfaces: [
      { name: link.host, mac: link.hostMac },
      { name: ifName, mac: link.mac, sandbox: netns },
    ],
    ips,
    ...(routes.length > 0 ? { routes } : {}),
    ...dnsOf(call, ipam),
  };
}

const single = (address: string): string => `${address}/${familyOf(address) === 4 ? 32 : 128}`;

export function hostCommands(host: string, ips: readonly WithGateway[]): readonly string[] {
  return [
    `link set dev ${host} up`,
    ...ips.flatMap(({ address, gateway }) => [
      `address add ${single(gateway)} dev ${host}${familyOf(gateway) === 6 ? " nodad" : ""}`,
      `route add ${single(splitCidr(address).address)} dev ${host}`,
    ]),
  ];
}

/** To the gateway by the link, to all the network by the gateway. */
export function gatewayRoutes({ address, gateway }: WithGateway, ifName: string): readonly string[] {
  const source = splitCidr(address).address;
  return [
    `route add ${single(gateway)} dev ${ifName} scope link src ${source}`,
    `route add ${networkOf(address)} via ${gateway} dev ${ifName} src ${source}`,
  ];
}

async function forward(ips: readonly CniAddress[], effects: CniEffects): Promise<void> {
  if (ips.some(({ address }) => familyOf(address) === 4)) await effects.sysctl({ "net/ipv4/ip_forward": "1" });
  if (ips.some(({ address }) => familyOf(address) === 6)) await effects.sysctl({ "net/ipv6/conf/all/forwarding": "1" });
}

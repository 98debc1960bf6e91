// The bridge plugin: containers are ports of a bridge on the host, which may be their gateway. Configuration, results and checks
// are upstream's. An ADD costs two short processes: one on the host, one in the container's namespace.
import { failed } from "../../spec/cni-error.ts";
import type { CniInterface, CniResult } from "../../spec/result.ts";
import { familyOf } from "../addresses.ts";
import {
  checkContainerInterface,
  configureInterface,
  deleteContainerInterface,
  exists,
  findLink,
  gone,
  requirePreviousResult,
} from "../container-interface.ts";
import { hostInterfaceName, randomMac } from "../container-names.ts";
import { addMasquerade, deleteMasquerade } from "../ip-masquerade.ts";
import { dnsOf, passToIpam, withAddresses } from "../ipam.ts";
import { deleteStaleTables, deleteTable, putTable } from "../packet-tables.ts";
import type { CniCall, CniEffects, CniPlugin, IpCommand } from "../plugin.ts";
import { bridgeCommands, type ContainerLink, gatewayCommands, linkCommands, vlanCommands } from "./bridge-commands.ts";
import { type BridgeAddresses, type BridgeSettings, bridgeAddresses, readBridgeSettings } from "./bridge-settings.ts";

interface KnownBridge {
  readonly mac: string;
  /** Addresses it has besides link-local ones. */
  readonly present: readonly string[];
}

const spoofTable = { family: "bridge", kind: "spoof" } as const;
const masqTable = { family: "inet", kind: "masq" } as const;

export function createBridge(): CniPlugin {
  /** Bridges this process has seen; a command that fails for want of one says when that is out of date. */
  const known = new Map<string, KnownBridge>();
  return {
    async add(call, effects) {
      const settings = readBridgeSettings(call);
      return withAddresses(call, effects, async (ipam) => {
        const addresses = bridgeAddresses(ipam, settings);
        try {
          return await attach(call, effects, { settings, addresses, ipam, known });
        } catch (error) {
          // What is there is an earlier attachment's, which stays.
          if (error instanceof Error && isTaken(error, call)) throw failed(`container veth name (${call.ifName}) already exists`, error);
          await undo(call, effects, settings);
          throw error;
        }
      });
    },
    async del(call, effects) {
      const { ipMasq, macSpoofCheck } = readBridgeSettings(call);
      await deleteContainerInterface(call, effects);
      await passToIpam("DEL", call, effects);
      if (ipMasq) await deleteMasquerade(call, effects);
      if (macSpoofCheck) await deleteTable(spoofTable, call, effects);
    },
    async check(call, effects) {
      const settings = readBridgeSettings(call);
      await passToIpam("CHECK", call, effects);
      await checkBridge(call, effects, settings);
      if (!settings.disableContainerInterface) await checkContainerInterface(call, effects);
    },
    status: (call, effects) => passToIpam("STATUS", call, effects),
    async gc(call, effects) {
      await passToIpam("GC", call, effects);
      await deleteStaleTables(masqTable, call, effects);
      await deleteStaleTables(spoofTable, call, effects);
    },
  };
}

interface Attachment {
  readonly settings: BridgeSettings;
  readonly addresses: BridgeAddresses;
  readonly ipam: CniResult;
  readonly known: Map<string, KnownBridge>;
}

async function attach(call: CniCall, effects: CniEffects, attachment: Attachment): Promise<CniResult> {
  const { settings, addresses, ipam, known } = attachment;
  const { netns, ifName } = call;
  const link: ContainerLink = {
    host: hostInterfaceName(call),
    hostMac: randomMac(effects),
    ifName,
    mac: settings.mac ?? randomMac(effects),
    netns,
  };
  const before = known.get(settings.bridge);
  let bridge: KnownBridge;
  try {
    bridge = await connect(link, before, effects, attachment);
  } catch (error) {
    known.delete(settings.bridge);
    if (before === undefined || !(error instanceof Error && gone.test(error.message))) throw error;
    bridge = await connect(link, undefined, effects, attachment);
  }
  const vlans = vlanCommands(link.host, settings);
  if (vlans.length > 0) await effects.run("bridge", ["-batch", "-"], { input: `${vlans.join("\n")}\n` });
  if (settings.macSpoofCheck) await putTable(spoofTable, spoofChains(link), call, effects);
  const { ips, routes } = addresses;
  if (!settings.disableContainerInterface)
    await effects.ip(configureInterface({ netns, ifName, ips, routes, duplicateDetection: settings.duplicateDetection }));
  if (settings.ipMasq && ips.length > 0) await addMasquerade(ips, call, effects);
  const gateway = settings.vlan !== 0 && addresses.gateways.length > 0 ? [await vlanGateway(effects, attachment)] : [];
  return {
    interfaces: [
      { name: settings.bridge, mac: bridge.mac },
      { name: link.host, mac: link.hostMac },
      { name: ifName, mac: link.mac, sandbox: netns },
      ...gateway,
    ],
    ...(ips.length > 0 ? { ips } : {}),
    ...(routes.length > 0 ? { routes } : {}),
    ...dnsOf(call, ipam),
  };
}

/** The bridge and the container's link to it, in one process. */
async function connect(
  link: ContainerLink,
  before: KnownBridge | undefined,
  effects: CniEffects,
  { settings, addresses, known }: Attachment,
): Promise<KnownBridge> {
  // With VLANs the gateway is an interface of its own.
  const gateways = settings.vlan === 0 ? addresses.gateways : [];
  const found = before ?? (await lookAt(settings.bridge, effects));
  const bridge = found ?? { mac: randomMac(effects), present: [] };
  if (before === undefined) await enableForwarding(addresses, effects);
  await effects.ip({
    commands: [
      ...bridgeCommands(settings, bridge.mac),
      ...gatewayCommands(settings.bridge, { gateways, present: bridge.present, forceAddress: settings.forceAddress }),
      ...linkCommands(settings, link),
    ],
  });
  // What was in the way is gone.
  const kept = bridge.present.filter((address) => !settings.forceAddress || gateways.includes(address));
  const after = { mac: bridge.mac, present: [...new Set([...kept, ...gateways])] };
  known.set(settings.bridge, after);
  return after;
}

interface ListedBridge {
  readonly ifname: string;
  readonly address?: string;
  readonly linkinfo?: { readonly info_kind?: string };
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number; readonly scope?: string }[];
}

async function lookAt(name: string, effects: CniEffects): Promise<KnownBridge | undefined> {
  const links = await effects.ipList<ListedBridge>(["-details", "address", "show"]);
  const link = links.find(({ ifname }) => ifname === name);
  if (!link) return undefined;
  if (link.linkinfo?.info_kind !== "bridge") throw failed(`"${name}" already exists but is not a bridge`);
  const present = (link.addr_info ?? []).filter(({ scope }) => scope !== "link").map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  return { mac: link.address ?? "", present };
}

async function enableForwarding({ gateways }: BridgeAddresses, effects: CniEffects): Promise<void> {
  if (gateways.some((gateway) => familyOf(gateway) === 4)) await effects.sysctl({ "net/ipv4/ip_forward": "1" });
  if (gateways.some((gateway) => familyOf(gateway) === 6)) await effects.sysctl({ "net/ipv6/conf/all/forwarding": "1" });
}

/** The host's own interface in the containers' VLAN: a pair between the bridge and the host. */
async function vlanGateway(effects: CniEffects, { settings, addresses }: Attachment): Promise<CniInterface> {
  const { bridge, vlan } = settings;
  const name = `${bridge}.${vlan}`;
  const port = `vlan${vlan}.${bridge}`.slice(0, 15);
  const found = await findLink(name, effects);
  const mac = found?.address ?? randomMac(effects);
  const present = (found?.addr_info ?? [])
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .filter((address) => !address.startsWith("fe80:"));
  const make: readonly IpCommand[] = [
    { command: `link add name ${name} address ${mac} type veth peer name ${port} master ${bridge}`, unless: exists },
    `link set dev ${port} up`,
    `link set dev ${name} up`,
    ...gatewayCommands(name, { gateways: addresses.gateways, present, forceAddress: settings.forceAddress }),
  ];
  await effects.ip({ commands: make });
  if (!found) await effects.run("bridge", ["-batch", "-"], { input: `${vlanCommands(port, { ...settings, trunk: [] }).join("\n")}\n` });
  return { name, mac };
}

/** Whether one of the two interfaces of the container's link is there already. */
const isTaken = ({ message }: Error, call: CniCall): boolean =>
  message.startsWith(`ip link add name ${hostInterfaceName(call)} `) && exists.test(message);

function spoofChains({ host, mac }: ContainerLink): readonly string[] {
  return [
    "chain prerouting {",
    "  type filter hook prerouting priority -300; policy accept;",
    `  iifname "${host}" ether saddr != ${mac} drop`,
    "}",
  ];
}

async function undo(call: CniCall, effects: CniEffects, { ipMasq, macSpoofCheck }: BridgeSettings): Promise<void> {
  const host = hostInterfaceName(call);
  const tidy = async (): Promise<void> => {
    await effects.ip({ commands: [{ command: `link delete dev ${host}`, unless: gone }] });
    if (ipMasq) await deleteMasquerade(call, effects);
    if (macSpoofCheck) await deleteTable(spoofTable, call, effects);
  };
  await tidy().catch((error: unknown) => effects.warn("A container's link to a bridge is not removed", { interface: host, error }));
}

async function checkBridge(call: CniCall, effects: CniEffects, { bridge }: BridgeSettings): Promise<void> {
  const { interfaces = [] } = requirePreviousResult(call);
  const links = await effects.ipList<ListedBridge & { readonly master?: string }>(["-details", "link", "show"]);
  const expected = interfaces.find(({ name, sandbox }) => name === bridge && sandbox === undefined);
  if (!expected) throw failed(`prevResult: no bridge ${bridge}`);
  const link = links.find(({ ifname }) => ifname === bridge);
  if (!link) throw failed(`Interface name ${bridge} not found`);
  if (link.linkinfo?.info_kind !== "bridge") throw failed(`Interface ${bridge} does not have link type of bridge`);
  if (expected.mac !== undefined && expected.mac !== link.address)
    throw failed(`Bridge interface ${bridge} Mac doesn't match: ${expected.mac}`);
  const port = interfaces.find(({ name, sandbox }) => name !== bridge && sandbox === undefined && name.startsWith("veth"));
  if (port && links.find(({ ifname }) => ifname === port.name)?.master !== bridge)
    throw failed(`Veth interface ${port.name} is not a port of bridge ${bridge}`);
}

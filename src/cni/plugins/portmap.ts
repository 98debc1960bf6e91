// The portmap plugin: ports of the host lead to ports of the container, by the capability `portMappings`. Upstream's configuration
// and behaviour, as rules of nftables: one table for each attachment, made and deleted as a whole. Where an attachment was made by
// upstream's plugin with iptables, its rules are taken away at DEL.
import { realpath } from "node:fs/promises";
import { CommandError } from "../../linux/run-command.ts";
import { CniError, cniErrorCodes, invalidConfig } from "../spec/cni-error.ts";
import type { CniAddress, CniResult } from "../spec/result.ts";
import { type Family, familyOf, networkOf, requireAddress, splitCidr } from "./addresses.ts";
import { asObject, flagField, listField, numberField, textField, textList } from "./config-fields.ts";
import { requirePreviousResult } from "./container-interface.ts";
import { deleteStaleTables, deleteTable, putTable, requireTable } from "./packet-tables.ts";
import type { CniCall, CniEffects, CniPlugin } from "./plugin.ts";
import { containerRuleRemoval } from "./portmap-iptables.ts";

interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp" | "sctp";
  /** Absent for all of the host's addresses. */
  readonly hostIP?: string;
  /** Of the host address as it was written, also where that means all of them. */
  readonly family?: Family;
}

interface PortmapSettings {
  readonly mappings: readonly PortMapping[];
  /** Whether what comes from the host itself and from the container's network gets the host's address. */
  readonly snat: boolean;
  readonly masqAll: boolean;
  readonly markMasqBit: number;
  /** Expressions of nftables that packets must match too. */
  readonly conditions: Readonly<Record<Family, readonly string[]>>;
}

const table = { family: "inet", kind: "hostports" } as const;
const defaultMarkBit = 13;

export const portmap: CniPlugin = {
  async add(call, effects) {
    const result = requirePreviousResult(call);
    const settings = readSettings(call);
    if (settings.mappings.length === 0) return result;
    const ips = containerAddresses(result);
    await putTable(table, portChains(settings, ips), call, effects);
    if (settings.snat) await allowLoopbackSources(result, effects);
    await forgetFlows(settings.mappings, effects);
    return result;
  },
  async del(call, effects) {
    const { mappings } = readSettings(call);
    if (mappings.length === 0) return;
    if (!(await deleteTable(table, call, effects))) await removeIptablesRules(call, effects);
    await forgetFlows(mappings, effects);
  },
  async check(call, effects) {
    if (readSettings(call).mappings.length === 0) return;
    requirePreviousResult(call);
    await requireTable(table, call, effects);
  },
  gc: (call, effects) => deleteStaleTables(table, call, effects),
};

function readSettings({ config }: CniCall): PortmapSettings {
  if (textField(config, "externalSetMarkChain") !== undefined || config.backend === "iptables")
    throw new CniError(cniErrorCodes.unsupportedField, `backend: ${JSON.stringify(config.backend ?? "iptables")}: only nftables is there`);
  const markMasqBit = numberField(config, "markMasqBit", { max: 31 }) ?? defaultMarkBit;
  return {
    mappings: listField(config.runtimeConfig ?? {}, "portMappings").flatMap((entry) => readMapping(asObject(entry, "portMappings"))),
    snat: config.snat === undefined || flagField(config, "snat"),
    masqAll: flagField(config, "masqAll"),
    markMasqBit,
    conditions: { 4: textList(config, "conditionsV4"), 6: textList(config, "conditionsV6") },
  };
}

/** Those without a host port are for information. */
function readMapping(given: Readonly<Record<string, unknown>>): readonly PortMapping[] {
  // containerd writes HostPort, ContainerPort, Protocol and HostIP, which upstream's plugin takes for the same.
  const entry = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.charAt(0).toLowerCase() + name.slice(1), value]));
  const [hostPort = 0, containerPort = 0] = ["hostPort", "containerPort"].map((name) => numberField(entry, name, { max: 65_535 }));
  if (hostPort === 0) return [];
  if (containerPort === 0) throw invalidConfig(`Invalid container port number: ${containerPort}`);
  const protocol = (textField(entry, "protocol") ?? "tcp").toLowerCase();
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") throw invalidConfig(`Unsupported protocol: ${protocol}`);
  const written = textField(entry, "hostIP");
  if (written === undefined) return [{ hostPort, containerPort, protocol }];
  const { text, number, family } = requireAddress(written, "hostIP");
  return [{ hostPort, containerPort, protocol, family, ...(number === 0n ? {} : { hostIP: text }) }];
}

/** One of each family: those in the container, or all where the result does not say where they are. */
function containerAddresses({ ips = [], interfaces = [] }: CniResult): readonly CniAddress[] {
  const inside = ips.filter(({ interface: index }) => index === undefined || interfaces[index]?.sandbox !== undefined);
  return ([4, 6] as const).flatMap((family) => inside.find(({ address }) => familyOf(address) === family) ?? []);
}

/** Lines between the braces of the attachment's table. */
export function portChains(settings: PortmapSettings, ips: readonly CniAddress[]): readonly string[] {
  const mark = `0x${(2 ** settings.markMasqBit).toString(16)}`;
  return [
    "chain ports {",
    ...ips.flatMap(({ address }) => portRules(settings, address, mark)).map((rule) => `  ${rule}`),
    "}",
    "chain prerouting {",
    "  type nat hook prerouting priority dstnat; policy accept;",
    "  fib daddr type local jump ports",
    "}",
    "chain output {",
    "  type nat hook output priority -100; policy accept;",
    "  fib daddr type local jump ports",
    "}",
    "chain postrouting {",
    "  type nat hook postrouting priority srcnat; policy accept;",
    ...(settings.snat
      ? ips.map(({ address }) => `  ${word(address)} daddr ${splitCidr(address).address} meta mark & ${mark} == ${mark} masquerade`)
      : []),
    "}",
  ];
}

const word = (address: string): "ip" | "ip6" => (familyOf(address) === 4 ? "ip" : "ip6");

function portRules({ mappings, snat, masqAll, conditions }: PortmapSettings, cidr: string, mark: string): readonly string[] {
  const { address, family } = splitCidr(cidr);
  const ip = word(cidr);
  return mappings
    .filter((mapping) => mapping.family === undefined || mapping.family === family)
    .flatMap(({ hostPort, containerPort, protocol, hostIP }) => {
      const matching = [
        `meta nfproto ipv${family}`,
        ...(hostIP === undefined ? [] : [`${ip} daddr ${hostIP}`]),
        ...conditions[family],
        `${protocol} dport ${hostPort}`,
      ].join(" ");
      const marked = (sources: string): string => `${matching}${sources} meta mark set meta mark | ${mark}`;
      const local = family === 4 ? [marked(" ip saddr 127.0.0.1")] : [];
      const marks = masqAll ? [marked("")] : [marked(` ${ip} saddr ${networkOf(cidr)}`), ...local];
      const target = family === 4 ? `${address}:${containerPort}` : `[${address}]:${containerPort}`;
      return [...(snat ? marks : []), `${matching} dnat ${ip} to ${target}`];
    });
}

/** Packets from 127.0.0.1 may leave by the interface the container is behind; their source is replaced on the way. */
async function allowLoopbackSources({ interfaces = [], ips = [] }: CniResult, effects: CniEffects): Promise<void> {
  const host = interfaces.find(({ sandbox }) => sandbox === undefined)?.name;
  if (host === undefined || !ips.some(({ address }) => familyOf(address) === 4)) return;
  const name = `net/ipv4/conf/${host}/route_localnet`;
  if ((await effects.readSysctl(name)) !== "1") await effects.sysctl({ [name]: "1" });
}

/** Flows of UDP keep their old direction otherwise, for as long as packets come. */
async function forgetFlows(mappings: readonly PortMapping[], effects: CniEffects): Promise<void> {
  const ports = new Set(mappings.filter(({ protocol }) => protocol === "udp").map(({ hostPort }) => hostPort));
  for (const port of ports)
    for (const family of ["ipv4", "ipv6"]) {
      try {
        await effects.run("conntrack", ["-D", "-p", "udp", "-f", family, "--orig-port-dst", String(port)]);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        if (error.notFound) return; // without the tool old flows end by themselves
        if (!/\b0 flow entries have been deleted/.test(error.stderr)) throw error; // none found is a failure to the tool
      }
    }
}

/** Of a container that upstream's plugin attached. */
async function removeIptablesRules(call: CniCall, effects: CniEffects): Promise<void> {
  for (const command of ["iptables", "ip6tables"]) {
    // Asking iptables makes its tables where there were none, and modules are loaded: only where there are any.
    if (!(await hasIptables(command))) continue;
    try {
      const { stdout } = await effects.run(`${command}-save`, ["-t", "nat"]);
      const removal = containerRuleRemoval(stdout, call.config.name, call.containerId);
      if (removal !== undefined) await effects.run(`${command}-restore`, ["--noflush"], { input: removal });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      effects.warn("Host port rules of an earlier version are not removed", { container: call.containerId, error });
    }
  }
}

async function hasIptables(command: string): Promise<boolean> {
  try {
    await realpath(`/usr/sbin/${command}-save`);
    return true;
  } catch {
    return false;
  }
}

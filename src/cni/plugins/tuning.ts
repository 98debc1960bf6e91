// The tuning plugin: kernel parameters of the container's network, and attributes of its interface, which are put back at DEL.
// What may be set can be bounded by /etc/cni/tuning/allowlist.conf, lines of regular expressions.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { failed, invalidConfig } from "../spec/cni-error.ts";
import type { CniResult } from "../spec/result.ts";
import { asObject, numberField, objectField, textField } from "./config-fields.ts";
import { gone, requirePreviousResult } from "./container-interface.ts";
import type { CniCall, CniEffects, CniPlugin } from "./plugin.ts";
import { requestedMac } from "./requested-addresses.ts";

interface TuningSettings {
  /** Paths below /proc/sys and their values. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly mac: string | undefined;
  readonly mtu: number | undefined;
  readonly queueLength: number | undefined;
  readonly promiscuous: boolean | undefined;
  readonly allMulticast: boolean | undefined;
}

interface TunedLink {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu?: number;
  readonly txqlen?: number;
  readonly promiscuity?: number;
  readonly flags?: readonly string[];
}

const allowlistFile = "/etc/cni/tuning/allowlist.conf";
const defaultDataDir = "/run/cni/tuning";
const longestPattern = 1000;

export const tuning: CniPlugin = {
  async add(call, effects) {
    const result = requirePreviousResult(call);
    const settings = await readSettings(call);
    await writeSysctls(call, effects, settings.sysctls);
    const changes = attributes(settings);
    if (changes.length === 0) return result;
    await remember(call, await linkOf(call, effects));
    await effects.ip({ netns: call.netns, commands: changes.map((change) => `link set dev ${call.ifName} ${change}`) });
    return settings.mac === undefined ? result : withMac(result, call, settings.mac);
  },
  async del(call, effects) {
    const file = memoryFile(call);
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) return;
    if (await effects.namespaceExists(call.netns)) {
      const before = attributes(JSON.parse(text) as TuningSettings); // written by remember()
      const commands = before.map((change) => ({ command: `link set dev ${call.ifName} ${change}`, unless: gone }));
      await effects.ip({ netns: call.netns, commands });
    }
    await rm(file, { force: true });
  },
  async check(call, effects) {
    requirePreviousResult(call);
    const settings = await readSettings(call);
    await checkSysctls(call, effects, settings.sysctls);
    checkAttributes(await linkOf(call, effects), settings);
  },
};

async function readSettings(call: CniCall): Promise<TuningSettings> {
  const { config } = call;
  const overrides = asObject(config.args?.cni ?? {}, "args.cni");
  const all = { ...config, ...overrides };
  const written = { ...objectField(config, "sysctl"), ...objectField(overrides, "sysctl") };
  await requireAllowed(Object.keys(written));
  const pairs = Object.entries(written).map(([key, value]) => {
    if (typeof value !== "string") throw invalidConfig(`sysctl: ${key}: expected a text`);
    return [sysctlPath(key, call.ifName), value];
  });
  return {
    sysctls: Object.fromEntries(pairs),
    mac: textField(overrides, "mac") ?? requestedMac(call),
    mtu: numberField(all, "mtu") || undefined,
    queueLength: numberField(all, "txQLen"),
    promiscuous: optionalFlag(all, "promisc") || undefined,
    allMulticast: optionalFlag(all, "allmulti"),
  };
}

function optionalFlag(fields: Readonly<Record<string, unknown>>, name: string): boolean | undefined {
  const value = fields[name];
  if (value === undefined || value === null || typeof value === "boolean") return value ?? undefined;
  throw invalidConfig(`${name}: expected true or false, not ${JSON.stringify(value)}`);
}

/** "net.ipv4.conf.IFNAME.arp_filter" → "net/ipv4/conf/eth0/arp_filter". */
export function sysctlPath(key: string, ifName: string): string {
  // An interface's name may have dots in it.
  const path = normalize(key.replaceAll(".", "/").replace("IFNAME", ifName));
  if (!path.startsWith("net/")) throw invalidConfig(`invalid net sysctl key: ${JSON.stringify(key)}`);
  return path;
}

async function requireAllowed(keys: readonly string[]): Promise<void> {
  const text = keys.length === 0 ? undefined : await readFile(allowlistFile, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const lines = text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim().slice(0, longestPattern)]));
  const refused = keys.find((key) => !lines.some((line) => new RegExp(line).test(key)));
  if (refused !== undefined) throw failed(`Sysctl ${refused} is not allowed. Only the following sysctls are allowed: [${lines.join(" ")}]`);
}

/** Pairs of files and values; stops at the first that cannot be written. */
const writeAll = 'while [ $# -gt 0 ]; do printf %s "$2" > "/proc/sys/$1" || exit 1; shift 2; done';
const readAll = 'for file; do cat "/proc/sys/$file" || exit 1; done';

async function writeSysctls({ netns }: CniCall, effects: CniEffects, sysctls: TuningSettings["sysctls"]): Promise<void> {
  const pairs = Object.entries(sysctls).flat();
  if (pairs.length > 0) await effects.run("sh", ["-c", writeAll, "sh", ...pairs], { netns });
}

async function checkSysctls({ netns }: CniCall, effects: CniEffects, sysctls: TuningSettings["sysctls"]): Promise<void> {
  for (const [path, value] of Object.entries(sysctls)) {
    const { stdout } = await effects.run("sh", ["-c", readAll, "sh", path], { netns });
    const present = stdout.replace(/\n$/, "");
    if (present !== value) throw failed(`Error: Tuning configured value of /proc/sys/${path} is ${value}, current value is ${present}`);
  }
}

/** As ends of `ip link set dev …`. */
function attributes(settings: Omit<TuningSettings, "sysctls">): readonly string[] {
  const { mac, mtu, queueLength, promiscuous, allMulticast } = settings;
  const word = (on: boolean): string => (on ? "on" : "off");
  return [
    ...(mac === undefined ? [] : [`address ${mac}`]),
    ...(promiscuous === undefined ? [] : [`promisc ${word(promiscuous)}`]),
    ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
    ...(allMulticast === undefined ? [] : [`allmulticast ${word(allMulticast)}`]),
    ...(queueLength === undefined ? [] : [`txqueuelen ${queueLength}`]),
  ];
}

function checkAttributes(link: TunedLink, { mac, mtu, queueLength, promiscuous, allMulticast }: TuningSettings): void {
  const differs = (what: string, wanted: unknown, is: unknown): never => {
    throw failed(`Error: Tuning configured ${what} of ${link.ifname} is ${wanted}, current value is ${is}`);
  };
  if (mac !== undefined && mac.toLowerCase() !== link.address) differs("Ethernet", mac, link.address);
  if ((promiscuous ?? false) !== (link.promiscuity ?? 0) > 0) differs("promisc", promiscuous ?? false, link.promiscuity);
  if (mtu !== undefined && mtu !== link.mtu) differs("MTU", mtu, link.mtu);
  if (queueLength !== undefined && queueLength !== link.txqlen) differs("Transmit Queue Length", queueLength, link.txqlen);
  const all = link.flags?.includes("ALLMULTI") ?? false;
  if (allMulticast !== undefined && allMulticast !== all) differs("all-multicast mode", allMulticast, all);
}

async function linkOf({ netns, ifName }: CniCall, effects: CniEffects): Promise<TunedLink> {
  const links = await effects.ipList<TunedLink>(["-details", "link", "show"], { netns });
  const link = links.find(({ ifname }) => ifname === ifName);
  if (!link) throw failed(`Cannot find container link ${ifName}`);
  return link;
}

function memoryFile({ config, containerId, ifName }: CniCall): string {
  return join(textField(config, "dataDir") ?? defaultDataDir, `${containerId}_${ifName}.json`);
}

/** What the interface was like; kept until DEL. */
async function remember(call: CniCall, { address, mtu, txqlen, promiscuity = 0, flags = [] }: TunedLink): Promise<void> {
  const changed = attributeNames(await readSettings(call));
  const before: Record<string, unknown> = {
    mac: address,
    mtu,
    queueLength: txqlen,
    promiscuous: promiscuity > 0,
    allMulticast: flags.includes("ALLMULTI"),
  };
  const file = memoryFile(call);
  await mkdir(join(file, ".."), { recursive: true, mode: 0o700 });
  await writeFile(file, JSON.stringify(Object.fromEntries(changed.map((name) => [name, before[name]]))), { mode: 0o600 });
}

const attributeNames = ({ sysctls: _apart, ...others }: TuningSettings): readonly string[] =>
  Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name]));

function withMac(result: CniResult, { ifName, netns }: CniCall, mac: string): CniResult {
  const interfaces = result.interfaces?.map((link) => (link.name === ifName && link.sandbox === netns ? { ...link, mac } : link));
  return { ...result, ...(interfaces ? { interfaces } : {}) };
}

// The flannel plugin: takes the node's range from the file flanneld writes, and has another plugin, by default bridge, make the
// interface. The configuration it made up is kept for DEL: flanneld's file may have changed by then.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { failed, invalidConfig } from "../spec/cni-error.ts";
import { familyOf, networkOf } from "./addresses.ts";
import { objectField, textField } from "./config-fields.ts";
import type { CniCall, CniPlugin, PluginConfig } from "./plugin.ts";

const defaultSubnetFile = "/run/flannel/subnet.env";
const defaultDataDir = "/var/lib/cni/flannel";

export interface FlannelSubnet {
  /** Of all nodes, one of each family at most. */
  readonly networks: readonly string[];
  readonly subnets: readonly string[];
  readonly mtu: number | undefined;
  /** Whether flanneld hides containers behind the node. */
  readonly masquerades: boolean;
}

export const flannel: CniPlugin = {
  async add(call, effects) {
    const file = textField(call.config, "subnetFile") ?? defaultSubnetFile;
    const text = await readFile(file, "utf8").catch((error: unknown) => {
      throw failed(
        `failed to load flannel 'subnet.env' file: ${(error as Error).message}. Check the flannel pod log for this node.`,
        error,
      );
    });
    const delegated = delegateConfig(call.config, parseSubnetFile(text, file));
    await remember(call, delegated);
    return effects.delegate("ADD", delegated.type, { ...call, config: delegated });
  },
  async del(call, effects) {
    const delegated = await recall(call);
    if (!delegated) return;
    const { prevResult } = call.config;
    await effects.delegate("DEL", delegated.type, { ...call, config: { ...delegated, ...(prevResult ? { prevResult } : {}) } });
    await rm(memoryFile(call), { force: true });
  },
  async check(call, effects) {
    const delegated = await recall(call);
    if (!delegated) throw failed(`flannel: container ${call.containerId} has not been attached`);
    const { prevResult } = call.config;
    await effects.delegate("CHECK", delegated.type, { ...call, config: { ...delegated, ...(prevResult ? { prevResult } : {}) } });
  },
  async status(call) {
    const file = textField(call.config, "subnetFile") ?? defaultSubnetFile;
    parseSubnetFile(await readFile(file, "utf8"), file);
  },
};

/** Lines of NAME=value. */
export function parseSubnetFile(text: string, file: string): FlannelSubnet {
  const values = new Map(
    text.split("\n").map((line) => [line.slice(0, line.indexOf("=")).trim(), line.slice(line.indexOf("=") + 1).trim()]),
  );
  const of = (...names: readonly string[]): readonly string[] =>
    names.flatMap((name) => values.get(name)?.split(",") ?? []).filter((value) => value !== "");
  const subnets = of("FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET");
  const networks = of("FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK");
  if (subnets.length === 0 || networks.length === 0) throw failed(`${file} is missing FLANNEL_NETWORK and FLANNEL_SUBNET`);
  const mtu = Number(values.get("FLANNEL_MTU"));
  return {
    networks,
    subnets,
    mtu: Number.isInteger(mtu) && mtu > 0 ? mtu : undefined,
    masquerades: values.get("FLANNEL_IPMASQ") === "true",
  };
}

/** What the other plugin is called with: what `delegate` says, completed from flanneld's file. */
export function delegateConfig(config: PluginConfig, subnet: FlannelSubnet): PluginConfig {
  const own = objectField(config, "delegate") ?? {};
  for (const field of ["name", "ipam"])
    if (own[field] !== undefined) throw invalidConfig(`'delegate' dictionary must not have '${field}' field, it'll be set by flannel`);
  const type = textField(own, "type") ?? "bridge";
  const { cniVersion, name, dns, runtimeConfig, args } = config;
  const bridge = type === "bridge" && own.isGateway === undefined ? { isGateway: true } : {};
  return {
    ipMasq: !subnet.masquerades,
    ...(subnet.mtu === undefined ? {} : { mtu: subnet.mtu }),
    ...bridge,
    ...own,
    ...{ cniVersion, name, type },
    ...(dns === undefined ? {} : { dns }),
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
    ...(args === undefined ? {} : { args }),
    ipam: ipamOf(objectField(config, "ipam") ?? {}, subnet),
  };
}

function ipamOf(own: Readonly<Record<string, unknown>>, { subnets, networks }: FlannelSubnet): NonNullable<PluginConfig["ipam"]> {
  const routes = Array.isArray(own.routes) ? own.routes : [];
  return {
    type: "host-local",
    ...own,
    // The host's address in a range is written in the file in the range's place.
    ranges: subnets.map((subnet) => [{ subnet: networkOf(subnet) }]),
    routes: [...routes, ...networks.filter((dst) => subnets.some((subnet) => familyOf(subnet) === familyOf(dst))).map((dst) => ({ dst }))],
  };
}

function memoryFile({ config, containerId, ifName }: CniCall): string {
  const directory = textField(config, "dataDir") ?? defaultDataDir;
  return join(directory, ifName === "eth0" ? containerId : `${containerId}-${ifName}`);
}

async function remember(call: CniCall, delegated: PluginConfig): Promise<void> {
  const file = memoryFile(call);
  await mkdir(join(file, ".."), { recursive: true, mode: 0o700 });
  await writeFile(file, JSON.stringify(delegated), { mode: 0o600 });
}

async function recall(call: CniCall): Promise<PluginConfig | undefined> {
  const text = await readFile(memoryFile(call), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as PluginConfig); // written by remember(), or upstream's plugin
}

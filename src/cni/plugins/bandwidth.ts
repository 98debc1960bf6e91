// The bandwidth plugin: what a container sends and receives is held to a rate, by token buckets on its interface of the host: what
// it receives there, what it sends on an IFB device that takes in what the interface gets. As upstream's, given by the capability
// `bandwidth`, in bits and bits per second.
import { createHash } from "node:crypto";
import { failed, invalidConfig } from "../spec/cni-error.ts";
import type { CniResult } from "../spec/result.ts";
import { numberField, objectField } from "./config-fields.ts";
import { findLink, gone, requirePreviousResult } from "./container-interface.ts";
import type { CniCall, CniEffects, CniPlugin } from "./plugin.ts";

interface Limit {
  readonly rate: number;
  readonly burst: number;
}

interface Bandwidth {
  /** To the container. */
  readonly ingress: Limit | undefined;
  /** From it. */
  readonly egress: Limit | undefined;
}

interface Listed {
  readonly ifname: string;
  readonly ifindex: number;
  readonly mtu?: number;
  readonly address?: string;
  readonly link_index?: number;
}

/** How long a packet may wait. */
const latencyMs = 25;
const maxBurstBytes = 2 ** 32 - 1;
const longestName = 15;

export const bandwidth: CniPlugin = {
  async add(call, effects) {
    const { ingress, egress } = readBandwidth(call);
    if (!ingress && !egress) return call.config.prevResult ?? {};
    const result = requirePreviousResult(call);
    const host = await hostInterface(call, effects, result);
    const ifb = ifbName(call);
    if (egress)
      await effects.ip({ commands: [`link add name ${ifb}${host.mtu ? ` mtu ${host.mtu}` : ""} type ifb`, `link set dev ${ifb} up`] });
    try {
      await effects.run("tc", ["-batch", "-"], { input: `${limitCommands(host.ifname, ifb, { ingress, egress }).join("\n")}\n` });
    } catch (error) {
      if (egress) await removeIfb(ifb, effects);
      throw error;
    }
    if (!egress) return result;
    const mac = (await findLink(ifb, effects))?.address;
    return { ...result, interfaces: [...(result.interfaces ?? []), { name: ifb, ...(mac === undefined ? {} : { mac }) }] };
  },
  async del(call, effects) {
    // The interface's own bucket vanishes with it.
    if (readBandwidth(call).egress) await removeIfb(ifbName(call), effects);
  },
  async check(call, effects) {
    const { ingress, egress } = readBandwidth(call);
    if (!ingress && !egress) return;
    const host = await hostInterface(call, effects, requirePreviousResult(call));
    if (ingress) await requireBucket(host.ifname, ingress, effects);
    if (egress) await requireBucket(ifbName(call), egress, effects);
  },
};

function readBandwidth({ config }: CniCall): Bandwidth {
  const own = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"].some((name) => config[name] !== undefined);
  const fields = own ? config : (objectField(config.runtimeConfig ?? {}, "bandwidth") ?? {});
  return { ingress: readLimit(fields, "ingress"), egress: readLimit(fields, "egress") };
}

function readLimit(fields: Readonly<Record<string, unknown>>, way: "ingress" | "egress"): Limit | undefined {
  const [rate = 0, burst = 0] = [`${way}Rate`, `${way}Burst`].map((name) => numberField(fields, name));
  if (rate > 0 && burst === 0) throw invalidConfig("if rate is set, burst must also be set");
  if (burst > 0 && rate === 0) throw invalidConfig("if burst is set, rate must also be set");
  return rate === 0 ? undefined : { rate, burst };
}

/** Commands of `tc`. */
export function limitCommands(host: string, ifb: string, { ingress, egress }: Bandwidth): readonly string[] {
  return [
    ...(ingress ? [bucket(host, ingress)] : []),
    ...(egress
      ? [
          `qdisc add dev ${host} handle ffff: ingress`,
          `filter add dev ${host} parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev ${ifb}`,
          bucket(ifb, egress),
        ]
      : []),
  ];
}

/** In bytes, at most what the kernel can count. */
const bucket = (device: string, { rate, burst }: Limit): string =>
  `qdisc add dev ${device} root handle 1: tbf rate ${rate}bit burst ${Math.min(maxBurstBytes, Math.max(1, Math.floor(burst / 8)))}b latency ${latencyMs}ms`;

function ifbName({ config, containerId }: CniCall): string {
  const prefix = "bwp";
  const hash = createHash("sha512").update(`${config.name}${containerId}`).digest("hex");
  return `${prefix}${hash.slice(0, longestName - prefix.length)}`;
}

async function removeIfb(name: string, effects: CniEffects): Promise<void> {
  await effects.ip({ commands: [{ command: `link delete dev ${name}`, unless: gone }] });
}

/** The other end of the container's link, which must be one that an earlier plugin of the chain has made. */
async function hostInterface({ netns, ifName }: CniCall, effects: CniEffects, { interfaces = [] }: CniResult): Promise<Listed> {
  const [inside, outside] = await Promise.all([
    effects.ipList<Listed>(["link", "show"], { netns }),
    effects.ipList<Listed>(["link", "show"]),
  ]);
  const peer = inside.find(({ ifname }) => ifname === ifName)?.link_index;
  if (peer === undefined) throw failed(`container interface ${ifName} has no veth peer`);
  const found = outside.find(({ ifindex }) => ifindex === peer);
  if (!found || !interfaces.some(({ name, sandbox }) => sandbox === undefined && name === found.ifname))
    throw failed("no veth peer of container interface found in host ns");
  return found;
}

async function requireBucket(device: string, { rate }: Limit, effects: CniEffects): Promise<void> {
  const { stdout } = await effects.run("tc", ["-json", "qdisc", "show", "dev", device, "root"]);
  const qdiscs = JSON.parse(stdout || "[]") as readonly { readonly kind?: string; readonly options?: { readonly rate?: number } }[]; // iproute2's form
  const found = qdiscs.find(({ kind }) => kind === "tbf");
  if (!found) throw failed(`Failed to find qdisc on ${device}`);
  // tc counts in bytes.
  if (found.options?.rate !== Math.floor(rate / 8)) throw failed(`Rate of ${device} doesn't match`);
}

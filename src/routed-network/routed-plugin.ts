// The CNI plugin of a routed pod network: runs in the node's process, which gives out addresses itself. Two short processes for a
// pod that comes (one on the host, one in the pod's namespace), one for a pod that goes.

import type { CniCall, CniEffects, CniPlugin } from "../cni/plugins/plugin.ts";
import { CniError, cniErrorCodes, failed } from "../cni/spec/cni-error.ts";
import type { CniResult } from "../cni/spec/result.ts";
import { podCableName, sandboxHandle } from "./names.ts";
import { AddressesExhaustedError, type AddressWish, type NodeIpam } from "./node-ipam.ts";
import {
  gatewayOfPods,
  gatewayOfPods6,
  hostCommands,
  hostMac,
  hostSysctls,
  isIPv6,
  type PodCable,
  podCommands,
  podSysctls,
  withLength,
} from "./pod-cable.ts";

export interface RoutedPluginDeps {
  readonly ipam: Pick<NodeIpam, "assign" | "release" | "addressesOf" | "handlesOf">;
  readonly nodeName: string;
  /** With which the names of the host's ends begin. */
  readonly cablePrefix: string;
  /** Of a pod of this node; empty where it is gone. */
  readonly annotationsOf: (namespace: string, name: string, signal: AbortSignal) => Promise<Readonly<Record<string, string>>>;
  /** "2026-01-31 12:00:00 UTC". */
  readonly now: () => string;
  /** A pod did not get an address. */
  readonly exhausted: (error: AddressesExhaustedError) => void;
}

const gone = /Cannot find device|does not exist|No such device/;

export function createRoutedPlugin(deps: RoutedPluginDeps): CniPlugin {
  return {
    add: (call, effects) => add(call, effects, deps),
    async del(call, effects) {
      const { ipam, cablePrefix } = deps;
      const host = podCableName(cablePrefix, call.containerId, call.ifName);
      await effects.ip({ commands: [{ command: `link delete dev ${host}`, unless: gone }] });
      // Only when nothing leads to the pod any more may another one have its address.
      await ipam.release(handleOf(call), effects.signal);
    },
    async check(call, effects) {
      const { ipam, cablePrefix } = deps;
      const own = new Set(ipam.addressesOf(handleOf(call)).map(({ address }) => withLength(address)));
      const lost = (call.config.prevResult?.ips ?? []).find(({ address }) => !own.has(address));
      if (lost) throw failed(`the address ${lost.address} is not this container's any more`);
      const host = podCableName(cablePrefix, call.containerId, call.ifName);
      const routes = (await effects.ipList<{ readonly dst: string }>(["route", "show", "dev", host])).map(({ dst }) => dst);
      const unrouted = [...own].find((address) => !isIPv6(address) && !routes.includes(address.replace(/\/32$/, "")));
      if (unrouted !== undefined) throw failed(`there is no route to ${unrouted} by ${host}`);
    },
    async gc(call, effects) {
      const valid = new Set(
        (call.config["cni.dev/valid-attachments"] ?? []).map(({ containerID }) => sandboxHandle(call.config.name, containerID)),
      );
      for (const handle of deps.ipam.handlesOf(`${call.config.name}.`))
        if (!valid.has(handle)) await deps.ipam.release(handle, effects.signal);
    },
  };
}

const handleOf = ({ config, containerId }: CniCall): string => sandboxHandle(config.name, containerId);

async function add(call: CniCall, effects: CniEffects, deps: RoutedPluginDeps): Promise<CniResult> {
  const addresses = await assign(call, effects, deps);
  const [, second = 0, ...rest] = effects.randomBytes(6);
  const cable: PodCable = {
    host: podCableName(deps.cablePrefix, call.containerId, call.ifName),
    ...{ interface: call.ifName, netns: call.netns, addresses, mtu: mtuOf(call) },
    mac: [0x02, second, ...rest].map((byte) => byte.toString(16).padStart(2, "0")).join(":"),
  };
  try {
    await effects.ip({ commands: hostCommands(cable) });
    await effects.sysctl(hostSysctls(cable));
    await effects.ip({ netns: call.netns, commands: podCommands(cable), sysctls: podSysctls(cable) });
  } catch (error) {
    await effects.ip({ commands: [{ command: `link delete dev ${cable.host}`, unless: gone }] });
    await deps.ipam.release(handleOf(call));
    throw error;
  }
  return {
    interfaces: [
      { name: cable.host, mac: hostMac },
      { name: cable.interface, mac: cable.mac, sandbox: call.netns },
    ],
    ips: addresses.map((address) => ({ address: withLength(address), interface: 1 })),
    routes: addresses.map((address) => (isIPv6(address) ? { dst: "::/0", gw: gatewayOfPods6 } : { dst: "0.0.0.0/0", gw: gatewayOfPods })),
  };
}

async function assign(call: CniCall, effects: CniEffects, deps: RoutedPluginDeps): Promise<readonly string[]> {
  const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: pod } = call.args;
  const about = namespace !== undefined && pod !== undefined ? { namespace, pod } : undefined;
  const annotations = about ? await deps.annotationsOf(about.namespace, about.pod, effects.signal) : {};
  const wish: AddressWish = {
    ...{ handleId: handleOf(call), use: "pod", families: familiesOf(call) },
    secondary: { ...about, timestamp: deps.now() },
    ...wishesOf(annotations),
  };
  try {
    return (await deps.ipam.assign(wish, effects.signal)).map(({ address }) => address);
  } catch (error) {
    if (!(error instanceof AddressesExhaustedError)) throw error;
    deps.exhausted(error);
    throw new CniError(cniErrorCodes.tryAgainLater, error.message, { cause: error });
  }
}

/** What a pod asks for, by Calico's annotations. Throws where they are not what they should be. */
function wishesOf(annotations: Readonly<Record<string, string>>): Pick<AddressWish, "named" | "addresses"> {
  const listOf = (name: string): readonly string[] | undefined => {
    const text = annotations[`cni.projectcalico.org/${name}`];
    if (text === undefined) return undefined;
    try {
      const list: unknown = JSON.parse(text);
      if (Array.isArray(list) && list.every((each) => typeof each === "string")) return list;
    } catch {
      // told below
    }
    throw failed(`the pod's annotation cni.projectcalico.org/${name} is no list of texts, such as ["one"]`);
  };
  const [four, six] = [listOf("ipv4pools"), listOf("ipv6pools")];
  const named = new Map([...(four ? [[4, four] as const] : []), ...(six ? [[6, six] as const] : [])]);
  const addresses = listOf("ipAddrs");
  return { ...(named.size > 0 ? { named } : {}), ...(addresses ? { addresses } : {}) };
}

function familiesOf({ config }: CniCall): readonly (4 | 6)[] {
  const { families } = config;
  const known = Array.isArray(families) ? families.filter((each) => each === 4 || each === 6) : [4 as const];
  if (known.length === 0) throw failed("families: expected 4, 6 or both");
  return known;
}

function mtuOf({ config: { mtu } }: CniCall): number {
  if (typeof mtu !== "number" || mtu < 576) throw failed(`mtu: expected a number from 576, not ${JSON.stringify(mtu)}`);
  return mtu;
}

// How packets of pods are told from others: by their source in the cluster's or the node's pod range, or by the interface they
// come in through. Becomes a match of packet rules, one for "from a pod" and one for "not from a pod".
import { parseCIDR } from "../api/meta/ip.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";

export type DetectLocal =
  | { readonly mode: "ClusterCIDR"; readonly clusterCidrs: readonly string[] }
  | { readonly mode: "NodeCIDR" }
  | { readonly mode: "BridgeInterface"; readonly interface: string }
  | { readonly mode: "InterfaceNamePrefix"; readonly prefix: string };

export interface LocalMatch {
  readonly fromPods: string;
  readonly notFromPods: string;
}

/** Undefined where nobody can tell. `podCidrs`: the node's. */
export function localMatch(detect: DetectLocal, family: IpFamily, podCidrs: readonly string[]): LocalMatch | undefined {
  switch (detect.mode) {
    case "ClusterCIDR":
      return bySource(detect.clusterCidrs, family);
    case "NodeCIDR":
      return bySource(podCidrs, family);
    case "BridgeInterface":
      return byInterface(detect.interface);
    case "InterfaceNamePrefix":
      return byInterface(`${detect.prefix}*`);
  }
}

function bySource(cidrs: readonly string[], family: IpFamily): LocalMatch | undefined {
  const length = family === "IPv4" ? 4 : 16;
  const cidr = cidrs.flatMap((text) => parseCIDR(text) ?? []).find(({ network }) => network.length === length);
  if (!cidr) return undefined;
  const ip = family === "IPv4" ? "ip" : "ip6";
  return { fromPods: `${ip} saddr ${cidr.canonical}`, notFromPods: `${ip} saddr != ${cidr.canonical}` };
}

const byInterface = (name: string): LocalMatch => ({ fromPods: `iifname "${name}"`, notFromPods: `iifname != "${name}"` });

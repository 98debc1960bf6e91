// The resolver configuration of a pod (RunPodSandbox hands it to the runtime, which writes /etc/resolv.conf): by dnsPolicy
// from the cluster's DNS service or from the node, then dnsConfig, then the limits of the C library.
import type { Pod } from "../../api/types/core-v1.ts";
import type { ResolverConfig } from "../../base/resolv-conf.ts";

export interface ClusterDns {
  /** Addresses of the cluster's DNS service; none when there is none. */
  readonly servers: readonly string[];
  /** "cluster.local". */
  readonly domain: string;
}

const maxServers = 3;
const maxSearches = 32;
const maxSearchCharacters = 2048;
const maxSearchLength = 253;

/** Whether the pod wants the cluster's DNS and cannot have it. */
export function missesClusterDns(pod: Pod, cluster: ClusterDns): boolean {
  return cluster.servers.length === 0 && wantsCluster(pod);
}

export const missingClusterDnsMessage =
  'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.';

/** `onLimit` is told what had to be left out. */
export function podResolver(
  pod: Pod,
  cluster: ClusterDns,
  node: ResolverConfig,
  onLimit: (message: string) => void = () => undefined,
): ResolverConfig {
  const base = baseResolver(pod, cluster, node);
  const extra = pod.spec.dnsConfig;
  const options = new Map(base.options.map((o) => [o.split(":")[0] as string, o]));
  for (const { name = "", value } of extra?.options ?? []) options.set(name, value === undefined ? name : `${name}:${value}`);
  const allServers = [...new Set([...base.servers, ...(extra?.nameservers ?? [])])];
  const servers = allServers.slice(0, maxServers);
  if (servers.length < allServers.length)
    onLimit(`Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(" ")}`);
  const allSearches = [...new Set([...base.searches, ...(extra?.searches ?? [])])];
  const searches = fitSearches(allSearches);
  if (searches.length < allSearches.length)
    onLimit(`Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(" ")}`);
  return { servers, searches, options: [...options.values()] };
}

function wantsCluster(pod: Pod): boolean {
  const policy = pod.spec.dnsPolicy ?? "ClusterFirst";
  return policy === "ClusterFirstWithHostNet" || (policy === "ClusterFirst" && pod.spec.hostNetwork !== true);
}

function baseResolver(pod: Pod, cluster: ClusterDns, node: ResolverConfig): ResolverConfig {
  if (pod.spec.dnsPolicy === "None") return { servers: [], searches: [], options: [] };
  if (!wantsCluster(pod) || cluster.servers.length === 0) return node;
  const { namespace } = pod.metadata;
  const own = cluster.domain ? [`${namespace}.svc.${cluster.domain}`, `svc.${cluster.domain}`, cluster.domain] : [];
  return { servers: cluster.servers, searches: [...own, ...node.searches], options: ["ndots:5"] };
}

function fitSearches(searches: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let characters = 0;
  for (const search of searches.slice(0, maxSearches)) {
    // Some resolvers abort on longer ones.
    if (search.length > maxSearchLength) continue;
    characters += search.length + (kept.length > 0 ? 1 : 0);
    if (characters > maxSearchCharacters) break;
    kept.push(search);
  }
  return kept;
}

// /etc/hosts of a pod: written by the kubelet and mounted into each container that does not mount its own there.
import type { HostAlias, Pod } from "../../api/types/core-v1.ts";

export interface PodHostname {
  readonly hostname: string;
  /** "sub.ns.svc.cluster.local", or "". */
  readonly domain: string;
}

const maxHostname = 63;

export function podHostname(pod: Pod, clusterDomain: string): PodHostname {
  const { hostname, hostnameOverride, subdomain } = pod.spec;
  if (hostnameOverride !== undefined) return { hostname: cut(hostnameOverride), domain: "" };
  const domain = subdomain ? `${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}` : "";
  return { hostname: cut(hostname || pod.metadata.name), domain };
}

/** The kernel's limit; what is left must not end with a separator. */
function cut(hostname: string): string {
  return hostname.length <= maxHostname ? hostname : hostname.slice(0, maxHostname).replace(/[-.]+$/, "");
}

const maxKernelHostname = 64;

/** What the kernel is told in the pod: with the domain where the pod asks for it. Throws where that is too long. */
export function kernelHostname({ hostname, domain }: PodHostname, asFqdn: boolean | undefined): string {
  if (!asFqdn || domain === "") return hostname;
  const full = `${hostname}.${domain}`;
  if (full.length <= maxKernelHostname) return full;
  throw new Error(
    `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long (${maxKernelHostname} characters is the max, ${full.length} characters requested)`,
  );
}

export function hostsFile(ips: readonly string[], { hostname, domain }: PodHostname, aliases: readonly HostAlias[] = []): string {
  const names = domain === "" ? hostname : `${hostname}.${domain}\t${hostname}`;
  return [
    "# Kubernetes-managed hosts file.",
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
    ...ips.map((ip) => `${ip}\t${names}`),
    aliasEntries(aliases),
  ].join("\n");
}

/** For pods in the node's network: the node's own file and the aliases. */
export function nodeHostsFile(nodeFile: string, aliases: readonly HostAlias[] = []): string {
  return `# Kubernetes-managed hosts file (host network).\n${nodeFile}${aliasEntries(aliases)}`;
}

function aliasEntries(aliases: readonly HostAlias[]): string {
  if (aliases.length === 0) return "";
  const lines = aliases.map((a) => `${a.ip}\t${(a.hostnames ?? []).join("\t")}\n`);
  return `\n# Entries added by HostAliases.\n${lines.join("")}`;
}

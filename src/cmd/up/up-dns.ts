// What `coracle up` has to do with the cluster's DNS: its flags, the address that pods are told, and who serves it.
import { addressInRange, parseCIDR } from "../../api/meta/ip.ts";
import { flag, oneOf, text } from "../../base/flags.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { CommandError } from "../command-error.ts";
import { serverList, stubDomains } from "../network/dns-upstreams.ts";
import type { StartDnsDeps } from "../network/start-dns.ts";

export const upDnsFlags = {
  dns: flag(
    oneOf("built-in", "external", "none"),
    "built-in",
    "who answers the cluster's names: this process, a DNS of your own behind the Service kube-dns, or nobody (pods ask the node's resolvers)",
  ),
  "cluster-domain": flag(text, "cluster.local", "domain of the cluster's services"),
  "dns-upstream": flag(serverList, [], "resolvers that the built-in DNS asks for names outside; default those of /etc/resolv.conf"),
  "dns-stub-domain": flag(stubDomains, new Map(), "resolvers that it asks for single domains"),
};

export interface UpDnsValues {
  readonly dns: "built-in" | "external" | "none";
  readonly "cluster-domain": string;
  readonly "dns-upstream": ReturnType<typeof serverList.parse>;
  readonly "dns-stub-domain": ReturnType<typeof stubDomains.parse>;
  readonly "service-cluster-ip-range": string;
  readonly "cluster-cidr": readonly string[];
}

/** Of two families the first is the one that services have unless they ask for another. */
const firstServiceRange = (values: UpDnsValues): string => values["service-cluster-ip-range"].split(",")[0] ?? "";

/** The tenth address of the services' range, as everywhere. */
function dnsAddress(values: UpDnsValues): string {
  const range = parseCIDR(firstServiceRange(values));
  const address = range && addressInRange(range, 10);
  if (address === undefined)
    throw new CommandError(`--service-cluster-ip-range ${values["service-cluster-ip-range"]}: no room for the DNS service`);
  return address;
}

/** What the kubelets tell pods. */
export function kubeletDnsOf(values: UpDnsValues): { readonly clusterDns: readonly string[]; readonly clusterDomain: string } {
  return { clusterDns: values.dns === "none" ? [] : [dnsAddress(values)], clusterDomain: values["cluster-domain"] };
}

export async function startClusterDns(values: UpDnsValues, deps: StartDnsDeps): Promise<Running> {
  if (values.dns !== "built-in") return new StopStack();
  const { startDns } = await import("../network/start-dns.ts");
  const upstreams = values["dns-upstream"];
  return startDns(
    { ...deps, logger: deps.logger.named("dns") },
    {
      clusterIP: dnsAddress(values),
      domain: values["cluster-domain"],
      serviceRange: firstServiceRange(values),
      clusterCidrs: values["cluster-cidr"],
      stubDomains: values["dns-stub-domain"],
      ...(upstreams.length > 0 ? { upstreams } : {}),
    },
  );
}

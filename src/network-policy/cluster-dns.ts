// The cluster's DNS that is no pod: the process of `coracle up` that stands where upstream's clusters have pods of CoreDNS. Policies
// of egress count for it as for those: what allows pods labelled k8s-app: kube-dns of kube-system, or everybody, or the address
// of the service, on port 53, allows it. Its packets are known by the address that was asked for, whatever that was translated to.
import { cidrContains, parseIP } from "../api/meta/ip.ts";
import type { PodView, Protocol } from "./pod-view.ts";
import { type ClusterView, selectsPod } from "./policy-rules.ts";
import type { PolicyRule, PolicyView } from "./policy-view.ts";

export const dnsNamespace = "kube-system";

export const dnsProtocols = ["udp", "tcp"] as const satisfies readonly Protocol[];

const dnsPort = 53;

/** The pod that it would be. */
const dnsPod: PodView = {
  key: `${dnsNamespace}/kube-dns`,
  namespace: dnsNamespace,
  labels: { "k8s-app": "kube-dns" },
  addresses: [],
  namedPorts: [
    { name: "dns", protocol: "udp", port: dnsPort },
    { name: "dns-tcp", protocol: "tcp", port: dnsPort },
  ],
  isLocal: false,
  isEnding: false,
};

/** Whether a policy lets its pods ask the DNS at these addresses over the protocol. */
export function allowsDns(
  policy: PolicyView,
  protocol: Protocol,
  at: { readonly addresses: readonly string[]; readonly cluster: ClusterView },
): boolean {
  return (policy.rules.get("egress") ?? []).some((rule) => allowsPeer(rule, at) && allowsPort(rule, protocol));
}

function allowsPeer(
  { peers }: PolicyRule,
  { addresses, cluster }: { readonly addresses: readonly string[]; readonly cluster: ClusterView },
): boolean {
  if (!peers || peers.pods.some((peer) => selectsPod(peer, dnsPod, cluster))) return true;
  return addresses.some((address) => {
    const ip = parseIP(address);
    return (
      ip !== undefined && peers.blocks.some(({ block, except }) => cidrContains(block, ip) && !except.some((one) => cidrContains(one, ip)))
    );
  });
}

function allowsPort({ ports }: PolicyRule, protocol: Protocol): boolean {
  if (!ports) return true;
  const ranges = ports.numbered.get(protocol);
  if (ranges === "all" || ranges?.some(({ first, last }) => first <= dnsPort && dnsPort <= last)) return true;
  return ports.named.some((named) =>
    dnsPod.namedPorts.some(({ name, protocol: of }) => name === named.name && of === named.protocol && of === protocol),
  );
}

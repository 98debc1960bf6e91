// What `coracle up` starts once for a cluster's network besides the nodes: its DNS, its load balancers and its ingress; and what
// the nodes are told of them.
import { isStatus } from "../../api/meta/status-error.ts";
import { servicecidrs } from "../../api/resources.generated.ts";
import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { ClusterNetwork } from "../../node-network/cluster-network.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import { CommandError } from "../command-error.ts";
import { type ComponentRules, grantComponentRoles } from "./component-roles.ts";
import { kubeletDnsOf, startClusterDns, type UpDnsValues, upDnsFlags } from "./up-dns.ts";
import { startIngress, type UpIngressValues, upIngressFlags } from "./up-ingress.ts";
import { loadBalancerRanges, startLoadBalancers, type UpLoadBalancerValues, upLoadBalancerFlags } from "./up-load-balancer.ts";

export const upNetworkFlags = { ...upDnsFlags, ...upLoadBalancerFlags, ...upIngressFlags };

export type UpNetworkValues = UpDnsValues & UpLoadBalancerValues & UpIngressValues & { readonly nodes: number; readonly v: number };

/** What every node is told. Throws for flags that cannot be. */
export function networkOfNodes(values: UpNetworkValues): Pick<ClusterNetwork, "clusterDns" | "clusterDomain" | "loadBalancerPool"> {
  return { ...kubeletDnsOf(values), loadBalancerPool: loadBalancerRanges(values) };
}

/**
 * Throws CommandError where the services of the cluster have addresses of another range than --service-cluster-ip-range says: pods
 * would be told of a DNS that is not there.
 */
export async function requireSameServiceRange(server: RunningApiServer, range: string): Promise<void> {
  const found = await administratorOf(server)
    .get(servicecidrs, { name: "kubernetes" })
    .catch((error: unknown) => {
      if (isStatus(error, "NotFound")) return undefined; // not served: --runtime-config
      throw error;
    });
  const cidrs = found?.spec?.cidrs ?? [];
  if (cidrs.length === 0 || cidrs[0] === range.split(",")[0]) return;
  throw new CommandError(
    `--service-cluster-ip-range ${range}: the services of this cluster have addresses of ${cidrs.join()}; give that range, or another --data-dir`,
  );
}

export interface NetworkPartsDeps {
  readonly server: RunningApiServer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Says what came up. */
  readonly announce: (what: string) => void;
}

/** After the nodes, which are ready without it. `choice`: the runtime of the nodes. */
export async function startNetworkParts(values: UpNetworkValues, choice: string, deps: NetworkPartsDeps): Promise<Running> {
  const { server, clock, logger, announce } = deps;
  const stack = new StopStack();
  try {
    const sharesMachine = values.nodes > 0 && choice !== "simulated";
    stack.add(await startLoadBalancers(values, { client: await partClient(server, "load-balancer"), clock, logger }, { sharesMachine }));
    stack.add(await startClusterDns(values, { client: await partClient(server, "dns"), clock, logger }));
    const forIngress = { administrator: administratorOf(server), server, verbosity: values.v };
    stack.add(await startIngress(values, { client: await partClient(server, "ingress"), clock, logger }, forIngress));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  if (values.dns === "built-in") announce(`DNS at ${kubeletDnsOf(values).clusterDns.join()}`);
  return stack;
}

const reading = (apiGroup: string, ...resources: readonly string[]): PolicyRule => ({
  apiGroups: [apiGroup],
  resources,
  verbs: ["get", "list", "watch"],
});
const changes = ["create", "update", "patch", "delete"];

const partRules: Readonly<Record<"dns" | "load-balancer" | "ingress", ComponentRules>> = {
  dns: {
    everywhere: [reading("", "services", "namespaces", "nodes"), reading("discovery.k8s.io", "endpointslices")],
    within: {
      "kube-system": [
        { apiGroups: [""], resources: ["services"], verbs: ["create"] },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: changes },
      ],
    },
  },
  "load-balancer": {
    everywhere: [
      reading("", "services", "nodes"),
      reading("discovery.k8s.io", "endpointslices"),
      { apiGroups: [""], resources: ["services", "services/status"], verbs: ["update", "patch"] },
      { apiGroups: [""], resources: ["events"], verbs: ["create", "patch", "update"] },
    ],
  },
  ingress: {
    everywhere: [
      reading("networking.k8s.io", "ingresses", "ingressclasses"),
      reading("gateway.networking.k8s.io", "gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants"),
      reading("apiextensions.k8s.io", "customresourcedefinitions"),
      reading("discovery.k8s.io", "endpointslices"),
      reading("", "services", "nodes", "secrets", "namespaces"),
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses/status"], verbs: ["update", "patch"] },
      {
        apiGroups: ["gateway.networking.k8s.io"],
        resources: ["gatewayclasses/status", "gateways/status", "httproutes/status", "grpcroutes/status"],
        verbs: ["update", "patch"],
      },
      { apiGroups: [""], resources: ["events"], verbs: ["create", "patch", "update"] },
    ],
  },
};

const administratorOf = (server: RunningApiServer): Client =>
  server.clientFor({ name: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] });

/** For parts that upstream does not have, with roles of their own. */
async function partClient(server: RunningApiServer, part: keyof typeof partRules): Promise<Client> {
  const name = `system:coracle:${part}`;
  await grantComponentRoles(administratorOf(server), name, partRules[part]);
  return server.clientFor({ name, groups: ["system:authenticated"] });
}

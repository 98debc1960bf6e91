// Network policies on the node of a test network: the enforcer with a small API in memory, where pods, namespaces and policies
// are written as a cluster's users and kubelets would, and the kernel of the node's own namespace.
import type { New } from "../../src/api/meta/object.ts";
import { namespaces, networkpolicies, pods } from "../../src/api/resources.generated.ts";
import type { Pod } from "../../src/api/types/core-v1.ts";
import type { NetworkPolicy, NetworkPolicySpec } from "../../src/api/types/networking-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { MetricsRegistry } from "../../src/base/metrics.ts";
import { createClient } from "../../src/client/create-client.ts";
import type { Nftables } from "../../src/linux/nftables.ts";
import { NetworkPolicyEnforcer } from "../../src/network-policy/network-policy-enforcer.ts";
import { createNetworkPolicyMetrics } from "../../src/network-policy/network-policy-metrics.ts";
import { createFakeApi } from "../../src/testing/fake-api.ts";
import { addresses, addresses6, type TestNetwork } from "../proxy/test-network.ts";

export const tableName = "network-policy-test";

export interface PodFields {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly protocol?: string }[];
}

const podNames = ["pod1", "pod2", "pod3"] as const;

export type PodName = (typeof podNames)[number];

export class PolicyNode {
  readonly client = createClient(createFakeApi(realClock));
  readonly #network: TestNetwork;
  readonly #enforcer: NetworkPolicyEnforcer;

  /** What the kernel has not taken. */
  readonly refused: unknown[] = [];

  constructor(network: TestNetwork) {
    this.#network = network;
    const kernel = network.nftables;
    const nftables: Nftables = {
      ...kernel,
      apply: (commands) =>
        kernel.apply(commands).catch((error: unknown) => {
          this.refused.push(error);
          throw error;
        }),
    };
    this.#enforcer = new NetworkPolicyEnforcer(
      {
        ...{ client: this.client, clock: realClock, logger: silentLogger, nftables },
        ...{ metrics: createNetworkPolicyMetrics(new MetricsRegistry()), enableBridgeFilter: async () => true },
      },
      {
        nodeName: "node",
        tableName,
        bridge: "br0",
        clusterCidrs: ["10.244.0.0/16", "fd44::/16"],
        dnsAddresses: ["10.96.0.10", "10.96.0.11"],
        minSyncPeriodMs: 20,
      },
    );
  }

  start(): void {
    this.#enforcer.start();
  }

  stop(): Promise<void> {
    return this.#enforcer.stop();
  }

  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.client.create(namespaces, { metadata: { name, labels }, spec: {} });
  }

  /** As the kubelet reports one that runs. */
  async pod(name: PodName, { namespace = "default", labels = {}, node = "node", ports = [] }: PodFields = {}): Promise<void> {
    const ips = [addresses[name], addresses6[name]];
    const pod = {
      metadata: { namespace, name, labels },
      spec: { nodeName: node, containers: [{ name: "main", image: "x", ports }] },
      status: { phase: "Running", podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
    };
    const created = await this.client.create(pods, pod as unknown as New<Pod>); // as far as policies look at it
    await this.client.updateStatus(pods, { ...created, status: pod.status } as Pod);
  }

  async removePod(name: PodName, namespace = "default"): Promise<void> {
    await this.client.delete(pods, { namespace, name }, { body: { gracePeriodSeconds: 0 } });
  }

  async policy(name: string, spec: NetworkPolicySpec, namespace = "default"): Promise<void> {
    await this.client.create(networkpolicies, { metadata: { namespace, name }, spec } as New<NetworkPolicy>);
  }

  /** Away with policies, or with one of them. */
  async removePolicies(...names: readonly string[]): Promise<void> {
    for (const { metadata } of (await this.client.list(networkpolicies)).items)
      if (names.length === 0 || names.includes(metadata.name))
        await this.client.delete(networkpolicies, { namespace: metadata.namespace ?? "", name: metadata.name });
  }

  async hasTable(): Promise<boolean> {
    return (await this.#network.nftables.tableNames("inet", tableName)) !== undefined;
  }
}

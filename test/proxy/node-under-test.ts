// The proxy's rules on the node of a test network, without an API server: services and endpoints are given as values.
import type { Service, ServicePort, ServiceSpec, ServiceStatus } from "../../src/api/types/core-v1.ts";
import type { Endpoint, EndpointSlice } from "../../src/api/types/discovery-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { MetricsRegistry } from "../../src/base/metrics.ts";
import type { IpFamily } from "../../src/linux/packet-rules/rule-set.ts";
import { localMatch } from "../../src/proxy/detect-local.ts";
import type { FamilyFacts } from "../../src/proxy/family-facts.ts";
import { FamilyProxy } from "../../src/proxy/family-proxy.ts";
import { FlowCleaner } from "../../src/proxy/flow-cleaner.ts";
import { ProxyMetrics } from "../../src/proxy/proxy-metrics.ts";
import { addresses, addresses6, type TestNetwork } from "./test-network.ts";

const nodeName = "node-1";
export const tableName = "kube-proxy";

export type Backend = readonly [address: string, port: number, more?: Partial<Endpoint>];

export interface ServiceFields extends Partial<Omit<ServiceSpec, "ports">> {
  readonly ports?: readonly Partial<ServicePort>[];
  readonly status?: ServiceStatus;
}

export function service(name: string, { ports = [{}], status, ...spec }: ServiceFields): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default", uid: name },
    spec: { type: "ClusterIP", clusterIPs: [spec.clusterIP ?? ""], ports: ports.map((port) => ({ port: 80, ...port })), ...spec },
    ...(status ? { status } : {}),
  } as unknown as Service; // as far as the rules look at it
}

/** A slice of one port; endpoints are on the node under test where their addresses are. */
export function slice(
  name: string,
  backends: readonly Backend[],
  { portName = "", protocol = "TCP" as "TCP" | "UDP" } = {},
): EndpointSlice {
  const addressType = backends[0]?.[0].includes(":") ? "IPv6" : "IPv4";
  const local: readonly string[] = [addresses.pod1, addresses.pod2, addresses.node, addresses6.pod1, addresses6.pod2, addresses6.node];
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace: "default", uid: name },
    addressType,
    ports: [{ name: portName, protocol, port: backends[0]?.[1] ?? 0 }],
    endpoints: backends.map(([address, , more]) => ({
      addresses: [address],
      nodeName: local.includes(address) ? nodeName : "node-2",
      ...more,
    })),
  } as unknown as EndpointSlice; // as far as the rules look at it
}

export class NodeUnderTest {
  readonly #network: TestNetwork;
  readonly #families: ReadonlyMap<IpFamily, { readonly proxy: FamilyProxy; readonly facts: FamilyFacts }>;
  readonly #flows: FlowCleaner;

  constructor(network: TestNetwork, facts: Partial<FamilyFacts> = {}) {
    this.#network = network;
    const deps = { nftables: network.nftables, clock: realClock, logger: silentLogger };
    const metrics = new ProxyMetrics(new MetricsRegistry());
    this.#flows = new FlowCleaner({ ...deps, conntrack: network.conntrack, metrics });
    const families = (["IPv4", "IPv6"] as const).map((family) => {
      const all: FamilyFacts = { ...factsOf(family), ...facts };
      const proxy = new FamilyProxy(deps, family, tableName);
      proxy.setBase(all);
      return [family, { proxy, facts: all }] as const;
    });
    this.#families = new Map(families);
  }

  /** Gives the node a service, or takes it away, and writes the rules. Resolves with how the table of IPv4 was written. */
  async set(name: string, fields: ServiceFields | undefined, ...slices: readonly EndpointSlice[]): Promise<string> {
    const kinds: string[] = [];
    for (const [family, { proxy, facts }] of this.#families) {
      proxy.setService(`default/${name}`, fields && service(name, fields), slices, facts);
      kinds.push((await proxy.write()).kind);
      await this.#flows.clean(family, proxy.takeStaleUdp());
    }
    return kinds[0] ?? "";
  }

  proxy(family: IpFamily): FamilyProxy {
    const found = this.#families.get(family);
    if (!found) throw new Error(family);
    return found.proxy;
  }

  facts(family: IpFamily): FamilyFacts {
    const found = this.#families.get(family);
    if (!found) throw new Error(family);
    return found.facts;
  }

  /** The table as nft prints it. */
  table(family: "ip" | "ip6" = "ip"): Promise<string> {
    return this.#network.exec("node", "nft", "list", "table", family, tableName);
  }
}

function factsOf(family: IpFamily): FamilyFacts {
  const match = localMatch({ mode: "ClusterCIDR", clusterCidrs: ["10.244.0.0/16", "fd44::/16"] }, family, []);
  const node = family === "IPv4" ? addresses.node : addresses6.node;
  return {
    ...{ family, nodeName, zone: "zone-a", nodeIP: node, nodePortAddresses: [node] },
    ...{ masqueradeMark: 0x4000, masqueradeAll: false, sharesChoice: true },
    fromPods: match?.fromPods,
    notFromPods: match?.notFromPods,
    serviceCidrs: [family === "IPv4" ? "10.96.0.0/16" : "fd96::/64"],
  };
}

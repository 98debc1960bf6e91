// What is counted about the allocation of cluster IPs and node ports, under upstream's metric names; read off the pools when it is
// scraped.
import type { Family, MetricsRegistry, Series } from "../../base/metrics.ts";
import type { NumberPool } from "./number-pool.ts";

export interface AllocatorPools {
  readonly addresses: () => Iterable<{ readonly text: string; readonly pool: NumberPool }>;
  readonly ports: NumberPool;
}

const scopes = ["dynamic", "static"] as const;

export function registerAllocatorMetrics(metrics: MetricsRegistry, { addresses, ports }: AllocatorPools): void {
  const ofAddresses = families(metrics, { prefix: "kube_apiserver_clusterip_allocator", things: "ips", one: "Cluster IP", many: "IPs" });
  const ofPorts = families(metrics, { prefix: "kube_apiserver_nodeport_allocator", things: "ports", one: "NodePort", many: "NodePorts" });
  metrics.beforeScrape(() => {
    ofAddresses.reset();
    ofPorts.reset();
    for (const { text, pool } of addresses()) ofAddresses.write(pool, [text]);
    ofPorts.write(ports, []);
  });
}

interface Words {
  readonly prefix: string;
  /** In names. */
  readonly things: string;
  readonly one: string;
  readonly many: string;
}

function families(metrics: MetricsRegistry, { prefix, things, one, many }: Words) {
  const labels = things === "ips" ? ["cidr"] : [];
  const gauge = (state: string) =>
    metrics.gauge(`${prefix}_${state}_${things}`, `[ALPHA] Gauge measuring the number of ${state} ${many} for Services`, labels);
  const counter = (name: string, help: string) => metrics.counter(`${prefix}_${name}`, `[ALPHA] ${help}`, [...labels, "scope"]);
  const allocated = gauge("allocated");
  const available = gauge("available");
  const given = counter("allocation_total", `Number of ${one}${things === "ips" ? "s" : ""} allocations`);
  const refused = counter("allocation_errors_total", `Number of errors trying to allocate ${one}s`);
  const count = (family: Family<Series>, counts: NumberPool["given"], values: readonly string[]): void => {
    for (const scope of scopes) if (counts[scope] > 0) family.series(...values, scope).add(counts[scope]);
  };
  return {
    reset() {
      for (const family of [allocated, available, given, refused]) family.reset();
    },
    write(pool: NumberPool, values: readonly string[]) {
      allocated.series(...values).set(pool.allocated);
      available.series(...values).set(pool.available);
      count(given, pool.given, values);
      count(refused, pool.refused, values);
    },
  };
}

// What the enforcement of network policies on a node counts.
import type { MetricsRegistry } from "../base/metrics.ts";

export type NetworkPolicyMetrics = ReturnType<typeof createNetworkPolicyMetrics>;

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const prefix = "coracle_network_policy";

export function createNetworkPolicyMetrics(registry: MetricsRegistry) {
  return {
    syncs: registry
      .histogram(`${prefix}_sync_duration_seconds`, "Time to bring changes of policies, pods and namespaces to the kernel", { buckets })
      .series(),
    failures: registry.counter(`${prefix}_sync_failures_total`, "Times that changes could not be brought to the kernel").series(),
    policies: registry.gauge(`${prefix}_policies`, "Policies of the cluster").series(),
    active: registry.gauge(`${prefix}_active_policies`, "Policies that isolate a pod of this node").series(),
  };
}

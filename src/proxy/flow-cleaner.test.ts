import { describe, expect, it } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import type { Conntrack, Flow } from "../linux/conntrack.ts";
import { CommandError } from "../linux/run-command.ts";
import { FlowCleaner } from "./flow-cleaner.ts";
import { ProxyMetrics } from "./proxy-metrics.ts";
import type { ServicePortInfo } from "./service-port.ts";
import type { UdpPort } from "./stale-flows.ts";

const endpoint = (address: string, isServing = true): UdpPort["endpoints"][number] => ({
  ...{ address, port: 53, isLocal: true, isReady: true, isServing, isTerminating: false, zoneHints: [], nodeHints: [] },
});

const port = {
  ...{ clusterIP: "10.96.0.10", externalIPs: ["203.0.113.1"], loadBalancerIPs: [], port: 53, nodePort: 30_053, portName: "dns" },
} as unknown as ServicePortInfo; // as far as flows look at it

function setUp(conntrack: Conntrack) {
  const lines: string[] = [];
  const registry = new MetricsRegistry();
  const logger = createLogger("proxy", { write: (line) => void lines.push(line) });
  return {
    cleaner: new FlowCleaner({ conntrack, clock: new VirtualClock(), logger, metrics: new ProxyMetrics(registry) }),
    lines,
    registry,
  };
}

describe("FlowCleaner", () => {
  it("ends flows to what does not serve, by each of the service's addresses and its node port", async () => {
    const flow = (destination: string, destinationPort: number, answeredBy: string): Flow => ({
      ...{ destination, destinationPort, answeredBy, answeringPort: 53 },
    });
    const stale = [flow("10.96.0.10", 53, "10.244.1.9"), flow("203.0.113.1", 53, "10.244.1.9"), flow("192.168.7.1", 30_053, "10.244.1.8")];
    const alive = [flow("10.96.0.10", 53, "10.244.1.2"), flow("10.96.0.10", 54, "10.244.1.9"), flow("10.96.0.99", 53, "10.244.1.9")];
    const forgotten: Flow[] = [];
    const { cleaner, registry } = setUp({
      listUdp: async () => [...alive, ...stale, ...stale],
      forgetUdp: async (_family, each) => forgotten.push(each) && 2,
    });
    await cleaner.clean("IPv4", [{ port, endpoints: [endpoint("10.244.1.2"), endpoint("10.244.1.8", false)] }]);
    expect(forgotten).toEqual(stale);
    expect(registry.text()).toContain('kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"} 6\n');
  });

  it("says once that the tool is missing, and goes on without it", async () => {
    let calls = 0;
    const listUdp = async (): Promise<never> => {
      calls++;
      throw new CommandError("conntrack is not installed on this machine", { notFound: true });
    };
    const { cleaner, lines } = setUp({ listUdp, forgetUdp: async () => 0 });
    for (let i = 0; i < 3; i++) await cleaner.clean("IPv4", [{ port, endpoints: [endpoint("10.244.1.2")] }]);
    expect(calls).toBe(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("conntrack is not installed");
  });

  it("tries again after another failure", async () => {
    let calls = 0;
    const listUdp = async (): Promise<readonly Flow[]> => {
      if (calls++ === 0) throw new CommandError("conntrack: took longer than 10000 ms");
      return [];
    };
    const { cleaner, lines } = setUp({ listUdp, forgetUdp: async () => 0 });
    for (let i = 0; i < 2; i++) await cleaner.clean("IPv4", [{ port, endpoints: [endpoint("10.244.1.2")] }]);
    expect(calls).toBe(2);
    expect(lines).toHaveLength(1);
  });
});

// When the enforcer of network policies watches and writes: nothing without policies, changes in one transaction, and again what
// the kernel has not taken.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { New } from "../api/meta/object.ts";
import { namespaces, networkpolicies, pods } from "../api/resources.generated.ts";
import type { Pod } from "../api/types/core-v1.ts";
import type { NetworkPolicy } from "../api/types/networking-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import type { Nftables, NftTableNames } from "../linux/nftables.ts";
import { CommandError } from "../linux/run-command.ts";
import { createFakeApi, type FakeApi } from "../testing/fake-api.ts";
import { NetworkPolicyEnforcer } from "./network-policy-enforcer.ts";
import { createNetworkPolicyMetrics } from "./network-policy-metrics.ts";

let clock: VirtualClock;
let registry: MetricsRegistry;
let api: FakeApi;
let client: Client;
let kernel: KernelStandIn;
let enforcer: NetworkPolicyEnforcer;
let requests: string[];
let bridgeFilters: number;

/** Takes every transaction, and knows which names are there. */
class KernelStandIn implements Nftables {
  readonly transactions: string[] = [];
  /** Of the next calls of apply, as long as there are some. */
  failures: Error[] = [];
  readonly chains = new Set<string>();
  readonly containers = new Set<string>();

  async apply(commands: string): Promise<void> {
    const failure = this.failures.shift();
    if (failure) throw failure;
    this.transactions.push(commands);
    for (const [, verb, kind, name = ""] of commands.matchAll(/^(add|delete) (chain|set|map) inet \S+ (\S+)/gm)) {
      const names = kind === "chain" ? this.chains : this.containers;
      if (verb === "add") names.add(name);
      else names.delete(name);
    }
    if (/^delete table/m.test(commands)) this.flush();
  }

  async accepts(): Promise<boolean> {
    return true;
  }

  async listTable(): Promise<undefined> {
    return undefined;
  }

  async tableNames(): Promise<NftTableNames | undefined> {
    return this.chains.size === 0 ? undefined : { chains: new Set(this.chains), containers: new Set(this.containers) };
  }

  flush(): void {
    this.chains.clear();
    this.containers.clear();
  }

  take(): readonly string[] {
    return this.transactions.splice(0);
  }
}

const pod = (name: string, ip: string): New<Pod> =>
  ({
    metadata: { namespace: "default", name, labels: { app: name } },
    spec: { nodeName: "node-1", containers: [] },
    status: { phase: "Running", podIPs: [{ ip }] },
  }) as unknown as New<Pod>; // as far as policies look at it

async function createPod(name: string, ip: string): Promise<void> {
  const created = await client.create(pods, pod(name, ip));
  await client.updateStatus(pods, { ...created, status: pod(name, ip).status } as Pod);
}

const createPolicy = (name: string, spec: NetworkPolicy["spec"] = { podSelector: {} }): Promise<unknown> =>
  client.create(networkpolicies, { metadata: { namespace: "default", name }, spec } as New<NetworkPolicy>);

const removePolicy = (name: string): Promise<unknown> => client.delete(networkpolicies, { namespace: "default", name });

const settle = (ms = 1_000): Promise<void> => clock.advance(ms);

beforeEach(async () => {
  clock = new VirtualClock();
  api = createFakeApi(clock);
  requests = [];
  bridgeFilters = 0;
  api.intercept = ({ path }) => void requests.push(path);
  client = createClient(api);
  kernel = new KernelStandIn();
  registry = new MetricsRegistry();
  await client.create(namespaces, { metadata: { name: "default" }, spec: {} });
  await createPod("web", "10.244.1.2");
  await createPod("other", "10.244.1.3");
  requests = [];
  const enableBridgeFilter = async (): Promise<boolean> => {
    bridgeFilters++;
    return true;
  };
  enforcer = new NetworkPolicyEnforcer(
    { client, clock, logger: silentLogger, nftables: kernel, metrics: createNetworkPolicyMetrics(registry), enableBridgeFilter },
    { nodeName: "node-1", tableName: "policies", bridge: "br0", clusterCidrs: [], dnsAddresses: [] },
  );
});
afterEach(() => enforcer.stop());

const start = async (): Promise<void> => {
  enforcer.start();
  await settle();
};

describe("NetworkPolicyEnforcer", () => {
  it("watches policies alone and touches nothing while there are none", async () => {
    await start();
    await settle(300_000);
    expect(requests.filter((path) => !path.includes("networkpolicies"))).toEqual([]);
    expect(kernel.transactions).toEqual([]);
    expect(bridgeFilters).toBe(0);
  });

  it("takes away what an earlier run has left", async () => {
    kernel.chains.add("ingress");
    await start();
    expect(kernel.take()).toEqual(["add table inet policies\ndelete table inet policies\n"]);
  });

  it("writes the table with the first policy, and removes it and stops watching with the last", async () => {
    await start();
    await createPolicy("deny");
    await settle(20);
    const [table = "", ...more] = kernel.take();
    expect(more).toEqual([]);
    expect(bridgeFilters).toBe(1);
    expect(table).toMatch(/^add table inet policies \{ comment "rules of network policies" ; \}\n/);
    expect(table).toMatch(
      /add element inet policies ingress-pods-ip \{ 10\.244\.1\.2 : goto ingress-pod-\w+-default\/web, 10\.244\.1\.3 : goto/,
    );
    await removePolicy("deny");
    await settle();
    expect(kernel.take()).toEqual(["add table inet policies\ndelete table inet policies\n"]);
    requests = [];
    await createPod("late", "10.244.1.9");
    await settle(60_000);
    expect(kernel.take()).toEqual([]);
    await createPolicy("again");
    await settle();
    expect(kernel.take().join()).toContain("10.244.1.9 : goto");
  });

  it("writes what has changed, together and soon", async () => {
    await start();
    await createPolicy("deny", { podSelector: { matchLabels: { app: "web" } } });
    await settle(2_000);
    kernel.take();
    await Promise.all([createPod("one", "10.244.1.4"), createPod("two", "10.244.1.5")]);
    await settle(20);
    const [change = "", ...more] = kernel.take();
    expect(more).toEqual([]);
    expect(change.split("\n").filter((line) => line !== "")).toEqual([
      "add element inet policies ingress-pods-ip { 10.244.1.4 : accept, 10.244.1.5 : accept }",
      "add element inet policies egress-pods-ip { 10.244.1.4 : accept, 10.244.1.5 : accept }",
    ]);
  });

  it("deletes the chains of a policy that is gone, a while after they have been emptied", async () => {
    await start();
    await createPolicy("deny");
    await createPolicy("more");
    await settle(2_000);
    kernel.take();
    await removePolicy("more");
    await settle(20);
    expect(kernel.take().join()).toMatch(/flush chain inet policies ingress-policy-\w+-default\/more\n/);
    await settle(2_000);
    expect(kernel.take().join()).toMatch(/^delete chain inet policies ingress-policy-\w+-default\/more\n$/);
  });

  it("takes away the sets of a policy that is gone with what is in them, unless another policy has the same peers", async () => {
    const spec = { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels: { app: "web" } } }] }] };
    await start();
    await createPolicy("deny");
    await createPolicy("one", spec);
    await createPolicy("two", spec);
    await settle(2_000);
    expect(
      kernel
        .take()
        .join()
        .match(/add element inet policies peers-ip-\S+ \{ 10\.244\.1\.2 \}/g),
    ).toHaveLength(1);
    await removePolicy("one");
    await settle(20);
    expect(kernel.take().join()).not.toContain("peers-");
    await removePolicy("two");
    await settle(200);
    const removal = kernel.take().join();
    expect(removal).toMatch(/delete set inet policies peers-ip-\S+\ndelete set inet policies peers-ip6-/);
    expect(removal).not.toContain("delete element");
    await createPolicy("three", spec);
    await settle(200);
    expect(kernel.take().join()).toMatch(/add set inet policies peers-ip-.*add element inet policies peers-ip-\S+ \{ 10\.244\.1\.2 \}/s);
  });

  it("tries again what the kernel has not taken, and puts right what others have done to the table", async () => {
    await start();
    kernel.failures = Array.from({ length: 4 }, () => new CommandError("nft: no"));
    await createPolicy("deny");
    await settle(5_000);
    expect(kernel.failures).toEqual([]);
    const figure = (name: string) => new RegExp(`^coracle_network_policy_${name} (\\d+)$`, "m").exec(registry.text())?.[1];
    expect(["policies", "active_policies", "sync_duration_seconds_count"].map(figure)).toEqual(["1", "1", "1"]);
    expect(Number(figure("sync_failures_total"))).toBeGreaterThanOrEqual(2);
    expect(kernel.take().join()).toContain("add chain inet policies ingress ");
    kernel.flush();
    await settle(61_000);
    expect(kernel.take().join()).toContain("add chain inet policies ingress ");
  });

  it("leaves the rules where they are when it stops", async () => {
    await start();
    await createPolicy("deny");
    await settle();
    kernel.take();
    await enforcer.stop();
    await removePolicy("deny");
    await settle();
    expect(kernel.take()).toEqual([]);
  });
});

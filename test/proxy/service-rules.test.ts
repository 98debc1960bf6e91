// The proxy's rules in a real kernel: a node, its pods and a neighbour in network namespaces of the test's own, and packets
// that go through them.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { type Backend, NodeUnderTest, type ServiceFields, slice } from "./node-under-test.ts";
import { addresses, addresses6, TestNetwork } from "./test-network.ts";

const tools = await Promise.all(["ip", "nft", "nsenter", "conntrack"].map(findExecutable));
const canRun = process.platform === "linux" && process.getuid?.() === 0 && tools.every((tool) => tool !== undefined);
if (!canRun) console.log("packet rules are not tried: this takes root, ip, nft, nsenter and conntrack");

const pod1: Backend = [addresses.pod1, 8080];
const pod2: Backend = [addresses.pod2, 8080];
const pod3: Backend = [addresses.pod3, 8080];

describe.runIf(canRun)("packet rules", { timeout: 60_000 }, () => {
  let network: TestNetwork;
  let node: NodeUnderTest;
  let next = 10;
  const newAddress = (): string => `10.96.0.${next++}`;

  beforeAll(async () => {
    network = await TestNetwork.create("rules");
    node = new NodeUnderTest(network);
    await Promise.all([
      network.serveTcp("pod1", "::", 8080, "pod1"),
      network.serveTcp("pod2", "::", 8080, "pod2"),
      network.serveTcp("neighbour", addresses.pod3, 8080, "pod3"),
      network.serveTcp("neighbour", addresses6.pod3, 8080, "pod3"),
      network.serveTcp("node", addresses.node, 6443, "node"),
      network.serveUdp("pod1", addresses.pod1, 53, "pod1"),
      network.serveUdp("pod2", addresses.pod2, 53, "pod2"),
    ]);
  }, 60_000);
  afterAll(() => network?.remove());

  /** Who answers, over many connections. */
  const answering = async (from: "node" | "neighbour" | "pod1" | "pod2", host: string, port: number, times = 24): Promise<string[]> => {
    const answers = await Promise.all(Array.from({ length: times }, () => network.tcp(from, { host, port })));
    return [...new Set(answers)].sort();
  };

  it("a cluster address leads to every endpoint, from pods, from the node and from outside", async () => {
    const host = newAddress();
    await node.set("web", { clusterIP: host }, slice("web", [pod2, pod3]));
    // The endpoint sees the pod itself; the pod's own node hides nothing.
    expect(await answering("pod1", host, 80)).toEqual([`pod2 ::ffff:${addresses.pod1}`, `pod3 ${addresses.pod1}`]);
    expect(await answering("node", host, 80)).toEqual([`pod2 ::ffff:${addresses.bridge}`, `pod3 ${addresses.node}`]);
    // From outside the cluster the answers must come back through the node.
    expect(await answering("neighbour", host, 80)).toEqual([`pod2 ::ffff:${addresses.bridge}`, `pod3 ${addresses.node}`]);
  });

  it("a pod reaches itself through its service, and sees the node as the client", async () => {
    const host = newAddress();
    await node.set("self", { clusterIP: host }, slice("self", [pod1]));
    expect(await answering("pod1", host, 80, 4)).toEqual([`pod1 ::ffff:${addresses.bridge}`]);
  });

  it("an endpoint in the node's own network is reached, as the API server is", async () => {
    const host = newAddress();
    await node.set("kubernetes", { clusterIP: host, ports: [{ port: 443 }] }, slice("kubernetes", [[addresses.node, 6443]]));
    expect(await answering("pod1", host, 443, 4)).toEqual([`node ${addresses.pod1}`]);
    expect(await answering("node", host, 443, 4)).toHaveLength(1);
  });

  it("many endpoints are chosen out of a map, all alike", async () => {
    const host = newAddress();
    const ports = Array.from({ length: 20 }, (_, i) => 9000 + i);
    await Promise.all(ports.map((port) => network.serveTcp("pod2", addresses.pod2, port, `port${port}`)));
    await node.set("many", { clusterIP: host }, ...ports.map((port) => slice(`many-${port}`, [[addresses.pod2, port]])));
    expect((await answering("pod1", host, 80, 300)).length).toBe(ports.length);
  });

  it("without endpoints connections are refused, and served as soon as there is one", async () => {
    const host = newAddress();
    await node.set("empty", { clusterIP: host, type: "NodePort", ports: [{ nodePort: 30_001 }] });
    expect(await answering("pod1", host, 80, 2)).toEqual(["refused"]);
    expect(await answering("node", host, 80, 2)).toEqual(["refused"]);
    expect(await answering("neighbour", addresses.node, 30_001, 2)).toEqual(["refused"]);
    await node.set("empty", { clusterIP: host, type: "NodePort", ports: [{ nodePort: 30_001 }] }, slice("empty", [pod2]));
    expect(await answering("pod1", host, 80, 2)).toEqual([`pod2 ::ffff:${addresses.pod1}`]);
  });

  it("other ports of a cluster address are refused; an address of nobody swallows packets", async () => {
    const host = newAddress();
    await node.set("ports", { clusterIP: host }, slice("ports", [pod2]));
    expect(await network.tcp("pod1", { host, port: 81 })).toBe("refused");
    expect(await network.tcp("node", { host, port: 81 })).toBe("refused");
    expect(await network.tcp("pod1", { host: "10.96.200.1", port: 80, timeoutMs: 300 })).toBe("timeout");
    await node.set("ports", undefined);
    expect(await network.tcp("pod1", { host, port: 80, timeoutMs: 300 })).toBe("timeout");
  });

  it("node ports answer at the node's primary address only, with the node as the client", async () => {
    await node.set("np", { clusterIP: newAddress(), type: "NodePort", ports: [{ nodePort: 30_002 }] }, slice("np", [pod2, pod3]));
    expect(await answering("neighbour", addresses.node, 30_002)).toEqual([`pod2 ::ffff:${addresses.bridge}`, `pod3 ${addresses.node}`]);
    expect(await answering("pod1", addresses.node, 30_002)).toEqual([`pod2 ::ffff:${addresses.bridge}`, `pod3 ${addresses.node}`]);
    expect(await answering("node", addresses.node, 30_002, 4)).not.toEqual(["refused"]);
    expect(await network.tcp("node", { host: "127.0.0.1", port: 30_002 })).toBe("refused");
    expect(await network.tcp("pod1", { host: addresses.bridge, port: 30_002 })).toBe("refused");
  });

  it("externalTrafficPolicy Local keeps the client's address and this node's endpoints", async () => {
    const fields: ServiceFields = {
      clusterIP: newAddress(),
      type: "LoadBalancer",
      externalTrafficPolicy: "Local",
      ports: [{ nodePort: 30_003 }],
      status: { loadBalancer: { ingress: [{ ip: "203.0.113.7" }] } },
    };
    await node.set("local", fields, slice("local", [pod2, pod3]));
    expect(await answering("neighbour", addresses.node, 30_003)).toEqual([`pod2 ::ffff:${addresses.neighbour}`]);
    expect(await answering("neighbour", "203.0.113.7", 80)).toEqual([`pod2 ::ffff:${addresses.neighbour}`]);
    // Pods and the node go anywhere, as if through the load balancer.
    expect(await answering("pod1", "203.0.113.7", 80)).toEqual([`pod2 ::ffff:${addresses.pod1}`, `pod3 ${addresses.pod1}`]);
    expect(await answering("node", "203.0.113.7", 80)).toHaveLength(2);

    await node.set("local", fields, slice("local", [pod3]));
    expect(await network.tcp("neighbour", { host: addresses.node, port: 30_003, timeoutMs: 300 })).toBe("timeout");
    expect(await network.tcp("neighbour", { host: "203.0.113.7", port: 80, timeoutMs: 300 })).toBe("timeout");
    expect(await answering("pod1", "203.0.113.7", 80, 4)).toEqual([`pod3 ${addresses.pod1}`]);
  });

  it("internalTrafficPolicy Local reaches this node's endpoints, or none", async () => {
    const fields = { clusterIP: newAddress(), internalTrafficPolicy: "Local" } as const;
    await node.set("internal", fields, slice("internal", [pod2, pod3]));
    expect(await answering("pod1", fields.clusterIP, 80)).toEqual([`pod2 ::ffff:${addresses.pod1}`]);
    await node.set("internal", fields, slice("internal", [pod3]));
    expect(await network.tcp("pod1", { host: fields.clusterIP, port: 80, timeoutMs: 300 })).toBe("timeout");
  });

  it("external addresses are served, those of a proxying load balancer are not", async () => {
    const fields: ServiceFields = {
      clusterIP: newAddress(),
      type: "LoadBalancer",
      externalIPs: ["203.0.113.20"],
      status: { loadBalancer: { ingress: [{ ip: "203.0.113.21" }, { ip: "203.0.113.22", ipMode: "Proxy" }] } },
    };
    await node.set("ext", fields, slice("ext", [pod2]));
    expect(await answering("neighbour", "203.0.113.20", 80, 4)).toEqual([`pod2 ::ffff:${addresses.bridge}`]);
    expect(await answering("pod1", "203.0.113.21", 80, 4)).toEqual([`pod2 ::ffff:${addresses.bridge}`]);
    expect(await network.tcp("pod1", { host: "203.0.113.22", port: 80, timeoutMs: 300 })).not.toMatch(/^pod2/);
  });

  it("loadBalancerSourceRanges drop others' packets, at the load balancer's address only", async () => {
    const fields: ServiceFields = {
      clusterIP: newAddress(),
      type: "LoadBalancer",
      ports: [{ nodePort: 30_004 }],
      loadBalancerSourceRanges: ["192.168.7.0/24", "192.168.7.2/32"],
      status: { loadBalancer: { ingress: [{ ip: "203.0.113.30" }] } },
    };
    await node.set("ranges", fields, slice("ranges", [pod2]));
    const ask = { host: "203.0.113.30", port: 80, timeoutMs: 300 };
    expect(await network.tcp("neighbour", ask)).toMatch(/^pod2/);
    expect(await network.tcp("node", ask)).toMatch(/^pod2/);
    expect(await network.tcp("pod1", ask)).toBe("timeout");
    expect(await network.tcp("neighbour", { ...ask, localAddress: addresses.pod3 })).toBe("timeout");
    expect(await network.tcp("neighbour", { host: addresses.node, port: 30_004 })).toMatch(/^pod2/);
  });

  it("session affinity keeps a client with its endpoint until its time is over, through changes of others", async () => {
    const clusterIP = newAddress();
    const affine = (timeoutSeconds: number) =>
      ({ clusterIP, sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds } } }) as const;
    await node.set("sticky", affine(3_600), slice("sticky", [pod2, pod3]));
    const [first, ...others] = await answering("pod1", clusterIP, 80);
    expect(others).toEqual([]);
    const name = first?.slice(0, 4);
    // Another endpoint comes: the client stays.
    await node.set("sticky", affine(3_600), slice("sticky", [pod1, pod2, pod3]));
    expect((await answering("pod1", clusterIP, 80)).map((answer) => answer.slice(0, 4))).toEqual([name]);
    // Its endpoint goes: it gets another one, and stays there.
    const left = name === "pod2" ? pod3 : pod2;
    await node.set("sticky", affine(3_600), slice("sticky", [left]));
    expect(await answering("pod1", clusterIP, 80)).toHaveLength(1);
    // Off again: any.
    await node.set("sticky", { clusterIP }, slice("sticky", [pod2, pod3]));
    expect(await answering("pod1", clusterIP, 80)).toHaveLength(2);
    expect(await node.table()).not.toContain("set affinity-");
  });

  it("the session's time may change, and ends without the client", async () => {
    const clusterIP = newAddress();
    const affine = (timeoutSeconds: number) =>
      ({ clusterIP, sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds } } }) as const;
    await node.set("short", affine(3_600), slice("short", [pod2, pod3]));
    expect(await answering("node", clusterIP, 80)).toHaveLength(1);
    expect(await node.set("short", affine(1), slice("short", [pod2, pod3]))).toBe("changed");
    // Each connection renews it; without one, it is over after a second.
    const remembered = async (): Promise<boolean> => / expires \d+ms /.test(await node.table());
    expect(await answering("node", clusterIP, 80)).toHaveLength(1);
    expect(await remembered()).toBe(true);
    await expect.poll(remembered, { timeout: 10_000 }).toBe(false);
  });

  it("UDP clients whose endpoint goes find another one with the next packet", async () => {
    const host = newAddress();
    const fields = { clusterIP: host, ports: [{ port: 53, protocol: "UDP" as const }] };
    const udp = { protocol: "UDP" as const };
    const ask = { host, port: 53, localPort: 5353, timeoutMs: 500 };
    await node.set("dns", fields, slice("dns", [[addresses.pod1, 53]], udp));
    expect(await network.udp("neighbour", ask)).toMatch(/^pod1/);
    await node.set("dns", fields, slice("dns", [[addresses.pod2, 53]], udp));
    expect(await network.udp("neighbour", ask)).toMatch(/^pod2/);
    expect(await network.udp("pod1", ask)).toMatch(/^pod2/);
  });

  it("services of IPv6 and of both families", async () => {
    const backends: readonly Backend[] = [
      [addresses6.pod2, 8080],
      [addresses6.pod3, 8080],
    ];
    const clusterIP = newAddress();
    const fields = { clusterIP, clusterIPs: [clusterIP, "fd96::10"], type: "NodePort", ports: [{ nodePort: 30_006 }] } as const;
    await node.set("dual", fields, slice("dual", [pod2]), slice("dual-6", backends));
    expect(await answering("pod1", "fd96::10", 80)).toEqual([`pod2 ${addresses6.pod1}`, `pod3 ${addresses6.pod1}`]);
    expect(await answering("pod1", clusterIP, 80, 4)).toEqual([`pod2 ::ffff:${addresses.pod1}`]);
    expect(await answering("neighbour", addresses6.node, 30_006)).toHaveLength(2);
    expect(await network.tcp("pod1", { host: "fd96::10", port: 81 })).toBe("refused");
    const sticky = { ...fields, sessionAffinity: "ClientIP", sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } } as const;
    await node.set("dual", sticky, slice("dual-6", backends));
    expect(await answering("pod1", "fd96::10", 80)).toHaveLength(1);
  });
});

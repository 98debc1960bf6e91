// Network policies in the kernel, in namespaces of the test's own: two pods on a node's bridge, another node with a pod, and
// real connections between them. Who may reach whom is written as "from to port".
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { NetworkPolicySpec } from "../../src/api/types/networking-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { addresses, addresses6, TestNetwork } from "../proxy/test-network.ts";
import { until } from "../support/processes.ts";
import { PolicyNode } from "./policy-node.ts";

const tools = await Promise.all(["ip", "nft", "nsenter", "conntrack"].map(findExecutable));
const canRun = process.platform === "linux" && process.getuid?.() === 0 && tools.every((tool) => tool !== undefined);
if (!canRun) console.log("network policies are not tried in the kernel: this takes root, ip, nft, nsenter and conntrack");

type From = "pod1" | "pod2" | "pod3" | "node" | "neighbour";

const hosts: Readonly<Record<string, string>> = {
  ...addresses,
  ...Object.fromEntries(Object.entries(addresses6).map(([name, address]) => [`${name}v6`, address])),
  service: "10.96.0.80",
};

const denyIngress: NetworkPolicySpec = { podSelector: {}, policyTypes: ["Ingress"] };
const denyEgress: NetworkPolicySpec = { podSelector: {}, policyTypes: ["Egress"] };
const pod1Only = { matchLabels: { app: "one" } };

describe.runIf(canRun)("network policies in the kernel", { timeout: 60_000 }, () => {
  let network: TestNetwork;
  let node: PolicyNode;

  beforeAll(async () => {
    network = await TestNetwork.create("policy");
    for (const place of ["pod1", "pod2", "neighbour", "node"] as const) {
      await network.serveTcp(place, "::", 8080, place);
      await network.serveUdp(place, "0.0.0.0", 8080, place);
    }
    for (const port of [8081, 8082]) await network.serveTcp("pod1", "::", port, "pod1");
    await network.nftables.apply(services);
  }, 60_000);
  afterAll(() => network?.remove());

  /** Translation to the pod and, as of a DNS on another node and on this one, to the neighbour and the node; it also makes the kernel follow connections. */
  const services = `add table ip services
add chain ip services nat { type nat hook prerouting priority -100 ; }
add rule ip services nat ip daddr ${hosts.service} tcp dport 80 dnat to ${addresses.pod1}:8080
add rule ip services nat ip daddr 10.96.0.10 udp dport 53 dnat to ${addresses.neighbour}:8080
add rule ip services nat ip daddr 10.96.0.11 udp dport 53 dnat to ${addresses.bridge}:8080
`;

  beforeEach(async () => {
    await network.exec("node", "conntrack", "-F");
    node = new PolicyNode(network);
    await node.namespace("default");
    await node.namespace("other", { team: "blue" });
    await node.pod("pod1", { labels: { app: "one" }, ports: [{ name: "web", containerPort: 8080 }] });
    await node.pod("pod2", { labels: { app: "two" }, ports: [{ name: "web", containerPort: 8080 }] });
    await node.pod("pod3", { labels: { app: "three" }, namespace: "other", node: "neighbour" });
    node.start();
  });
  afterEach(async () => {
    await node.removePolicies();
    await until("the table is gone", async () => !(await node.hasTable()));
    await node.stop();
    expect(node.refused).toEqual([]);
  });

  async function ask(path: string): Promise<string> {
    const [from = "", to = "", port = "8080", protocol = "tcp"] = path.split(" ");
    const host = hosts[to] ?? to;
    const place = from === "pod3" ? "neighbour" : (from as Exclude<From, "pod3">);
    const localAddress = from === "pod3" ? (host.includes(":") ? addresses6.pod3 : addresses.pod3) : undefined;
    const request = { host, port: Number(port), timeoutMs: 400, ...(localAddress ? { localAddress } : {}) };
    const answer = protocol === "udp" ? await network.udp(place, request) : await network.tcp(place, request);
    return answer.replace("::ffff:", "");
  }

  /** "yes" where there is an answer. */
  async function matrix(paths: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const answers = await Promise.all(paths.map(ask));
    return Object.fromEntries(
      answers.map((answer, i) => [paths[i] ?? "", answer === "timeout" ? "no" : answer.includes(" ") ? "yes" : answer]),
    );
  }

  async function expectReach(expected: Readonly<Record<string, "yes" | "no">>): Promise<void> {
    let last: Readonly<Record<string, string>> = {};
    const isSo = async () => JSON.stringify((last = await matrix(Object.keys(expected)))) === JSON.stringify(expected);
    await until("the rules are so", isSo, 10_000).catch(() => expect(last).toEqual(expected));
  }

  it("without policies there is no table, and everybody reaches everybody", async () => {
    await expectReach({ "pod2 pod1": "yes", "pod3 pod1": "yes", "pod1 neighbour": "yes", "pod2 pod1v6": "yes", "pod3 pod1v6": "yes" });
    expect(await node.hasTable()).toBe(false);
  });

  it("denying all ingress leaves the node's probes, the pod's own way to itself, and what pods send elsewhere", async () => {
    await node.policy("deny", { ...denyIngress, podSelector: pod1Only });
    await expectReach({
      ...{ "pod2 pod1": "no", "pod3 pod1": "no", "neighbour pod1": "no", "pod2 pod1 8080 udp": "no" },
      ...{ "pod2 pod1v6": "no", "pod3 pod1v6": "no" },
      ...{ "node pod1": "yes", "node pod1v6": "yes", "pod1 pod1": "yes" },
      ...{ "pod1 pod2": "yes", "pod1 neighbour": "yes", "pod1 pod2v6": "yes", "pod3 pod2": "yes", "pod1 neighbour 8080 udp": "yes" },
    });
  });

  it("allows by pods, by namespaces, by ports, and all of several policies together", async () => {
    await node.policy("deny", { ...denyIngress, podSelector: pod1Only });
    await node.policy("two", {
      podSelector: pod1Only,
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "two" } } }], ports: [{ port: 8080 }] }],
    });
    await expectReach({
      ...{ "pod2 pod1": "yes", "pod2 pod1v6": "yes", "pod2 pod1 8081": "no", "pod2 pod1 8080 udp": "no", "pod3 pod1": "no" },
      ...{ "neighbour pod1": "no" },
    });
    await node.policy("blue", {
      podSelector: pod1Only,
      ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: "blue" } } }], ports: [{ port: 8081, endPort: 8082 }] }],
    });
    await expectReach({ "pod2 pod1": "yes", "pod3 pod1": "no", "pod3 pod1 8081": "yes", "pod3 pod1 8082": "yes", "pod2 pod1 8082": "no" });
    await node.removePolicies("two");
    await expectReach({ "pod2 pod1": "no", "pod3 pod1v6 8081": "yes" });
  });

  it("blocks of addresses, with exceptions, and every address", async () => {
    const from = (cidr: string, except: readonly string[] = []) => [{ from: [{ ipBlock: { cidr, except } }] }];
    await node.policy("block", { podSelector: pod1Only, ingress: from("192.168.7.0/24") });
    await expectReach({ "neighbour pod1": "yes", "pod3 pod1": "no", "pod2 pod1": "no" });
    await node.policy("others", {
      podSelector: { matchLabels: { app: "two" } },
      ingress: from("0.0.0.0/0", ["10.0.0.0/8", "10.244.0.0/16", "192.168.7.3/32"]),
    });
    await expectReach({ "neighbour pod2": "yes", "pod3 pod2": "no", "pod1 pod2": "no", "neighbour pod2v6": "no" });
    await node.policy("every", { podSelector: pod1Only, ingress: [...from("0.0.0.0/0"), ...from("::/0", ["fd44:2::/64"])] });
    await expectReach({ "pod3 pod1": "yes", "neighbour pod1v6": "yes", "pod3 pod1v6": "no" });
  });

  it("what pods send: nothing, then by named port and by protocol; their own node always", async () => {
    await node.policy("deny", { ...denyEgress, podSelector: pod1Only });
    await expectReach({
      ...{ "pod1 pod2": "no", "pod1 pod2v6": "no", "pod1 neighbour": "no", "pod1 neighbour 8080 udp": "no" },
      ...{ "pod1 node": "yes", "pod1 bridge 8080 udp": "yes", "pod1 pod1": "yes", "pod2 pod1": "yes", "pod3 pod1": "yes" },
    });
    await node.policy("web", { podSelector: pod1Only, policyTypes: ["Egress"], egress: [{ ports: [{ port: "web" }] }] });
    await expectReach({ "pod1 pod2": "yes", "pod1 pod2v6": "yes", "pod1 neighbour": "no", "pod1 pod2 8080 udp": "no" });
    await node.policy("udp", {
      podSelector: pod1Only,
      policyTypes: ["Egress"],
      egress: [{ to: [{ ipBlock: { cidr: "192.168.7.2/32" } }], ports: [{ protocol: "UDP" }] }],
    });
    await expectReach({ "pod1 neighbour 8080 udp": "yes", "pod1 neighbour": "no" });
  });

  it("named ports are each receiver's own", async () => {
    const ingress = [{ from: [{ podSelector: {} }], ports: [{ port: "web" }] }];
    await node.policy("web", { podSelector: {}, ingress });
    await expectReach({ "pod2 pod1": "yes", "pod2 pod1 8081": "no", "pod1 pod2": "yes", "pod3 pod1": "no" });
    await node.removePod("pod1");
    await node.pod("pod1", { ports: [{ name: "web", containerPort: 8081 }] });
    await expectReach({ "pod2 pod1": "no", "pod2 pod1 8081": "yes", "pod2 pod1v6 8081": "yes" });
  });

  it("services are translated before policies look, and show them the client", async () => {
    await node.policy("two", {
      podSelector: pod1Only,
      ingress: [{ from: [{ podSelector: { matchLabels: { app: "two" } } }], ports: [{ port: 8080 }] }],
    });
    await expectReach({ "pod2 service 80": "yes", "neighbour service 80": "no", "pod3 service 80": "no" });
    expect(await ask("pod2 service 80")).toBe(`pod1 ${addresses.pod2}`);
    await node.policy("egress", { ...denyEgress, podSelector: { matchLabels: { app: "two" } } });
    await expectReach({ "pod2 service 80": "no" });
  });

  it("the cluster's own DNS, on this node and on another, is asked by those whose policies allow it", async () => {
    await node.namespace("kube-system", { "kubernetes.io/metadata.name": "kube-system" });
    await expectReach({ "pod1 10.96.0.10 53 udp": "yes", "pod1 10.96.0.11 53 udp": "yes" });
    await node.policy("deny", denyEgress);
    await expectReach({
      "pod1 neighbour 8080 udp": "no",
      "pod1 10.96.0.10 53 udp": "no",
      "pod1 10.96.0.11 53 udp": "no",
      "pod1 node": "yes",
    });
    const to = [{ namespaceSelector: {}, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } }];
    await node.policy("names", {
      podSelector: pod1Only,
      policyTypes: ["Egress"],
      egress: [{ to, ports: [{ port: 53, protocol: "UDP" }] }],
    });
    await expectReach({
      ...{ "pod1 10.96.0.10 53 udp": "yes", "pod1 10.96.0.11 53 udp": "yes", "pod2 10.96.0.11 53 udp": "no" },
      ...{ "pod1 neighbour 8080 udp": "no" },
    });
  });

  it("connections that were let through go on when a policy comes, new ones do not", async () => {
    const known = { host: addresses.pod1, port: 8080, localPort: 40_001, timeoutMs: 400 };
    expect(await network.udp("pod2", known)).toMatch(/^pod1/);
    await node.policy("deny", denyIngress);
    await expectReach({ "pod2 pod1 8080 udp": "no" });
    expect(await network.udp("pod2", known)).toMatch(/^pod1/);
  });

  it("a pod nobody knows yet is isolated while there are policies; once it is known, as they say", async () => {
    await node.removePod("pod2");
    await node.policy("some", { ...denyIngress, podSelector: { matchLabels: { app: "nobody" } } });
    await expectReach({
      "pod2 pod1": "no",
      "pod1 pod2": "no",
      "pod3 pod2v6": "no",
      "node pod2": "yes",
      "pod2 node": "yes",
      "pod3 pod1": "yes",
    });
    await node.pod("pod2");
    await expectReach({ "pod2 pod1": "yes", "pod1 pod2": "yes", "pod3 pod2v6": "yes" });
  });

  it("a change works soon, and rules of an earlier run hold until they are replaced", async () => {
    const startMs = realClock.monotonic();
    await node.policy("deny", denyIngress);
    await until("denied", async () => (await ask("pod2 pod1")) === "timeout");
    expect(realClock.monotonic() - startMs).toBeLessThan(5_000); // 400 ms of it is the wait for no answer
    await node.stop();
    expect(await matrix(["pod2 pod1", "node pod1"])).toEqual({ "pod2 pod1": "no", "node pod1": "yes" });
    const next = new PolicyNode(network);
    await next.namespace("default");
    await next.pod("pod1", { labels: { app: "one" } });
    await next.pod("pod2");
    await next.policy("allow", { podSelector: {}, ingress: [{}] });
    next.start();
    await until("allowed", async () => (await ask("pod2 pod1")) !== "timeout");
    await node.removePolicies();
    await next.removePolicies();
    await until("the table is gone", async () => !(await next.hasTable()));
    await next.stop();
  });
});

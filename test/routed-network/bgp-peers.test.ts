// BGP peers besides the cluster's nodes, on the real kernel: a router with a routing daemon of its own that knows nothing of the
// cluster, and learns from nodes where its pods and services are.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endpointslices, nodes, secrets, services } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { namespacePath } from "../../src/linux/network-namespaces.ts";
import { askBird, createBird, removeBird } from "../../src/routed-network/bird.ts";
import { bgpConfigurationName, bgpconfigurations, bgpfilters, bgppeers, ipamblocks } from "../../src/routed-network/resources.ts";
import { temporaryDirectory, until } from "../support/processes.ts";
import { RoutedLab, whyNoRoutedLab } from "./routed-lab.ts";

const reason = await whyNoRoutedLab();
if (reason) console.log(`BGP peers are not tried on the kernel: ${reason}`);

/** As its owner has written it: one session with each node. */
const routerConfig = (directory: string, sessions: readonly string[]): string => `
log "${directory}/bird.log" all;
router id 192.0.2.254;
protocol device { }
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; metric 777; }
protocol static upstream { ipv4; route 198.51.100.0/24 unreachable; }
${sessions.join("\n")}
`;
const session = (address: string, more = ""): string => `
protocol bgp {
  local 192.0.2.254 port 1179 as 65001;
  neighbor ${address} as 65010;
  strict bind on; connect delay time 1; connect retry time 2; error wait time 1, 5; ${more}
  ipv4 { import all; export where proto = "upstream"; };
}`;

describe.runIf(reason === undefined)("BGP peers of a routed pod network", { timeout: 120_000 }, () => {
  const lab = new RoutedLab();
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let configure: (sessions: readonly string[]) => Promise<void>;

  beforeAll(async () => {
    directory = await temporaryDirectory("peer");
    await lab.namespace("router");
    await lab.ip("router").apply(["link add name hub type bridge", "link set dev hub up", "address add 192.0.2.254/24 dev hub"]);
    for (const [name, address] of [
      ["a", "192.0.2.1"],
      ["b", "192.0.2.2"],
    ] as const)
      await lab.node(name, [address], ["link set master hub dev"]);
    await lab.pool("four", { cidr: "10.244.0.0/16" });
    const bird = createBird({ directory: directory.path, logger: silentLogger, netns: namespacePath(lab.netns("router")) });
    configure = (sessions) => bird.apply(routerConfig(directory.path, sessions));
    await configure([session("192.0.2.1"), session("192.0.2.2")]);
    await Promise.all([lab.run("a"), lab.run("b")]);
  });
  afterAll(async () => {
    await lab.remove();
    if (directory) await removeBird(directory.path, realClock);
    await directory?.remove();
  });

  const routes = async (name: string): Promise<string> => lab.inside(name, "ip", "route", "show");

  const blockOf = async (name: string): Promise<string | undefined> =>
    (await lab.client.list(ipamblocks)).items.find(({ spec }) => spec.affinity === `host:${name}`)?.spec.cidr;

  it("are told of the nodes' blocks, and nodes take what they tell", async () => {
    await lab.client.create(bgpconfigurations, { metadata: { name: bgpConfigurationName }, spec: { asNumber: 65_010 } });
    await lab.client.create(bgppeers, { metadata: { name: "router" }, spec: { peerIP: "192.0.2.254:1179", asNumber: 65_001 } });
    const pod = await lab.pod("a");
    const [address = ""] = pod.addresses;
    const block = (await lab.client.list(ipamblocks)).items.find(({ spec }) => spec.affinity === "host:a")?.spec.cidr ?? "";
    await until("the router knows a's block", async () => (await routes("router")).includes(`${block} via 192.0.2.1`));
    await until("the node knows the router's", async () => (await routes("a")).includes("198.51.100.0/24 via 192.0.2.254"));
    expect(await lab.addressSeen("router", pod.netns, address)).toBe("192.0.2.254");
  });

  it("are told of services' ranges, and of single addresses by the nodes that have endpoints", async () => {
    const configuration = await lab.client.get(bgpconfigurations, { name: bgpConfigurationName });
    const spec = { ...configuration.spec, serviceLoadBalancerIPs: [{ cidr: "203.0.113.0/28" }] };
    await lab.client.update(bgpconfigurations, { ...configuration, spec });
    await until("the router knows the range", async () => /203\.0\.113\.0\/28 (proto bird|via)/.test(await routes("router")));
    await lab.client.create(services, {
      metadata: { namespace: "default", name: "local" },
      spec: { externalTrafficPolicy: "Local", type: "LoadBalancer", ports: [{ port: 80 }] },
      status: { loadBalancer: { ingress: [{ ip: "203.0.113.5" }] } },
    });
    await lab.client.create(endpointslices, {
      metadata: { namespace: "default", name: "local-1", labels: { "kubernetes.io/service-name": "local" } },
      addressType: "IPv4",
      ports: [{ port: 80 }],
      endpoints: [{ addresses: ["10.244.0.9"], nodeName: "b", conditions: { ready: true } }],
    });
    await until("the address is b's", async () => (await routes("router")).includes("203.0.113.5 via 192.0.2.2"));
    // What is told of services is not the kernel's affair.
    expect(await routes("b")).not.toContain("203.0.113");
    const b = await lab.client.get(nodes, { name: "b" });
    const labels = { "node.kubernetes.io/exclude-from-external-load-balancers": "" };
    await lab.client.update(nodes, { ...b, metadata: { ...b.metadata, labels } });
    await until("b tells of none", async () => !(await routes("router")).includes("203.0.113.5"));
  });

  it("are told and believed what filters let through, with the communities of the range", async () => {
    const configuration = await lab.client.get(bgpconfigurations, { name: bgpConfigurationName });
    const communities = [{ name: "ours", value: "65010:300:1" }];
    const prefixAdvertisements = [{ cidr: "10.244.0.0/16", communities: ["ours", "65010:7"] }];
    await lab.client.update(bgpconfigurations, { ...configuration, spec: { ...configuration.spec, communities, prefixAdvertisements } });
    await lab.pod("b");
    const [ofA, ofB] = await Promise.all(["a", "b"].map((name) => blockOf(name)));
    await lab.client.create(bgpfilters, {
      metadata: { name: "careful" },
      spec: {
        importV4: [{ action: "Reject", matchOperator: "In", cidr: "198.51.0.0/16", prefixLength: { min: 20 } }],
        exportV4: [{ action: "Reject", matchOperator: "Equal", cidr: ofB ?? "" }],
      },
    });
    await until("the router knows both blocks", async () => {
      const known = await routes("router");
      return [ofA, ofB].every((block) => known.includes(`${block} via`));
    });
    const peer = await lab.client.get(bgppeers, { name: "router" });
    const filtered = await lab.client.update(bgppeers, { ...peer, spec: { ...peer.spec, filters: ["careful"] } });
    await until("b's block is not told", async () => !(await routes("router")).includes(`${ofB} via`));
    await until("the router is not believed", async () => !(await routes("a")).includes("198.51.100.0/24"));
    expect(await routes("router")).toContain(`${ofA} via 192.0.2.1`);
    const told = await askBird(directory.path, "show", "route", "for", ofA ?? "", "all");
    expect(told).toContain("BGP.community: (65010,7)");
    expect(told).toContain("BGP.large_community: (65010, 300, 1)");
    await lab.client.update(bgppeers, { ...filtered, spec: peer.spec });
    await until("without the filter it is as before", async () => (await routes("a")).includes("198.51.100.0/24"));
  });

  it("with a password are spoken with by it alone", async () => {
    const peer = await lab.client.get(bgppeers, { name: "router" });
    const password = { secretKeyRef: { name: "bgp-passwords", key: "router" } };
    await lab.client.update(bgppeers, { ...peer, spec: { ...peer.spec, password } });
    // Without its secret the peer is left out.
    await until("no session of a", async () => !(await routes("a")).includes("198.51.100.0/24"));
    await configure([session("192.0.2.1", 'password "s3cret";'), session("192.0.2.2", 'password "another";')]);
    await lab.client.create(secrets, {
      metadata: { namespace: "kube-system", name: "bgp-passwords" },
      data: { router: Buffer.from("s3cret").toString("base64") },
    });
    lab.refresh("a");
    lab.refresh("b");
    await until("a's session", async () => (await routes("a")).includes("198.51.100.0/24"));
    expect(await routes("b")).not.toContain("198.51.100.0/24");
    expect(await askBird(directory.path, "show", "protocols")).toMatch(/Established/);
  });

  it("in place of the mesh: without it nodes know of each other by the router alone", async () => {
    await configure(
      ["192.0.2.1", "192.0.2.2"].map((address) =>
        session(address, 'password "s3cret"; rs client;').replace('export where proto = "upstream"', "export all"),
      ),
    );
    const configuration = await lab.client.get(bgpconfigurations, { name: bgpConfigurationName });
    const spec = { ...configuration.spec, nodeToNodeMeshEnabled: false };
    await lab.client.update(bgpconfigurations, { ...configuration, spec });
    const peer = await lab.client.get(bgppeers, { name: "router" });
    await lab.client.update(bgppeers, { ...peer, spec: { ...peer.spec, numAllowedLocalASNumbers: 1 } });
    const pods = await Promise.all([lab.pod("a"), lab.pod("b")]);
    const [address = ""] = pods[1].addresses;
    const block = (await lab.client.list(ipamblocks)).items.find(({ spec }) => spec.affinity === "host:b")?.spec.cidr ?? "";
    await until("a knows b's block", async () => (await routes("a")).includes(`${block} via 192.0.2.`));
    expect(await lab.addressSeen(pods[0].netns, pods[1].netns, address)).toBe(pods[0].addresses[0]);
  });
});

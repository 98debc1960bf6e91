// Route reflectors on the real kernel, with real routing daemons: nodes that do not speak with each other learn of each other's pods
// from one that does with all of them, which is a node here, and a router of somebody else's there.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/log.ts";
import { namespacePath } from "../../src/linux/network-namespaces.ts";
import { askBird, createBird, removeBird } from "../../src/routed-network/bird.ts";
import { birdDirectory } from "../../src/routed-network/names.ts";
import { bgpConfigurationName, bgpconfigurations, bgppeers, ipamblocks } from "../../src/routed-network/resources.ts";
import { temporaryDirectory, until } from "../support/processes.ts";
import { RoutedLab, whyNoRoutedLab } from "./routed-lab.ts";

const reason = await whyNoRoutedLab();
if (reason) console.log(`route reflectors are not tried on the kernel: ${reason}`);

const routes = (lab: RoutedLab, name: string): Promise<string> => lab.inside(name, "ip", "route", "show");

const blockOf = async (lab: RoutedLab, name: string): Promise<string> =>
  (await lab.client.list(ipamblocks)).items.find(({ spec }) => spec.affinity === `host:${name}`)?.spec.cidr ?? "";

/** Nodes on one link of a router, which has an address of its own there. */
async function build(lab: RoutedLab, places: Readonly<Record<string, string>>): Promise<void> {
  await lab.namespace("router");
  await lab.ip("router").apply(["link add name hub type bridge", "link set dev hub up", "address add 192.0.2.254/24 dev hub"]);
  for (const [name, address] of Object.entries(places)) await lab.node(name, [address], ["link set master hub dev"]);
  await lab.pool("four", { cidr: "10.244.0.0/16" });
}

describe.runIf(reason === undefined)("a node that reflects routes", { timeout: 180_000 }, () => {
  const lab = new RoutedLab();
  beforeAll(async () => {
    await build(lab, { a: "192.0.2.1", b: "192.0.2.2", r: "192.0.2.3" });
    const node = await lab.client.get(nodes, { name: "r" });
    const metadata = {
      ...node.metadata,
      labels: { "route-reflector": "true" },
      annotations: { "projectcalico.org/RouteReflectorClusterID": "244.0.0.1" },
    };
    await lab.client.update(nodes, { ...node, metadata });
    await lab.client.create(bgpconfigurations, { metadata: { name: bgpConfigurationName }, spec: { nodeToNodeMeshEnabled: false } });
    await lab.client.create(bgppeers, {
      metadata: { name: "to-reflectors" },
      spec: { nodeSelector: "!has(route-reflector)", peerSelector: "has(route-reflector)" },
    });
    await Promise.all(["a", "b", "r"].map((name) => lab.run(name)));
  });
  afterAll(() => lab.remove());

  it("tells its clients of each other's blocks, with the way of whoever has them", async () => {
    const [one, two, third] = await Promise.all([lab.pod("a"), lab.pod("b"), lab.pod("r")]);
    if (!one || !two || !third) throw new Error("no pods");
    const [ofA, ofB, ofR] = await Promise.all(["a", "b", "r"].map((name) => blockOf(lab, name)));
    await until("a knows b's block", async () => (await routes(lab, "a")).includes(`${ofB} via 192.0.2.2`));
    await until("b knows a's block", async () => (await routes(lab, "b")).includes(`${ofA} via 192.0.2.1`));
    await until("both know the reflector's", async () => (await routes(lab, "a")).includes(`${ofR} via 192.0.2.3`));
    expect(await lab.addressSeen(one.netns, two.netns, two.addresses[0] ?? "")).toBe(one.addresses[0]);
    expect(await lab.addressSeen(two.netns, third.netns, third.addresses[0] ?? "")).toBe(two.addresses[0]);
    const sessions = await askBird(birdDirectory(lab.dataDir("a")), "show", "protocols");
    expect(sessions.match(/ BGP /g), "with the reflector alone").toHaveLength(1);
    const told = await askBird(birdDirectory(lab.dataDir("a")), "show", "route", "for", ofB ?? "", "all");
    expect(told).toContain("BGP.cluster_list: 244.0.0.1");
    expect(told).toContain("BGP.originator_id: 192.0.2.2");
  });

  it("and of those that go", async () => {
    const block = await blockOf(lab, "b");
    await lab.client.delete(nodes, { name: "b" });
    await lab.stopNode("b");
    await removeBird(birdDirectory(lab.dataDir("b")), realClock);
    await until("a knows no way to b's block", async () => !(await routes(lab, "a")).includes(`${block} via 192.0.2.2`));
  });
});

describe.runIf(reason === undefined)("a router that reflects routes", { timeout: 180_000 }, () => {
  const lab = new RoutedLab();
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  beforeAll(async () => {
    directory = await temporaryDirectory("reflector");
    await build(lab, { a: "192.0.2.1", b: "192.0.2.2" });
    const bird = createBird({ directory: directory.path, logger: silentLogger, netns: namespacePath(lab.netns("router")) });
    await bird.apply(reflectorConfig(directory.path, ["192.0.2.1", "192.0.2.2"]));
    await lab.client.create(bgpconfigurations, { metadata: { name: bgpConfigurationName }, spec: { nodeToNodeMeshEnabled: false } });
    await lab.client.create(bgppeers, { metadata: { name: "reflector" }, spec: { peerIP: "192.0.2.254", asNumber: 64_512 } });
    await Promise.all([lab.run("a"), lab.run("b")]);
  });
  afterAll(async () => {
    await lab.remove();
    if (directory) await removeBird(directory.path, realClock);
    await directory?.remove();
  });

  it("of the nodes' own autonomous system, is their one peer", async () => {
    const [one, two] = [await lab.pod("a"), await lab.pod("b")];
    const block = await blockOf(lab, "b");
    await until("a knows b's block", async () => (await routes(lab, "a")).includes(`${block} via 192.0.2.2`));
    await until("b knows a's block", async () => (await routes(lab, "b")).includes(" via 192.0.2.1"));
    expect(await lab.addressSeen(one.netns, two.netns, two.addresses[0] ?? "")).toBe(one.addresses[0]);
    expect(await askBird(birdDirectory(lab.dataDir("a")), "show", "route", "for", block, "all")).toContain("BGP.originator_id: 192.0.2.2");
  });
});

/** As its owner has written it; it routes nothing itself. */
const reflectorConfig = (directory: string, clients: readonly string[]): string => `
log "${directory}/bird.log" all;
router id 192.0.2.254;
protocol device { }
${clients
  .map(
    (address) => `protocol bgp {
  local 192.0.2.254 as 64512;
  neighbor ${address} as 64512;
  rr client; rr cluster id 244.0.0.9;
  strict bind on; connect delay time 1; connect retry time 2; error wait time 1, 5;
  ipv4 { import all; export all; };
}`,
  )
  .join("\n")}
`;

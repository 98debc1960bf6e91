// The tunnel in plain UDP on the real kernel, between nodes behind a router: for kernels without VXLAN, which one node's pretends to be.
import { readdir, readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import type { StopStack } from "../../src/base/lifecycle.ts";
import { namespacePath } from "../../src/linux/network-namespaces.ts";
import { mustRun, until } from "../support/processes.ts";
import { device, NodeLab, place, udpDevice, whyNoNodeLab } from "./node-lab.ts";

const reason = await whyNoNodeLab();
if (reason) console.log(`the tunnel in UDP packets is not tried on the kernel: ${reason}`);

const backend = "flannel.alpha.coreos.com/backend-type";

describe.runIf(reason === undefined)("nodes whose kernels have no VXLAN", { timeout: 180_000 }, () => {
  const lab = new NodeLab("udp");
  const [a, b, c] = [place("a", 1, "198.18.1.2"), place("b", 2, "198.18.2.2"), place("c", 3, "198.18.3.2")];
  const pod = (number: number) => ({ node: ["", "a", "b", "c"][number] ?? "", address: `10.244.${number}.5` });
  const six = (number: number) => ({ node: ["", "a", "b", "c"][number] ?? "", address: `fd00:10:244:${number}::5` });
  let running: StopStack[] = [];
  beforeAll(async () => {
    await lab.namespace("router");
    for (const [i, node] of [a, b, c].entries()) await lab.node(node, `198.18.${i + 1}.1`, [`address add 198.18.${i + 1}.1/24 dev`]);
  });
  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop();
  });
  afterAll(() => lab.remove());

  const hasRoutes = (count: number, ...names: readonly string[]) =>
    until(`${count} routes on ${names.join(", ")}`, async () => {
      const all = await Promise.all(names.map((name) => lab.routes(name)));
      return all.every((routes) => routes.length === count);
    });
  const ping = (from: string, to: string, size = 56) => lab.inside(from, "busybox", "ping", "-c1", "-W2", `-s${size}`, to);
  const interfacesOf = async (name: string) => (await lab.ip(name).addresses()).map(({ ifname }) => ifname);
  const programOf = async (name: string): Promise<number> => {
    const inode = await mustRun("stat", ["-Lc", "%i", namespacePath(lab.netns(name))]);
    for (const entry of await readdir("/proc")) {
      if (!/^\d+$/.test(entry)) continue;
      const title = await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "");
      if (!title.includes(`UDP tunnel ${udpDevice}`)) continue;
      if ((await mustRun("stat", ["-Lc", "%i", `/proc/${entry}/ns/net`])) === inode) return Number(entry);
    }
    throw new Error(`no program of the tunnel in ${name}`);
  };

  it("udp: pods of both families are reached under their own addresses, in packets that leave it room", async () => {
    running = [a, b, c].map((node) => lab.run(node, "udp"));
    await hasRoutes(4, "a", "b", "c");
    expect((await lab.client.get(nodes, { name: "a" })).metadata.annotations?.[backend]).toBe("udp");
    const tunnel = (await lab.ip("a").addresses()).find(({ ifname }) => ifname === udpDevice);
    expect(tunnel?.mtu).toBe(1472);
    expect(await lab.addressSeen(pod(1), pod(2))).toBe("10.244.1.5");
    expect(await lab.addressSeen(pod(3), pod(1))).toBe("10.244.3.5");
    expect(await lab.addressSeen(six(2), six(3))).toBe("fd00:10:244:2::5");
    expect(await lab.addressSeen(pod(1), { node: "b", address: "198.18.2.2" }), "a node elsewhere sees the pod's node").toBe("198.18.1.2");
    // As large as can be, and one byte more, which has to be taken apart.
    const pieces = async (): Promise<number> => {
      const [names = "", values = ""] = (await lab.inside("b", "cat", "/proc/net/snmp"))
        .split("\n")
        .filter((line) => line.startsWith("Ip:"));
      return Number(values.split(" ")[names.split(" ").indexOf("ReasmReqds")]);
    };
    const before = await pieces();
    await ping("a", "10.244.2.5", 1472 - 28);
    expect((await pieces()) - before).toBe(0);
    await ping("a", "10.244.2.5", 1472 - 27);
    expect((await pieces()) - before).toBe(2);
  });

  it("auto: a node without VXLAN is reached in UDP by those that have it, which use VXLAN among themselves", async () => {
    running = [lab.run(a, "auto", { lacksVxlan: true }), lab.run(b, "auto"), lab.run(c, "auto")];
    await until("all have said how they are reached", async () => {
      const kinds = (await lab.client.list(nodes)).items.map(({ metadata }) => metadata.annotations?.[backend]);
      return kinds.sort().join() === "udp,vxlan,vxlan";
    });
    const ways = async (name: string) =>
      (await lab.routes(name)).map(({ dst, dev }) => `${dst} ${dev === device ? "vxlan" : dev === udpDevice ? "udp" : dev}`).sort();
    await until(
      "the routes of b",
      async () => (await ways("b")).join() === "10.244.1.0/24 udp,10.244.3.0/24 vxlan,fd00:10:244:1::/64 udp,fd00:10:244:3::/64 vxlan",
    );
    await until("the routes of a", async () => (await ways("a")).length === 4 && (await ways("a")).every((way) => way.endsWith(" udp")));
    await until("the routes of c", async () => (await ways("c")).includes("10.244.1.0/24 udp"));
    expect(await interfacesOf("a")).not.toContain(device);
    expect(await lab.addressSeen(pod(1), pod(2)), "to a node with VXLAN").toBe("10.244.1.5");
    expect(await lab.addressSeen(pod(3), pod(1)), "from a node with VXLAN").toBe("10.244.3.5");
    expect(await lab.addressSeen(pod(2), pod(3)), "between nodes with VXLAN").toBe("10.244.2.5");
    expect(await lab.addressSeen(six(1), six(3))).toBe("fd00:10:244:1::5");
  });

  it("its program is started again when it was killed, and its routes are set again", async () => {
    running = [lab.run(a, "udp"), lab.run(b, "udp")];
    await hasRoutes(4, "a", "b");
    const before = await programOf("a");
    process.kill(before, "SIGKILL");
    await until("another one", async () => (await programOf("a").catch(() => before)) !== before && (await lab.routes("a")).length === 4);
    expect(await lab.addressSeen(pod(1), pod(2))).toBe("10.244.1.5");
    expect(await lab.addressSeen(pod(2), pod(1))).toBe("10.244.2.5");
  });

  it("a packet from a pod's address that comes from another node than the pod's is dropped", async () => {
    running = [lab.run(a, "udp"), lab.run(b, "udp")];
    await hasRoutes(4, "a", "b");
    const count = async (): Promise<number> => {
      const [link] = JSON.parse(await lab.inside("b", "ip", "-s", "-j", "link", "show", "dev", udpDevice)) as [
        { stats64: { rx: { packets: number } } },
      ];
      return link.stats64.rx.packets;
    };
    // c has no network of its own now: it sends what claims to be from a pod of a, then what is from a pod of its own.
    const send = (source: string) => lab.inside("c", process.execPath, "-e", datagram, source, "10.244.2.5", "198.18.2.2", "198.18.3.2");
    const before = await count();
    await send("10.244.1.5");
    await send("10.244.3.5");
    await until("the one of its own pod", async () => (await count()) > before);
    expect((await count()) - before).toBe(1);
  });

  it("a node that goes takes its way with it, and one that returns has it again", async () => {
    running = [lab.run(a, "udp"), lab.run(b, "udp"), lab.run(c, "udp")];
    await hasRoutes(4, "a", "b", "c");
    const object = await lab.client.get(nodes, { name: "c" });
    await lab.client.delete(nodes, { name: "c" });
    await hasRoutes(2, "a", "b");
    expect(await lab.addressSeen(pod(1), pod(2))).toBe("10.244.1.5");
    await lab.client.create(nodes, { metadata: { name: "c" }, spec: object.spec, status: object.status ?? {} });
    await hasRoutes(4, "a", "b", "c");
    expect(await lab.addressSeen(pod(3), pod(1))).toBe("10.244.3.5");
    // And the cable of c, pulled out and put in again.
    await lab.ip("router").apply(["link set dev n-c down"]);
    await expect(ping("a", "10.244.3.5")).rejects.toThrow();
    await lab.ip("router").apply(["link set dev n-c up"]);
    await until("c is back", () =>
      ping("a", "10.244.3.5").then(
        () => true,
        () => false,
      ),
    );
  });

  it("the device is gone with the last node behind it, and when the node ends", async () => {
    const alone = lab.run(a, "auto", { lacksVxlan: true });
    running = [alone];
    await until("the tunnel", async () => (await interfacesOf("a")).includes(udpDevice));
    await alone.stop();
    expect(await interfacesOf("a")).not.toContain(udpDevice);
    expect(await lab.routes("a")).toEqual([]);
  });
});

describe.runIf(reason === undefined)("nodes whose kernels have no VXLAN, on IPv6", () => {
  const lab = new NodeLab("udp6");
  const [a, b] = [place("a", 1, "2001:db8:1::2"), place("b", 2, "2001:db8:2::2")];
  beforeAll(async () => {
    await lab.namespace("router");
    for (const [i, node] of [a, b].entries())
      await lab.node(node, `2001:db8:${i + 1}::1`, [`address add 2001:db8:${i + 1}::1/64 nodad dev`]);
  });
  afterAll(() => lab.remove());

  it("packets of both families go in UDP over IPv6, with less room", async () => {
    for (const node of [a, b]) lab.run(node, "auto", { lacksVxlan: true });
    for (const name of ["a", "b"]) await until(`the routes of ${name}`, async () => (await lab.routes(name)).length === 2);
    expect((await lab.ip("a").addresses()).find(({ ifname }) => ifname === udpDevice)?.mtu).toBe(1452);
    expect(await lab.addressSeen({ node: "a", address: "10.244.1.5" }, { node: "b", address: "10.244.2.5" })).toBe("10.244.1.5");
    expect(await lab.addressSeen({ node: "b", address: "fd00:10:244:2::5" }, { node: "a", address: "fd00:10:244:1::5" })).toBe(
      "fd00:10:244:2::5",
    );
  });
});

/** Sends an IPv4 packet of UDP, in a datagram to the tunnel's port; arguments: source, destination, node, own address. */
const datagram = `
const [source, destination, node, own] = process.argv.slice(1);
const bytes = (ip) => Buffer.from(ip.split(".").map(Number));
const packet = Buffer.concat([Buffer.from("4500001c00004000401100000000000000000000", "hex").subarray(0, 12), bytes(source), bytes(destination), Buffer.from("0fa00fa100080000", "hex")]);
const s = require("dgram").createSocket("udp4");
s.bind(0, own, () => s.send(packet, 8285, node, () => process.exit(0)));
`;

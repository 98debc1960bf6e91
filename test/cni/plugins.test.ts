// CNI plugins in the kernel: the same tests run against Debian's plugins and against ours, each in a host namespace of their own.
import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Network, parseNetwork } from "../../src/cni/libcni/network-file.ts";
import type { Attachment } from "../../src/cni/libcni/runtime.ts";
import type { CniResult } from "../../src/cni/spec/result.ts";
import { findExecutable } from "../../src/linux/find-executable.ts";
import { CniLab, type CniVendor, debianPlugins } from "../support/cni-lab.ts";
import { whyNoNetworkLab } from "../support/network-lab.ts";
import { run, until } from "../support/processes.ts";

interface Listed {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu?: number;
  readonly master?: string;
  readonly ifalias?: string;
  readonly promiscuity?: number;
  readonly flags?: readonly string[];
  readonly operstate?: string;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: { readonly mode?: string; readonly id?: number };
    readonly info_slave_data?: { readonly hairpin?: boolean };
  };
  readonly addr_info?: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
    readonly tentative?: boolean;
  }[];
}

const reason = (await whyNoNetworkLab()) ?? ((await findExecutable("perl")) ? undefined : "not installed: perl");
if (reason) console.log(`CNI plugins are not tried: ${reason}`);
const vendors: readonly CniVendor[] = reason ? [] : (await debianPlugins()) === undefined ? ["coracle"] : ["debian", "coracle"];
/** Kinds of interfaces this kernel may lack. */
const missing = new Map<string, string>();
for (const kind of reason ? [] : ["macvlan", "ipvlan", "vlan", "ifb", "VLANs of a bridge"]) {
  const why = await whyNoKind(kind);
  if (why) missing.set(kind, why);
}
for (const [kind, why] of missing) console.log(`${kind} is not tried: ${why}`);

async function whyNoKind(kind: string): Promise<string | undefined> {
  const of: Readonly<Record<string, readonly string[]>> = {
    ifb: ["name", "probe", "type", "ifb"],
    "VLANs of a bridge": ["name", "probe", "type", "bridge", "vlan_filtering", "1"],
    vlan: ["link", "lo", "name", "probe", "type", "vlan", "id", "5"],
  };
  const args = of[kind] ?? ["link", "lo", "name", "probe", "type", kind];
  const { stderr } = await run("unshare", ["--net", "ip", "link", "add", ...args]);
  return /Unknown device type|not supported/i.test(stderr) ? `this kernel has none (${stderr.trim()})` : undefined;
}

describe.each(vendors)("plugins of %s", { timeout: 60_000 }, (vendor) => {
  let lab: CniLab;
  beforeAll(async () => {
    lab = await CniLab.create(vendor);
  }, 120_000);
  afterAll(() => lab?.remove());

  const network = (name: string, plugins: readonly object[], cniVersion = "1.0.0"): Promise<Network> =>
    parseNetwork(JSON.stringify({ cniVersion, name, plugins }));
  const hostLocal = (name: string, ...subnets: readonly string[]) => ({
    type: "host-local",
    dataDir: join(lab.directory, "addresses"),
    ranges: subnets.map((subnet) => [{ subnet }]),
    routes: subnets.map((subnet) => ({ dst: subnet.includes(":") ? "::/0" : "0.0.0.0/0" })),
    name,
  });
  const attachment = async (id: string, more: Partial<Attachment> = {}): Promise<Attachment> => ({
    containerId: id,
    netns: await lab.container(),
    ifName: "eth0",
    ...more,
  });
  const link = async (name: string, netns?: string): Promise<Listed | undefined> =>
    (await lab.json<Listed>(netns, "-details", "address", "show")).find(({ ifname }) => ifname === name);
  const addressesIn = async (name: string, netns?: string): Promise<readonly string[]> =>
    ((await link(name, netns))?.addr_info ?? []).filter(({ scope }) => scope === "global").map((a) => `${a.local}/${a.prefixlen}`);
  const routesIn = async (netns: string, family: "-4" | "-6"): Promise<readonly string[]> =>
    (await lab.json<{ dst: string; gateway?: string; dev: string }>(netns, family, "route", "show"))
      .filter(({ dst }) => !dst.startsWith("fe80:") && !dst.startsWith("ff00"))
      .map(({ dst, gateway }) => (gateway === undefined ? dst : `${dst} via ${gateway}`));
  const given = (): Promise<readonly string[]> => readdir(join(lab.directory, "addresses"), { recursive: true }).catch(() => []);

  /** A web server in a namespace, whose answer is its name. */
  async function serve(netns: string, port: number, answer: string): Promise<() => void> {
    const pages = join(lab.directory, `pages-${answer}`);
    await mkdir(pages, { recursive: true });
    await writeFile(join(pages, "index.html"), answer);
    const child = spawn("nsenter", [`--net=${netns}`, "busybox", "httpd", "-f", "-p", `[::]:${port}`, "-h", pages], { stdio: "ignore" });
    return () => void child.kill("SIGKILL");
  }
  const fetchFrom = async (netns: string | undefined, url: string): Promise<string> =>
    lab.in(netns, "curl", "-sS", "--max-time", "2", "-g", url).catch((error: unknown) => String(error));

  it("loopback brings lo up", async () => {
    const net = await network("lo", [{ type: "loopback" }]);
    const at = await attachment("lo-1", { ifName: "lo" });
    const result = await lab.runtime.add(net, at);
    expect(result.interfaces).toMatchObject([{ name: "lo", sandbox: at.netns }]);
    expect((await link("lo", at.netns))?.flags).toContain("UP");
    await lab.runtime.check(net, at);
    await lab.in(at.netns, "ip", "link", "set", "lo", "down");
    await expect(lab.runtime.check(net, at)).rejects.toThrow("lo");
    await lab.runtime.del(net, at);
    expect((await link("lo", at.netns))?.flags).not.toContain("UP");
  });

  describe("bridge", () => {
    const bridge = (name: string, more: object = {}) => ({
      type: "bridge",
      bridge: name,
      isGateway: true,
      hairpinMode: true,
      mtu: 1400,
      ...more,
    });

    it("attaches containers that reach each other and the host, of both families", async () => {
      const net = await network("both", [bridge("br-both", { ipam: hostLocal("both", "10.201.0.0/24", "fd00:201::/64") })]);
      const [a, b] = [await attachment("both-a"), await attachment("both-b")];
      const result = await lab.runtime.add(net, a);
      expect(result.ips).toEqual([
        { address: "10.201.0.2/24", gateway: "10.201.0.1", interface: 2 },
        { address: "fd00:201::2/64", gateway: "fd00:201::1", interface: 2 },
      ]);
      const [onHost, port, inside] = result.interfaces ?? [];
      expect(inside).toMatchObject({ name: "eth0", sandbox: a.netns, mac: (await link("eth0", a.netns))?.address });
      expect(onHost).toMatchObject({ name: "br-both", mac: (await link("br-both"))?.address });
      expect(await link(port?.name ?? "")).toMatchObject({ master: "br-both", address: port?.mac, mtu: 1400 });
      expect((await link(port?.name ?? ""))?.linkinfo?.info_slave_data?.hairpin).toBe(true);
      expect(await addressesIn("eth0", a.netns)).toEqual(["10.201.0.2/24", "fd00:201::2/64"]);
      expect((await link("eth0", a.netns))?.mtu).toBe(1400);
      expect(await addressesIn("br-both")).toEqual(["10.201.0.1/24", "fd00:201::1/64"]);
      expect(await routesIn(a.netns, "-4")).toEqual(["default via 10.201.0.1", "10.201.0.0/24"]);
      expect(await routesIn(a.netns, "-6")).toEqual(expect.arrayContaining(["default via fd00:201::1", "fd00:201::/64"]));
      await lab.runtime.add(net, b);
      const stop = await serve(a.netns, 8080, "both-a");
      await until("IPv4", async () => (await fetchFrom(b.netns, "http://10.201.0.2:8080/")) === "both-a");
      for (const from of [b.netns, undefined])
        await until("IPv6", async () => (await fetchFrom(from, "http://[fd00:201::2]:8080/")) === "both-a");
      stop();
      await lab.runtime.check(net, a);
      for (const at of [a, b, a]) await lab.runtime.del(net, at);
      expect(await link("eth0", a.netns)).toBeUndefined();
      expect(await link(port?.name ?? "")).toBeUndefined();
      expect((await given()).filter((name) => /both\/10\./.test(name))).toEqual([]);
    });

    it("refuses a second ADD of the same interface, which leaves the first alone", async () => {
      const net = await network("twice", [bridge("br-twice", { ipam: hostLocal("twice", "10.202.0.0/24") })]);
      const at = await attachment("twice-a");
      await lab.runtime.add(net, at);
      await expect(lab.runtime.add(net, at)).rejects.toThrow("already");
      expect(await addressesIn("eth0", at.netns)).toEqual(["10.202.0.2/24"]);
      const second = { ...at, ifName: "eth1" };
      await lab.runtime.add(net, second);
      expect(await addressesIn("eth1", at.netns)).toEqual(["10.202.0.3/24"]);
      for (const each of [at, second]) await lab.runtime.del(net, each);
    });

    it("releases the address of a container whose namespace is gone", async () => {
      const net = await network("gone", [bridge("br-gone", { ipam: hostLocal("gone", "10.203.0.0/24") })]);
      const at = await attachment("gone-a");
      await lab.runtime.add(net, at);
      await lab.in(undefined, "ip", "netns", "delete", at.netns.split("/").at(-1) ?? "");
      await lab.runtime.del(net, at);
      expect((await given()).filter((name) => /gone\/10\./.test(name))).toEqual([]);
    });

    it("CHECK notices a missing address, route and interface", async () => {
      const net = await network("check", [bridge("br-check", { ipam: hostLocal("check", "10.204.0.0/24") })]);
      const at = await attachment("check-a");
      await lab.runtime.add(net, at);
      await lab.in(at.netns, "ip", "route", "delete", "default");
      await expect(lab.runtime.check(net, at)).rejects.toThrow("Expected Route");
      await lab.in(at.netns, "ip", "route", "add", "default", "via", "10.204.0.1");
      await lab.runtime.check(net, at);
      await lab.in(at.netns, "ip", "address", "flush", "dev", "eth0");
      await expect(lab.runtime.check(net, at)).rejects.toThrow(/Failed to match addr/);
      await lab.in(at.netns, "ip", "link", "delete", "eth0");
      await expect(lab.runtime.check(net, at)).rejects.toThrow("eth0");
      await lab.runtime.del(net, at);
    });

    it("gives the hardware address that is asked for, and default routes by the gateway", async () => {
      const { routes: _none, ...ipam } = hostLocal("mac", "10.205.0.0/24");
      const net = await network("mac", [bridge("br-mac", { isDefaultGateway: true, capabilities: { mac: true }, ipam })]);
      const at = await attachment("mac-a", { capabilities: { mac: "02:11:22:33:44:55" } });
      const result = await lab.runtime.add(net, at);
      expect((await link("eth0", at.netns))?.address).toBe("02:11:22:33:44:55");
      expect(result.routes).toEqual([{ dst: "0.0.0.0/0", gw: "10.205.0.1" }]);
      expect(await routesIn(at.netns, "-4")).toContain("default via 10.205.0.1");
      await lab.runtime.del(net, at);
    });

    it("hides containers behind the host with ipMasq", async () => {
      const net = await network("masq", [bridge("br-masq", { ipMasq: true, ipam: hostLocal("masq", "10.206.0.0/24") })]);
      const at = await attachment("masq-a");
      await lab.runtime.add(net, at);
      const outside = await lab.container();
      await lab.in(
        undefined,
        "ip",
        "link",
        "add",
        "masq-out",
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "netns",
        outside.split("/").at(-1) ?? "",
      );
      for (const [netns, name, address] of [
        [undefined, "masq-out", "192.0.2.1/24"],
        [outside, "eth0", "192.0.2.2/24"],
      ] as const) {
        await lab.in(netns, "ip", "address", "add", address, "dev", name);
        await lab.in(netns, "ip", "link", "set", name, "up");
      }
      // Without a way back to the container only the host's address gets an answer.
      const stop = await serve(outside, 8080, "outside");
      await until("an answer", async () => (await fetchFrom(at.netns, "http://192.0.2.2:8080/")) === "outside");
      await lab.runtime.del(net, at);
      stop();
      const rules = `${await lab.in(undefined, "nft", "list", "ruleset")}`;
      expect(rules).not.toContain("10.206.0.2");
    });

    it("takes everything back where an address cannot be had", async () => {
      const ipam = {
        ...hostLocal("full", "10.207.0.0/24"),
        ranges: [[{ subnet: "10.207.0.0/24", rangeStart: "10.207.0.9", rangeEnd: "10.207.0.9" }]],
      };
      const net = await network("full", [bridge("br-full", { ipam })]);
      const [a, b] = [await attachment("full-a"), await attachment("full-b")];
      await lab.runtime.add(net, a);
      await expect(lab.runtime.add(net, b)).rejects.toThrow("no IP addresses available in range set: 10.207.0.9-10.207.0.9");
      expect(await link("eth0", b.netns)).toBeUndefined();
      await lab.runtime.del(net, a);
      await lab.runtime.add(net, b);
      await lab.runtime.del(net, b);
    });

    it("takes over a bridge that has another network's address, where it is told to", async () => {
      const ipam = { ipam: hostLocal("old", "10.218.0.0/24") };
      const old = await network("old-1", [bridge("br-old", { ipam: hostLocal("older", "10.217.0.0/24") })]);
      const [before, refused, after] = [await attachment("old-a"), await attachment("old-b"), await attachment("old-c")];
      await lab.runtime.add(old, before);
      expect(await addressesIn("br-old")).toContain("10.217.0.1/24");
      await expect(lab.runtime.add(await network("old-2", [bridge("br-old", ipam)]), refused)).rejects.toThrow(
        '"br-old" already has an IP address different from 10.218.0.1/24',
      );
      expect(await addressesIn("br-old")).toContain("10.217.0.1/24");
      const forced = await network("old-3", [bridge("br-old", { ...ipam, forceAddress: true })]);
      const { ips } = await lab.runtime.add(forced, after);
      expect(await addressesIn("br-old")).toEqual(["10.218.0.1/24"]);
      // What was attached before stays on the bridge, with the address it had.
      expect(await addressesIn("eth0", before.netns)).toEqual(["10.217.0.2/24"]);
      const address = (ips?.[0]?.address ?? "").split("/")[0];
      const stop = await serve(after.netns, 8080, "taken over");
      await until("the host reaches it", async () => (await fetchFrom(undefined, `http://${address}:8080/`)) === "taken over");
      stop();
      for (const at of [before, refused, after]) await lab.runtime.del(at === before ? old : forced, at);
    });

    it("20 at once have 20 addresses", async () => {
      const net = await network("many", [bridge("br-many", { ipam: hostLocal("many", "10.208.0.0/24") })]);
      const all = await Promise.all(Array.from({ length: 20 }, (_, i) => attachment(`many-${i}`)));
      const results = await Promise.all(all.map((at) => lab.runtime.add(net, at)));
      expect(new Set(results.map(({ ips }) => ips?.[0]?.address)).size).toBe(20);
      await Promise.all(all.map((at) => lab.runtime.del(net, at)));
      expect((await given()).filter((name) => /many\/10\./.test(name))).toEqual([]);
    });

    it.runIf(!missing.has("VLANs of a bridge"))("keeps containers of different VLANs apart", async () => {
      const of = (vlan: number) =>
        network(`vlan${vlan}`, [{ type: "bridge", bridge: "br-vlan", vlan, ipam: hostLocal(`vlan${vlan}`, "10.209.0.0/24") }]);
      const [first, second] = [await of(10), await of(20)];
      const [a, b, c] = [await attachment("vlan-a"), await attachment("vlan-b"), await attachment("vlan-c")];
      await lab.runtime.add(first, a);
      await lab.runtime.add(first, b);
      await lab.runtime.add(second, c);
      const stop = await serve(a.netns, 8080, "vlan-a");
      await until("its own VLAN", async () => (await fetchFrom(b.netns, "http://10.209.0.2:8080/")) === "vlan-a");
      // In the other VLAN 10.209.0.2 is the asker itself, which does not listen.
      expect(await fetchFrom(c.netns, "http://10.209.0.2:8080/")).not.toBe("vlan-a");
      stop();
      for (const [net, at] of [
        [first, a],
        [first, b],
        [second, c],
      ] as const)
        await lab.runtime.del(net, at);
    });
  });

  it("portmap leads ports of the host to the container, from the host, from itself and by address, until DEL", async () => {
    const plugins = [
      { type: "bridge", bridge: "br-port", isGateway: true, hairpinMode: true, ipam: hostLocal("port", "10.210.0.0/24") },
      { type: "portmap", capabilities: { portMappings: true }, snat: true },
    ];
    const net = await network("port", plugins);
    await lab.in(undefined, "ip", "address", "add", "198.51.100.7/32", "dev", "lo");
    const portMappings = [
      { hostPort: 9080, containerPort: 8080, protocol: "tcp" },
      { hostPort: 9081, containerPort: 8080, protocol: "tcp", hostIP: "198.51.100.7" },
      { hostPort: 9082, containerPort: 8082, protocol: "udp" },
    ];
    const at = await attachment("port-a", { capabilities: { portMappings } });
    const before = await lab.runtime.add(net, at);
    expect(before.interfaces).toHaveLength(3);
    const stop = await serve(at.netns, 8080, "port-a");
    await until("by the host's address", async () => (await fetchFrom(undefined, "http://10.210.0.1:9080/")) === "port-a");
    expect(await fetchFrom(undefined, "http://127.0.0.1:9080/")).toBe("port-a");
    expect(await fetchFrom(at.netns, "http://10.210.0.1:9080/")).toBe("port-a");
    expect(await fetchFrom(undefined, "http://198.51.100.7:9081/")).toBe("port-a");
    expect(await fetchFrom(undefined, "http://10.210.0.1:9081/")).not.toBe("port-a");
    // Debian's looks for rules of both families.
    if (vendor === "coracle") await lab.runtime.check(net, at);
    await lab.runtime.del(net, at);
    await lab.runtime.del(net, at);
    stop();
    expect(await lab.in(undefined, "nft", "list", "ruleset")).not.toContain("10.210.0.2");
  });

  it.runIf(vendor === "coracle" && vendors.includes("debian"))(
    "what Debian's plugins have attached our chain keeps, and detaches without a trace",
    async () => {
      const list = [
        { type: "bridge", bridge: "br-up", isGateway: true, hairpinMode: true, ipam: hostLocal("up", "10.220.0.0/24") },
        { type: "portmap", capabilities: { portMappings: true }, snat: true },
      ];
      const before = await network("up", list);
      const after = await network("up", [{ type: "coracle", capabilities: { portMappings: true }, plugins: list }]);
      const capabilities = { portMappings: [{ hostPort: 9090, containerPort: 8080, protocol: "tcp" }] };
      const [old, fresh] = [await attachment("up-old", { capabilities }), await attachment("up-new")];
      await (await lab.debianRuntime()).add(before, old);
      expect(await lab.in(undefined, "iptables-save", "-t", "nat")).toContain("--to-destination 10.220.0.2:8080");
      const mac = (await link("br-up"))?.address;
      expect((await lab.runtime.add(after, fresh)).ips?.[0]?.address).toBe("10.220.0.3/24");
      expect((await link("br-up"))?.address).toBe(mac);
      const stop = await serve(old.netns, 8080, "up-old");
      await until("the old one by the new one", async () => (await fetchFrom(fresh.netns, "http://10.220.0.2:8080/")) === "up-old");
      stop();
      for (const at of [old, fresh]) await lab.runtime.del(after, at);
      const rules = await lab.in(undefined, "iptables-save", "-t", "nat");
      for (const trace of ["10.220.0.2", "up-old", "CNI-DN-"]) expect(rules).not.toContain(trace);
      expect((await given()).filter((name) => /up\/10\./.test(name))).toEqual([]);
      expect(await link("eth0", old.netns)).toBeUndefined();
    },
  );

  it("ptp gives the container a link of its own, by which everything goes", async () => {
    const net = await network("ptp", [{ type: "ptp", mtu: 1400, ipam: hostLocal("ptp", "10.211.0.0/24", "fd00:211::/64") }]);
    const [a, b] = [await attachment("ptp-a"), await attachment("ptp-b")];
    const result = await lab.runtime.add(net, a);
    await lab.runtime.add(net, b);
    expect(result.ips?.map(({ address, interface: on }) => [address, on])).toEqual([
      ["10.211.0.2/24", 1],
      ["fd00:211::2/64", 1],
    ]);
    expect(await addressesIn(result.interfaces?.[0]?.name ?? "")).toEqual(["10.211.0.1/32", "fd00:211::1/128"]);
    expect([...(await routesIn(a.netns, "-4"))].sort()).toEqual(["10.211.0.0/24 via 10.211.0.1", "10.211.0.1", "default via 10.211.0.1"]);
    const stop = await serve(a.netns, 8080, "ptp-a");
    await until("IPv4", async () => (await fetchFrom(b.netns, "http://10.211.0.2:8080/")) === "ptp-a");
    await until("IPv6", async () => (await fetchFrom(b.netns, "http://[fd00:211::2]:8080/")) === "ptp-a");
    stop();
    await lab.runtime.check(net, a);
    for (const at of [a, b, a]) await lab.runtime.del(net, at);
    expect(await link("eth0", a.netns)).toBeUndefined();
  });

  describe("interfaces upon one of the host's", () => {
    beforeAll(async () => {
      await lab.in(undefined, "ip", "link", "add", "uplink", "type", "veth", "peer", "name", "uplink-peer");
      for (const name of ["uplink", "uplink-peer"]) await lab.in(undefined, "ip", "link", "set", name, "up");
    });
    const ipam = (n: number) => ({
      type: "static",
      addresses: [{ address: `10.212.${n}.5/24`, gateway: `10.212.${n}.1` }],
      routes: [{ dst: "10.99.0.0/16", gw: `10.212.${n}.1` }],
    });

    it.runIf(!missing.has("macvlan"))("macvlan", async () => {
      const net = await network("macv", [
        { type: "macvlan", master: "uplink", mode: "private", mtu: 1300, capabilities: { mac: true }, ipam: ipam(1) },
      ]);
      const at = await attachment("macv-a", { capabilities: { mac: "02:00:00:00:00:07" } });
      const result = await lab.runtime.add(net, at);
      expect(result.interfaces).toMatchObject([{ name: "eth0", mac: "02:00:00:00:00:07", sandbox: at.netns }]);
      expect(await link("eth0", at.netns)).toMatchObject({ mtu: 1300, linkinfo: { info_kind: "macvlan", info_data: { mode: "private" } } });
      expect(await addressesIn("eth0", at.netns)).toEqual(["10.212.1.5/24"]);
      expect(await routesIn(at.netns, "-4")).toContain("10.99.0.0/16 via 10.212.1.1");
      await lab.runtime.check(net, at);
      await lab.runtime.del(net, at);
      await lab.runtime.del(net, at);
      expect(await link("eth0", at.netns)).toBeUndefined();
      const tooLarge = await network("macv", [{ type: "macvlan", master: "uplink", mtu: 9000, ipam: ipam(1) }]);
      await expect(lab.runtime.add(tooLarge, at)).rejects.toThrow("invalid MTU 9000, must be [0, master MTU(1500)]");
    });

    it.runIf(!missing.has("vlan"))("vlan", async () => {
      const net = await network("vlan", [{ type: "vlan", master: "uplink", vlanId: 77, ipam: ipam(2) }]);
      const at = await attachment("vlan-a");
      await lab.runtime.add(net, at);
      expect(await link("eth0", at.netns)).toMatchObject({ linkinfo: { info_kind: "vlan", info_data: { id: 77 } } });
      expect(await addressesIn("eth0", at.netns)).toEqual(["10.212.2.5/24"]);
      await lab.runtime.check(net, at);
      await lab.runtime.del(net, at);
      expect(await link("eth0", at.netns)).toBeUndefined();
      await expect(lab.runtime.add(await network("vlan", [{ type: "vlan", vlanId: 7 }]), at)).rejects.toThrow('"master" field is required');
    });

    it.runIf(!missing.has("ipvlan"))("ipvlan", async () => {
      const net = await network("ipvl", [{ type: "ipvlan", master: "uplink", mode: "l3", ipam: ipam(3) }]);
      const at = await attachment("ipvl-a");
      await lab.runtime.add(net, at);
      expect(await link("eth0", at.netns)).toMatchObject({ linkinfo: { info_kind: "ipvlan" } });
      await lab.runtime.del(net, at);
    });
  });

  it("host-device moves an interface of the host into the container and back, as it was", async () => {
    await lab.in(undefined, "ip", "link", "add", "dev0", "type", "veth", "peer", "name", "dev0-peer");
    const mac = (await link("dev0"))?.address;
    const net = await network("dev", [
      { type: "host-device", device: "dev0", ipam: { type: "static", addresses: [{ address: "10.213.0.5/24" }] } },
    ]);
    const at = await attachment("dev-a");
    const result = await lab.runtime.add(net, at);
    expect(result.interfaces).toMatchObject([{ name: "eth0", mac, sandbox: at.netns }]);
    expect(await link("dev0")).toBeUndefined();
    expect(await addressesIn("eth0", at.netns)).toEqual(["10.213.0.5/24"]);
    expect((await link("eth0", at.netns))?.ifalias).toBe("dev0");
    await lab.runtime.check(net, at);
    await lab.runtime.del(net, at);
    expect(await link("dev0")).toMatchObject({ address: mac });
    expect(await link("eth0", at.netns)).toBeUndefined();
    // Debian's fails the second time.
    if (vendor === "coracle") await lab.runtime.del(net, at);
    const unknown = await network("dev", [{ type: "host-device", device: "no-such" }]);
    await expect(lab.runtime.add(unknown, at)).rejects.toThrow("failed to find host device");
  });

  // Debian's needs a daemon of its own.
  it.runIf(vendor === "coracle")("dhcp has an address from a server of the network, until DEL gives it back", async () => {
    await lab.in(undefined, "ip", "link", "add", "br-dhcp", "type", "bridge");
    await lab.in(undefined, "ip", "address", "add", "10.219.0.1/24", "dev", "br-dhcp");
    await lab.in(undefined, "ip", "link", "set", "br-dhcp", "up");
    const [file, leases] = [join(lab.directory, "udhcpd.conf"), join(lab.directory, "udhcpd.leases")];
    const options = ["subnet 255.255.255.0", "router 10.219.0.1", "dns 10.219.0.53", "domain dhcp.test", "lease 10"];
    const lines = ["start 10.219.0.20", "end 10.219.0.20", "interface br-dhcp", `lease_file ${leases}`, `pidfile ${file}.pid`];
    await writeFile(leases, "");
    await writeFile(file, [...lines, ...options.map((option) => `option ${option}`), ""].join("\n"));
    const server = spawn("nsenter", [`--net=/run/netns/${lab.host}`, "busybox", "udhcpd", "-f", file], { stdio: "ignore" });
    try {
      const net = await network("dhcp", [{ type: "bridge", bridge: "br-dhcp", ipam: { type: "dhcp" } }]);
      const at = await attachment("dhcp-a");
      const result = await lab.runtime.add(net, at);
      expect(result).toMatchObject({
        ips: [{ address: "10.219.0.20/24", gateway: "10.219.0.1", interface: 2 }],
        routes: [{ dst: "0.0.0.0/0", gw: "10.219.0.1" }],
        dns: { nameservers: ["10.219.0.53"], domain: "dhcp.test" },
      });
      expect(await addressesIn("eth0", at.netns)).toEqual(["10.219.0.20/24"]);
      await lab.runtime.check(net, at);
      // The process that keeps it is another one: it renews the lease, and gives it back.
      await lab.restartHost();
      await lab.runtime.check(net, at);
      const kept = join(lab.directory, "cni", "dhcp");
      const renewAt = async (): Promise<number> => {
        const [name = ""] = (await readdir(kept)).filter((each) => each.endsWith(".json"));
        return (JSON.parse(await readFile(join(kept, name), "utf8")) as { readonly renewAt: number }).renewAt;
      };
      const before = await renewAt();
      await until("the lease is renewed", async () => (await renewAt()) > before);
      await lab.runtime.del(net, at);
      expect(await readdir(kept)).toEqual([]);
      await expect(lab.runtime.check(net, at)).rejects.toThrow("lease not found");
      await lab.runtime.del(net, at);
      // There is no other address: it has been given back.
      const next = await attachment("dhcp-b");
      expect((await lab.runtime.add(net, next)).ips).toMatchObject([{ address: "10.219.0.20/24" }]);
      await lab.runtime.del(net, next);
    } finally {
      server.kill("SIGKILL");
    }
  });

  describe("chained to bridge", () => {
    const first = (name: string, subnet: string) => ({ type: "bridge", bridge: name, isGateway: true, ipam: hostLocal(name, subnet) });

    it("tuning sets parameters and attributes, and puts attributes back", async () => {
      const own = {
        type: "tuning",
        sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_ignore": "1" },
        mtu: 1280,
        promisc: true,
        allmulti: true,
      };
      // Debian's version does not know IFNAME and keeps its memory elsewhere.
      const sysctl = vendor === "debian" ? { "net.core.somaxconn": "500" } : own.sysctl;
      const net = await network("tune", [first("br-tune", "10.214.0.0/24"), { ...own, sysctl, dataDir: join(lab.directory, "tuning") }]);
      const at = await attachment("tune-a", { args: { IgnoreUnknown: "1", MAC: "02:00:00:00:01:01" } });
      const result = await lab.runtime.add(net, at);
      expect(await lab.in(at.netns, "cat", "/proc/sys/net/core/somaxconn")).toBe("500\n");
      if (vendor === "coracle") expect(await lab.in(at.netns, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore")).toBe("1\n");
      expect(await link("eth0", at.netns)).toMatchObject({ address: "02:00:00:00:01:01", mtu: 1280, promiscuity: 1 });
      expect(result.interfaces?.[2]?.mac).toBe("02:00:00:00:01:01");
      await lab.runtime.check(net, at);
      await lab.in(at.netns, "ip", "link", "set", "eth0", "mtu", "1400");
      await expect(lab.runtime.check(net, at)).rejects.toThrow("MTU");
      await lab.runtime.del(net, at);
      const wrong = await network("tune2", [first("br-tune", "10.214.0.0/24"), { type: "tuning", sysctl: { "kernel.panic": "1" } }]);
      await expect(lab.runtime.add(wrong, await attachment("tune-b"))).rejects.toThrow("invalid net sysctl key");
    });

    it.runIf(!missing.has("ifb"))("bandwidth holds both directions to a rate", async () => {
      const net = await network("rate", [first("br-rate", "10.215.0.0/24"), { type: "bandwidth", capabilities: { bandwidth: true } }]);
      const bandwidth = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 16_000_000, egressBurst: 800_000 };
      const at = await attachment("rate-a", { capabilities: { bandwidth } });
      const result = await lab.runtime.add(net, at);
      const [, port] = result.interfaces ?? [];
      const ifb = result.interfaces?.find(({ name }) => name.startsWith("bwp"))?.name ?? "";
      const rates = async (device: string): Promise<readonly number[]> =>
        (
          JSON.parse(await lab.in(undefined, "tc", "-json", "qdisc", "show", "dev", device)) as {
            kind: string;
            options: { rate?: number };
          }[]
        )
          .filter(({ kind }) => kind === "tbf")
          .map(({ options }) => options.rate ?? 0);
      expect(await rates(port?.name ?? "")).toEqual([1_000_000]);
      expect(await rates(ifb)).toEqual([2_000_000]);
      await lab.runtime.check(net, at);
      await lab.runtime.del(net, at);
      await lab.runtime.del(net, at);
      expect(await link(ifb)).toBeUndefined();
      const without = await attachment("rate-b");
      expect((await lab.runtime.add(net, without)).interfaces).toHaveLength(3);
      await lab.runtime.del(net, without);
    });

    it("firewall lets packets through where forwarded ones are dropped", async () => {
      await lab.in(undefined, "iptables", "-P", "FORWARD", "DROP");
      const net = await network("fire", [first("br-fire", "10.216.0.0/24"), { type: "firewall", backend: "iptables" }]);
      const [a, b] = [await attachment("fire-a"), await attachment("fire-b")];
      for (const at of [a, b]) await lab.runtime.add(net, at);
      const saved = await lab.in(undefined, "iptables-save", "-t", "filter");
      for (const line of [
        '-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
        '-A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN',
        "-A CNI-FORWARD -d 10.216.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A CNI-FORWARD -s 10.216.0.2/32 -j ACCEPT",
        "-A CNI-FORWARD -s 10.216.0.3/32 -j ACCEPT",
      ])
        expect(saved.split("\n").filter((each) => each === line)).toHaveLength(1);
      await lab.runtime.check(net, a);
      await lab.runtime.del(net, a);
      await lab.runtime.del(net, a);
      expect(await lab.in(undefined, "iptables-save", "-t", "filter")).not.toContain("10.216.0.2");
      await lab.runtime.check(net, b);
      await lab.runtime.del(net, b);
      await lab.in(undefined, "iptables", "-P", "FORWARD", "ACCEPT");
    });
  });

  it.each(["0.2.0", "0.3.1", "0.4.0", "1.0.0"])("speak version %s", async (version) => {
    const subnet = `10.217.${version.replaceAll(".", "")}.0/24`.replace("10.217.0", "10.217.");
    const plugin = { type: "bridge", bridge: "br-old", isGateway: true, ipam: hostLocal(`v${version}`, subnet) };
    const net = await network(`v${version}`, [{ ...plugin, forceAddress: true }], version);
    const at = await attachment(`v-${version}`);
    const result: CniResult = await lab.runtime.add(net, at);
    expect(result.ips?.[0]?.address).toBe(subnet.replace(".0/24", ".2/24"));
    await lab.runtime.del(net, at);
    expect(await lab.runtime.versions("bridge")).toEqual(expect.arrayContaining(["0.2.0", "0.3.1", "0.4.0", "1.0.0"]));
  });

  it("an address file says whose it is, as upstream writes it", async () => {
    const net = await network("files", [{ type: "bridge", bridge: "br-files", ipam: hostLocal("files", "10.218.0.0/24") }]);
    const at = await attachment("files-a");
    await lab.runtime.add(net, at);
    expect(await readFile(join(lab.directory, "addresses", "files", "10.218.0.2"), "utf8")).toBe("files-a\r\neth0");
    expect(await readFile(join(lab.directory, "addresses", "files", "last_reserved_ip.0"), "utf8")).toBe("10.218.0.2");
    await lab.runtime.del(net, at);
  });
});

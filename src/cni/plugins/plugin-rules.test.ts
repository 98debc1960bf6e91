// What plugins decide, without a kernel: commands of ip and tc, rules of the packet filters, configurations handed on.
import { describe, expect, test } from "vitest";
import { createPlugins } from "./all.ts";
import { limitCommands } from "./bandwidth.ts";
import { createBridge } from "./bridge/bridge.ts";
import { gatewayCommands, vlanCommands } from "./bridge/bridge-commands.ts";
import { bridgeAddresses, readBridgeSettings } from "./bridge/bridge-settings.ts";
import { chain } from "./chain.ts";
import { isTableOf } from "./container-names.ts";
import { commandsOf, createFakeEffects, fakeCall } from "./fake-effects.ts";
import { acceptanceRules, addRules, isolationRules, missingRules, removeRules } from "./firewall-rules.ts";
import { delegateConfig, parseSubnetFile } from "./flannel.ts";
import { masqueradeChains } from "./ip-masquerade.ts";
import { ipvlan } from "./ipvlan.ts";
import type { CniPlugin } from "./plugin.ts";
import { pluginNames } from "./plugin-names.ts";
import { portChains, portmap } from "./portmap.ts";
import { staticPlugin } from "./static.ts";
import { sysctlPath } from "./tuning.ts";
import { vlan } from "./vlan.ts";

test("every plugin has an executable", () => {
  expect(Object.keys(createPlugins()).sort()).toEqual(pluginNames.toSorted());
});

describe("bridge", () => {
  const ipam: CniPlugin = {
    add: async () => ({ ips: [{ address: "10.1.0.5/24" }, { address: "fd00::5/64" }], routes: [{ dst: "0.0.0.0/0" }] }),
    del: async () => undefined,
    check: async () => undefined,
  };
  const config = { type: "bridge", bridge: "br0", isGateway: true, hairpinMode: true, mtu: 1400, ipam: { type: "host-local" } };

  test("ADD is one batch on the host and one in the container", async () => {
    const effects = createFakeEffects({ plugins: { "host-local": ipam } });
    const result = await createBridge().add(fakeCall(config), effects);
    const [onHost, inside] = effects.batches;
    expect(effects.batches).toHaveLength(2);
    const [bridge, port, pod] = result.interfaces ?? [];
    expect(commandsOf(onHost)).toEqual([
      `link add name br0 mtu 1400 address ${bridge?.mac} type bridge`,
      "link set dev br0 up",
      "address add 10.1.0.1/24 dev br0",
      "address add fd00::1/64 dev br0 nodad",
      `link add name ${port?.name} mtu 1400 address ${port?.mac} master br0 type veth peer name eth0 mtu 1400 address ${pod?.mac} netns /run/netns/c1`,
      `link set dev ${port?.name} type bridge_slave hairpin on`,
      `link set dev ${port?.name} addrgenmode none`,
      `link set dev ${port?.name} up`,
    ]);
    expect(inside?.netns).toBe("/run/netns/c1");
    expect(commandsOf(inside)).toEqual([
      "link set dev eth0 up",
      "address add 10.1.0.5/24 dev eth0",
      "address add fd00::5/64 dev eth0 nodad",
      "route add 0.0.0.0/0 via 10.1.0.1 dev eth0",
    ]);
    expect(result.ips?.[1]).toEqual({ address: "fd00::5/64", gateway: "fd00::1", interface: 2 });
  });

  test("gives addresses back where the container cannot be attached", async () => {
    const released: string[] = [];
    const effects = createFakeEffects({
      plugins: { "host-local": { ...ipam, del: async ({ containerId }) => void released.push(containerId) } },
    });
    const failing = { ...effects, ip: async () => Promise.reject(new Error("no memory")) };
    await expect(createBridge().add(fakeCall(config), failing)).rejects.toThrow("no memory");
    expect(released).toEqual(["c1"]);
  });

  test("refuses a bridge whose address is in the way, or takes it off", () => {
    const facts = { gateways: ["10.1.0.1/24"], present: ["10.9.0.1/24", "fd00::9/64"] };
    expect(() => gatewayCommands("br0", { ...facts, forceAddress: false })).toThrow(
      '"br0" already has an IP address different from 10.1.0.1/24',
    );
    expect(gatewayCommands("br0", { ...facts, forceAddress: true })[0]).toBe("address delete 10.9.0.1/24 dev br0");
    expect(gatewayCommands("br0", { gateways: ["fd01::1/64"], present: ["fd00::9/64"], forceAddress: false })).toHaveLength(1);
  });

  test("knows VLANs and trunks", () => {
    const settings = readBridgeSettings(fakeCall({ bridge: "br0", vlan: 10, vlanTrunk: [{ minID: 20, maxID: 22 }, { id: 5 }] }));
    expect(vlanCommands("veth1", settings)).toEqual([
      "vlan delete dev veth1 vid 1",
      "vlan add dev veth1 vid 10 pvid untagged",
      ...[5, 20, 21, 22].map((id) => `vlan add dev veth1 vid ${id}`),
    ]);
    expect(vlanCommands("veth1", readBridgeSettings(fakeCall({})))).toEqual([]);
  });

  test.each([
    [{ hairpinMode: true, promiscMode: true }, "cannot set hairpin mode and promiscuous mode"],
    [{ vlan: 5000 }, "vlan: expected a whole number up to 4094"],
    [{ vlanTrunk: [{ minID: 5 }] }, "minID and maxID should be configured simultaneously"],
    [{ vlanTrunk: [{ minID: 5, maxID: 4 }] }, "minID is greater than maxID"],
    [{ mtu: "1500" }, "mtu: expected a whole number"],
    [{ isGateway: "yes" }, "isGateway: expected true or false"],
  ])("refuses %j", (fields, message) => {
    expect(() => readBridgeSettings(fakeCall(fields))).toThrow(message);
  });

  test("adds default routes by its gateways once", () => {
    const settings = readBridgeSettings(fakeCall({ isDefaultGateway: true }));
    const result = bridgeAddresses({ ips: [{ address: "10.1.0.5/24" }, { address: "10.2.0.5/24" }] }, settings);
    expect(result.routes).toEqual([{ dst: "0.0.0.0/0", gw: "10.1.0.1" }]);
  });
});

describe("portmap", () => {
  const ips = [{ address: "10.1.0.5/24" }, { address: "fd00::5/64" }];
  const result = { interfaces: [{ name: "br0" }, { name: "eth0", sandbox: "/x" }], ips };
  const add = async (portMappings: readonly object[], more: object = {}): Promise<readonly string[]> => {
    const effects = createFakeEffects();
    await portmap.add(fakeCall({ type: "portmap", prevResult: result, runtimeConfig: { portMappings }, ...more }), effects);
    return effects.scripts
      .join("\n")
      .split("\n")
      .map((line) => line.trim());
  };

  test("leads a port of all addresses to each of the container's", async () => {
    const lines = await add([{ hostPort: 8080, containerPort: 80, protocol: "TCP" }]);
    expect(lines).toContain("meta nfproto ipv4 tcp dport 8080 dnat ip to 10.1.0.5:80");
    expect(lines).toContain("meta nfproto ipv6 tcp dport 8080 dnat ip6 to [fd00::5]:80");
    expect(lines).toContain("meta nfproto ipv4 tcp dport 8080 ip saddr 127.0.0.1 meta mark set meta mark | 0x2000");
    expect(lines).toContain("meta nfproto ipv4 tcp dport 8080 ip saddr 10.1.0.0/24 meta mark set meta mark | 0x2000");
    expect(lines).toContain("ip daddr 10.1.0.5 meta mark & 0x2000 == 0x2000 masquerade");
  });

  test("leads a port of one address to the container's of that family", async () => {
    const lines = await add([{ hostPort: 53, containerPort: 5353, protocol: "udp", hostIP: "192.0.2.1" }]);
    expect(lines).toContain("meta nfproto ipv4 ip daddr 192.0.2.1 udp dport 53 dnat ip to 10.1.0.5:5353");
    expect(lines.filter((line) => line.includes("dnat ip6"))).toEqual([]);
    const all = await add([{ hostPort: 53, containerPort: 53, protocol: "sctp", hostIP: "::" }]);
    expect(all.filter((line) => line.includes("dnat"))).toEqual(["meta nfproto ipv6 sctp dport 53 dnat ip6 to [fd00::5]:53"]);
  });

  test("without snat, and for all sources", () => {
    const mapping = { hostPort: 80, containerPort: 80, protocol: "tcp" } as const;
    const settings = { mappings: [mapping], snat: false, masqAll: false, markMasqBit: 3, conditions: { 4: [], 6: [] } };
    expect(portChains(settings, ips).filter((line) => line.includes("mark"))).toEqual([]);
    const marks = portChains({ ...settings, snat: true, masqAll: true }, [{ address: "10.1.0.5/24" }]).filter((line) =>
      line.includes("mark set"),
    );
    expect(marks.map((line) => line.trim())).toEqual(["meta nfproto ipv4 tcp dport 80 meta mark set meta mark | 0x8"]);
  });

  test("does nothing without ports, and refuses what makes no sense", async () => {
    expect(await add([{ hostPort: 0, containerPort: 80 }])).toEqual([""]);
    await expect(add([{ hostPort: 70000, containerPort: 80 }])).rejects.toThrow("hostPort: expected a whole number up to 65535");
    await expect(add([{ hostPort: 80, containerPort: 80, protocol: "icmp" }])).rejects.toThrow("Unsupported protocol: icmp");
    await expect(add([{ hostPort: 80, containerPort: 80 }], { backend: "iptables" })).rejects.toMatchObject({ code: 2 });
  });
});

describe("chain", () => {
  const seen: string[] = [];
  const link = (name: string, fails = false): CniPlugin => ({
    async add({ config }) {
      seen.push(`add ${name} ${JSON.stringify(config.runtimeConfig ?? {})} ${config.prevResult?.interfaces?.length ?? 0}`);
      if (fails) throw new Error("broken");
      return { interfaces: [...(config.prevResult?.interfaces ?? []), { name }] };
    },
    del: async () => void seen.push(`del ${name}`),
    check: async () => void seen.push(`check ${name}`),
  });
  const config = {
    type: "coracle",
    runtimeConfig: { mac: "x", ips: [] },
    plugins: [{ type: "a" }, { type: "b", capabilities: { mac: true } }],
  };

  test("hands each plugin its own configuration, in order and in reverse", async () => {
    seen.length = 0;
    const effects = createFakeEffects({ plugins: { a: link("a"), b: link("b") } });
    expect(await chain.add(fakeCall(config), effects)).toEqual({ interfaces: [{ name: "a" }, { name: "b" }] });
    await chain.check(fakeCall(config), effects);
    await chain.del(fakeCall(config), effects);
    expect(seen).toEqual(["add a {} 0", 'add b {"mac":"x"} 1', "check a", "check b", "del b", "del a"]);
  });

  test("takes back what was done before a plugin that fails", async () => {
    seen.length = 0;
    const effects = createFakeEffects({ plugins: { a: link("a"), b: link("b", true) } });
    await expect(chain.add(fakeCall(config), effects)).rejects.toThrow("broken");
    expect(seen.slice(2)).toEqual(["del a"]);
    await expect(chain.add(fakeCall({ ...config, plugins: [{ type: "coracle" }] }), effects)).rejects.toThrow("type of a plugin");
  });
});

describe("plugins this kernel may lack interfaces for", () => {
  const lists = { "-4 route show default": [{ dev: "uplink" }] };

  test("ipvlan makes an interface upon that of the default route", async () => {
    const effects = createFakeEffects({ lists });
    await ipvlan.add(fakeCall({ type: "ipvlan", mode: "l3" }), effects);
    const [made, renamed] = effects.batches;
    expect(commandsOf(made)[0]).toMatch(/^link add link uplink name ipvl[0-9a-f]{8} netns \/run\/netns\/c1 type ipvlan mode l3$/);
    expect(commandsOf(renamed)[0]).toMatch(/^link set dev ipvl[0-9a-f]{8} name eth0$/);
    await expect(ipvlan.add(fakeCall({ type: "ipvlan", mode: "l9" }), effects)).rejects.toThrow('unknown ipvlan mode: "l9"');
  });

  test("vlan makes one of its number, in the container where its master is there", async () => {
    const effects = createFakeEffects();
    await vlan.add(fakeCall({ type: "vlan", master: "up", vlanId: 7, linkInContainer: true }), effects);
    expect(effects.batches[0]?.netns).toBe("/run/netns/c1");
    expect(commandsOf(effects.batches[0])[0]).toMatch(/^link add link up name vlan[0-9a-f]{8} type vlan id 7$/);
    await expect(vlan.add(fakeCall({ type: "vlan", master: "up", vlanId: 4095 }), effects)).rejects.toThrow("invalid VLAN ID 4095");
  });

  test("bandwidth limits both ways", () => {
    expect(limitCommands("veth1", "bwp1", { ingress: { rate: 1000, burst: 8000 }, egress: { rate: 2000, burst: 16_000 } })).toEqual([
      "qdisc add dev veth1 root handle 1: tbf rate 1000bit burst 1000b latency 25ms",
      "qdisc add dev veth1 handle ffff: ingress",
      "filter add dev veth1 parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev bwp1",
      "qdisc add dev bwp1 root handle 1: tbf rate 2000bit burst 2000b latency 25ms",
    ]);
  });
});

describe("firewall rules", () => {
  const wanted = acceptanceRules(["10.1.0.5/32"], "CNI-ADMIN");

  test("adds chains and rules that are missing, and nothing a second time", () => {
    const input = addRules("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n", wanted) ?? "";
    expect(input.split("\n")).toEqual([
      "*filter",
      ":CNI-FORWARD - [0:0]",
      ":CNI-ADMIN - [0:0]",
      '-I FORWARD 1 -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
      '-I CNI-FORWARD 1 -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN',
      "-A CNI-FORWARD -d 10.1.0.5/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A CNI-FORWARD -s 10.1.0.5/32 -j ACCEPT",
      "COMMIT",
      "",
    ]);
    const saved = input.replace(/^-I (\S+) 1/gm, "-A $1");
    expect(addRules(saved, wanted)).toBeUndefined();
    expect(missingRules(saved, wanted)).toEqual([]);
    expect(
      removeRules(saved, ["10.1.0.5/32"])
        ?.split("\n")
        .filter((line) => line.startsWith("-D")),
    ).toHaveLength(2);
    expect(removeRules(saved, ["10.1.0.50/32"])).toBeUndefined();
  });

  test("isolates bridges, and containers of one", () => {
    expect(isolationRules("open", "br0")).toEqual([]);
    const drops = (policy: "same-bridge" | "isolated") =>
      isolationRules(policy, "br0").filter(({ rule }) => rule.endsWith("-j DROP")).length;
    expect([drops("same-bridge"), drops("isolated")]).toEqual([1, 2]);
  });
});

describe("flannel", () => {
  const text = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

  test("has bridge make the interface in the node's range", () => {
    expect(delegateConfig(fakeCall({ delegate: { hairpinMode: true } }).config, parseSubnetFile(text, "f"))).toEqual({
      ...{ cniVersion: "1.1.0", name: "net", type: "bridge", isGateway: true, hairpinMode: true, ipMasq: false, mtu: 1450 },
      ipam: { type: "host-local", ranges: [[{ subnet: "10.244.3.0/24" }]], routes: [{ dst: "10.244.0.0/16" }] },
    });
  });

  test("refuses what it sets itself, and a file that says too little", () => {
    expect(() => delegateConfig(fakeCall({ delegate: { ipam: {} } }).config, parseSubnetFile(text, "f"))).toThrow(
      "must not have 'ipam' field",
    );
    expect(() => parseSubnetFile("FLANNEL_MTU=1450\n", "f")).toThrow("missing FLANNEL_NETWORK");
  });
});

test("static gives what is written, or asked for", async () => {
  const ipam = {
    type: "static",
    addresses: [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: { domain: "x" },
  };
  const effects = createFakeEffects();
  expect(await staticPlugin.add(fakeCall({ ipam }), effects)).toEqual({ ips: ipam.addresses, routes: ipam.routes, dns: { domain: "x" } });
  const asked = await staticPlugin.add(fakeCall({ ipam, runtimeConfig: { ips: ["10.9.0.9/24"] } }), effects);
  expect(asked.ips).toEqual([{ address: "10.9.0.9/24" }]);
  const fromArgs = await staticPlugin.add(
    fakeCall({ ipam: { type: "static" } }, { args: { IP: "10.3.0.5/24", GATEWAY: "10.3.0.1" } }),
    effects,
  );
  expect(fromArgs.ips).toEqual([{ address: "10.3.0.5/24", gateway: "10.3.0.1" }]);
  await expect(staticPlugin.add(fakeCall({ ipam: { addresses: [{ address: "10.1.0.5" }] } }), effects)).rejects.toThrow("CIDR notation");
});

test("masqueradeChains() spares the container's own network and multicast", () => {
  expect(masqueradeChains([{ address: "10.1.0.5/24" }])).toContain(
    "  ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 ip daddr != 224.0.0.0/4 masquerade",
  );
});

test("sysctlPath() stays in the network's parameters", () => {
  expect(sysctlPath("net.ipv4.conf.IFNAME.arp_filter", "eth0.5")).toBe("net/ipv4/conf/eth0.5/arp_filter");
  for (const key of ["kernel.panic", "..kernel.net.x", "/net"]) expect(() => sysctlPath(key, "eth0")).toThrow("invalid net sysctl key");
});

test("isTableOf() tells networks apart whose names begin alike", () => {
  expect(isTableOf("a", "cni-hostports-a-0123456789ab")).toBe(true);
  expect(isTableOf("a", "cni-hostports-a-b-0123456789ab")).toBe(false);
  expect(isTableOf("a", "cni-masq-a-0123456789ab", "hostports")).toBe(false);
});

import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { renderMasquerade } from "./masquerade.ts";
import { podBridgeName, podNetworkName, renderPodNetwork, writePodNetwork, writtenPodCidrs } from "./network-config.ts";
import { networkRuleRemoval } from "./plugins/portmap-iptables.ts";
import { forwardRuleRemoval } from "./teardown.ts";

const options = { dataDir: "/data/a", podCidrs: ["10.244.0.0/24"], mtu: 1400 };

describe("renderPodNetwork()", () => {
  test("puts pods on a bridge of the data directory's own", () => {
    expect(renderPodNetwork(options)).toMatchObject({
      cniVersion: "1.0.0",
      name: podNetworkName("/data/a"),
      plugins: [
        {
          type: "bridge",
          bridge: podBridgeName("/data/a"),
          mtu: 1400,
          isGateway: true,
          forceAddress: true,
          hairpinMode: true,
          ipam: {
            type: "host-local",
            dataDir: "/data/a/cni/addresses",
            ranges: [[{ subnet: "10.244.0.0/24" }]],
            routes: [{ dst: "0.0.0.0/0" }],
          },
        },
        { type: "portmap", capabilities: { portMappings: true } },
      ],
    });
  });

  test("is one call of our own plugins where those are there", async () => {
    const [one] = (renderPodNetwork({ ...options, plugins: "coracle" }) as { plugins: readonly object[] }).plugins;
    expect(one).toMatchObject({
      type: "coracle",
      capabilities: { portMappings: true, bandwidth: true },
      plugins: [{ type: "bridge", ipam: { ranges: [[{ subnet: "10.244.0.0/24" }]] } }, { type: "portmap" }, { type: "bandwidth" }],
    });
  });

  test("gives dual-stack pods an address and a default route of each family", () => {
    expect(renderPodNetwork({ ...options, podCidrs: ["10.244.0.0/24", "fd00::/64"] })).toMatchObject({
      plugins: [
        { ipam: { ranges: [[{ subnet: "10.244.0.0/24" }], [{ subnet: "fd00::/64" }]], routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] } },
        {},
      ],
    });
  });

  test("accepts forwarded packets where they would be dropped", () => {
    expect(renderPodNetwork({ ...options, acceptForwarding: true })).toMatchObject({
      plugins: [{}, {}, { type: "firewall", backend: "iptables" }],
    });
  });

  test("names bridges by the data directory, within the kernel's 15 characters", () => {
    expect(podBridgeName("/data/a")).not.toBe(podBridgeName("/data/b"));
    expect(podBridgeName("/data/a/../a/")).toBe(podBridgeName("/data/a"));
    expect(podBridgeName("/data/a").length).toBeLessThanOrEqual(15);
  });
});

test("writePodNetwork() leaves an equal file alone, and replaces another", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "cni-"));
  try {
    const path = join(dataDir, "cni/net.d/10-coracle.conflist");
    await writePodNetwork({ ...options, dataDir });
    const first = await stat(path);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual(renderPodNetwork({ ...options, dataDir }));
    await writePodNetwork({ ...options, dataDir });
    expect((await stat(path)).ino).toBe(first.ino);
    expect(await writtenPodCidrs(dataDir)).toEqual(["10.244.0.0/24"]);
    await writePodNetwork({ ...options, dataDir, plugins: "coracle" });
    expect(await writtenPodCidrs(dataDir)).toEqual(["10.244.0.0/24"]);
    expect(await writtenPodCidrs("/no/such/directory")).toEqual([]);
    await writePodNetwork({ ...options, dataDir, mtu: 1300 });
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ plugins: [{ mtu: 1300 }, {}] });
  } finally {
    await rm(dataDir, { recursive: true });
  }
});

test("renderMasquerade() translates what leaves the cluster, and nothing else, for each family", () => {
  const text = renderMasquerade({
    dataDir: "/data/a",
    podCidrs: ["10.244.1.0/24", "fd00:1::/64"],
    clusterCidrs: ["10.244.0.0/16", "fd00::/16"],
  });
  const bridge = podBridgeName("/data/a");
  expect(text.split("\n").map((line) => line.trim())).toEqual([
    `add table inet ${podNetworkName("/data/a")}`,
    `delete table inet ${podNetworkName("/data/a")}`,
    `table inet ${podNetworkName("/data/a")} {`,
    "chain postrouting {",
    "type nat hook postrouting priority srcnat; policy accept;",
    "ip saddr 10.244.1.0/24 ip daddr 10.244.1.0/24 return",
    "ip saddr 10.244.1.0/24 ip daddr 10.244.0.0/16 return",
    "ip saddr 10.244.1.0/24 ip daddr 224.0.0.0/4 return",
    `ip saddr 10.244.1.0/24 oifname != "${bridge}" masquerade`,
    "ip6 saddr fd00:1::/64 ip6 daddr fd00:1::/64 return",
    "ip6 saddr fd00:1::/64 ip6 daddr fd00::/16 return",
    "ip6 saddr fd00:1::/64 ip6 daddr ff00::/8 return",
    `ip6 saddr fd00:1::/64 oifname != "${bridge}" masquerade`,
    "}",
    "}",
    "",
  ]);
});

test("renderMasquerade() leaves packets to nodes that know the way back alone", () => {
  const text = renderMasquerade({
    dataDir: "/data/a",
    podCidrs: ["10.244.1.0/24"],
    clusterCidrs: ["10.244.0.0/16"],
    nodeAddresses: ["172.29.0.1", "172.29.0.3", "fd00::3"],
  });
  expect(text).toContain("ip saddr 10.244.1.0/24 ip daddr { 172.29.0.1, 172.29.0.3 } return");
  expect(text).not.toContain("fd00::3");
});

describe("networkRuleRemoval()", () => {
  const saved = [
    "*nat",
    ":CNI-DN-aaa - [0:0]",
    ":CNI-DN-bbb - [0:0]",
    ":CNI-HOSTPORT-DNAT - [0:0]",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"coracle-1\\" id: \\"x\\"" -m multiport --dports 80 -j CNI-DN-aaa',
    '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"coracle-11\\" id: \\"y\\"" -m multiport --dports 81 -j CNI-DN-bbb',
    "-A CNI-DN-aaa -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:80",
    "COMMIT",
  ].join("\n");

  test("takes away the jumps and chains of one network only", () => {
    expect(networkRuleRemoval(saved, "coracle-1")?.split("\n")).toEqual([
      "*nat",
      '-D CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"coracle-1\\" id: \\"x\\"" -m multiport --dports 80 -j CNI-DN-aaa',
      "-F CNI-DN-aaa",
      "-X CNI-DN-aaa",
      "COMMIT",
      "",
    ]);
  });

  test("does nothing for a network without rules", () => {
    expect(networkRuleRemoval(saved, "coracle-2")).toBeUndefined();
  });
});

test("forwardRuleRemoval() takes away the rules of addresses in the pod ranges", () => {
  const saved = [
    "*filter",
    "-A FORWARD -j CNI-FORWARD",
    "-A CNI-FORWARD -d 10.244.0.7/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A CNI-FORWARD -s 10.244.0.7/32 -j ACCEPT",
    "-A CNI-FORWARD -s 10.244.1.7/32 -j ACCEPT",
    "COMMIT",
  ].join("\n");
  expect(forwardRuleRemoval(saved, ["10.244.0.0/24", "fd00::/64"])?.split("\n")).toEqual([
    "*filter",
    "-D CNI-FORWARD -d 10.244.0.7/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-D CNI-FORWARD -s 10.244.0.7/32 -j ACCEPT",
    "COMMIT",
    "",
  ]);
  expect(forwardRuleRemoval(saved, ["10.99.0.0/24"])).toBeUndefined();
});

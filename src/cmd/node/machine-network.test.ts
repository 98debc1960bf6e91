import { describe, expect, test } from "vitest";
import { nodeBridgeName } from "../../cni/network-config.ts";
import { nodeAddressesFor, renderNodeNat } from "./machine-network.ts";

describe("nodeAddressesFor()", () => {
  test("gives each node the address of its number, in each family", () => {
    expect(nodeAddressesFor(["172.29.0.0/24", "fd00:172:29::/64"], 1)).toEqual(["172.29.0.1", "fd00:172:29::1"]);
    expect(nodeAddressesFor(["172.29.0.0/16", "fd00:172:29::/64"], 300)).toEqual(["172.29.1.44", "fd00:172:29::12c"]);
  });

  test("refuses numbers that the range has no address for", () => {
    expect(nodeAddressesFor(["172.29.0.0/28"], 14)).toEqual(["172.29.0.14"]);
    for (const index of [15, 16])
      expect(() => nodeAddressesFor(["172.29.0.0/28"], index)).toThrow(`172.29.0.0/28 has no address for node ${index}`);
  });
});

test("renderNodeNat() hides nodes behind the machine, but not from each other and from pods", () => {
  const options = { dataDir: "/data/a", nodeCidrs: ["172.29.0.0/24", "fd00:172:29::/64"], clusterCidrs: ["10.244.0.0/16", "fd00:10::/56"] };
  const rules = renderNodeNat(options)
    .split("\n")
    .filter((line) => line.includes("masquerade"));
  const bridge = nodeBridgeName("/data/a");
  expect(rules.map((rule) => rule.trim())).toEqual([
    `ip saddr 172.29.0.0/24 ip daddr != { 172.29.0.0/24, 10.244.0.0/16 } oifname != "${bridge}" masquerade`,
    `ip6 saddr fd00:172:29::/64 ip6 daddr != { fd00:172:29::/64, fd00:10::/56 } oifname != "${bridge}" masquerade`,
  ]);
});

test("names of interfaces stay within the kernel's 15 characters, for the thousandth node too", () => {
  expect(`${nodeBridgeName("/data/a").replaceAll("-", "")}999`.length).toBeLessThanOrEqual(15);
  expect(nodeBridgeName("/data/a").length).toBeLessThanOrEqual(15);
});

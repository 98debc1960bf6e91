import { describe, expect, test } from "vitest";
import { networkClash } from "./network-clash.ts";

const interfaces = [
  { ifname: "lo", addr_info: [{ local: "127.0.0.1" }, { local: "::1" }] },
  { ifname: "eth0", addr_info: [{ local: "192.0.2.2" }, { local: "fd00::2" }] },
  { ifname: "cor-other", addr_info: [{ local: "10.244.0.1" }] },
  { ifname: "down" },
];

describe("networkClash()", () => {
  test("names the range and the interface that is in it", () => {
    expect(networkClash(interfaces, ["10.1.0.0/16", "10.244.0.0/16"], ["cor-own"])).toBe(
      "10.244.0.0/16 is in use on this machine: interface cor-other has 10.244.0.1",
    );
    expect(networkClash(interfaces, ["fd00::/56"], ["cor-own"])).toMatch(/interface eth0 has fd00::2$/);
  });

  test("says nothing of free ranges and of the cluster's own bridge", () => {
    expect(networkClash(interfaces, ["10.1.0.0/16", "fd01::/56"], ["cor-own"])).toBeUndefined();
    expect(networkClash(interfaces, ["10.244.0.0/16"], ["cor-other"])).toBeUndefined();
  });
});

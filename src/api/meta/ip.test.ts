import { describe, expect, it } from "vitest";
import * as ip from "./ip.ts";

describe("parseIP()", () => {
  it.each([
    ["10.0.0.1", "10.0.0.1"],
    ["010.0.0.001", "10.0.0.1"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["::", "::"],
    ["1::", "1::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ])("reads %s as %s", (text, canonical) => {
    expect(ip.parseIP(text)?.canonical).toBe(canonical);
  });

  it.each(["", "1.2.3", "256.0.0.1", "1.2.3.4.5", "1:2", ":::", "1::2::3", "12345::", "fe80::1%eth0", "1:2:3:4:5:6:7:8::", "g::"])(
    "refuses %j",
    (text) => {
      expect(ip.parseIP(text)).toBeUndefined();
    },
  );
});

describe("checks of addresses and blocks", () => {
  it("demand more of new fields than of old ones", () => {
    expect(ip.isLegacyIP("010.0.0.1")).toEqual([]);
    expect(ip.isLegacyIP("010.0.0.1", true)).toEqual(["must not have leading 0s"]);
    expect(ip.isLegacyIP("x")).toEqual(["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]);
    expect(ip.isValidIP("2001:DB8::1")).toEqual(['must be in canonical form ("2001:db8::1")']);
    expect(ip.isValidIP("::ffff:1.2.3.4")).toEqual(["must not be an IPv4-mapped IPv6 address"]);
    expect(ip.isLegacyCIDR("10.0.0.1/8")).toEqual([]);
    expect(ip.isValidCIDR("10.0.0.1/8")).toEqual(["must not have bits set beyond the prefix length"]);
    expect(ip.isValidCIDR("10.0.0.0/08")).toEqual(["must not have leading 0s in IP or prefix length"]);
    expect(ip.isValidCIDR("10.0.0.0/33")).toEqual(["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]);
    expect(ip.isValidCIDR("fd00::/64")).toEqual([]);
  });

  it("know whether a block contains an address", () => {
    const block = ip.parseCIDR("10.1.128.0/17");
    const [inside, outside] = [ip.parseIP("10.1.200.7"), ip.parseIP("10.1.1.1")];
    if (!block || !inside || !outside) throw new Error("these are well-formed");
    expect(ip.cidrContains(block, inside)).toBe(true);
    expect(ip.cidrContains(block, outside)).toBe(false);
    expect(block.canonical).toBe("10.1.128.0/17");
  });

  it("warn of what will be refused one day", () => {
    expect(ip.ipWarnings("spec.clusterIP", "010.0.0.1")).toEqual([
      'spec.clusterIP: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"',
    ]);
    expect(ip.cidrWarnings("spec.podCIDR", "10.0.0.1/8")).toEqual([
      'spec.podCIDR: CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',
    ]);
    expect(ip.ipWarnings("f", "2001:DB8::1")).toEqual([
      'f: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")',
    ]);
  });
});

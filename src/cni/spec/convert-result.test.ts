import { describe, expect, test } from "vitest";
import { parseResult, renderResult } from "./convert-result.ts";
import type { CniResult } from "./result.ts";

const full: CniResult = {
  interfaces: [
    { name: "br0", mac: "aa:aa:aa:aa:aa:aa", mtu: 1400 },
    { name: "eth0", sandbox: "/run/netns/a" },
  ],
  ips: [
    { address: "10.1.0.5/16", gateway: "10.1.0.1", interface: 1 },
    { address: "fd00::5/64", interface: 1 },
  ],
  routes: [
    { dst: "0.0.0.0/0", mtu: 1300 },
    { dst: "::/0", gw: "fd00::1" },
  ],
  dns: { nameservers: ["10.1.0.1"] },
};

describe("renderResult()", () => {
  test("writes all it has for 1.1.0", () => {
    expect(renderResult(full, "1.1.0")).toEqual({ cniVersion: "1.1.0", ...full });
  });

  test("leaves out for 1.0.0 what that does not know", () => {
    expect(renderResult(full, "1.0.0")).toMatchObject({
      interfaces: [
        { name: "br0", mac: "aa:aa:aa:aa:aa:aa" },
        { name: "eth0", sandbox: "/run/netns/a" },
      ],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0", gw: "fd00::1" }],
    });
    expect(JSON.stringify(renderResult(full, "1.0.0"))).not.toContain("mtu");
  });

  test.each(["0.3.0", "0.3.1", "0.4.0"])("says the family of addresses for %s", (version) => {
    expect(renderResult(full, version)).toMatchObject({
      cniVersion: version,
      ips: [
        { version: "4", address: "10.1.0.5/16" },
        { version: "6", address: "fd00::5/64" },
      ],
    });
  });

  test.each(["0.1.0", "0.2.0"])("has one address of each family for %s", (version) => {
    expect(renderResult(full, version)).toEqual({
      cniVersion: version,
      ip4: { ip: "10.1.0.5/16", gateway: "10.1.0.1", routes: [{ dst: "0.0.0.0/0" }] },
      ip6: { ip: "fd00::5/64", routes: [{ dst: "::/0", gw: "fd00::1" }] },
      dns: { nameservers: ["10.1.0.1"] },
    });
    expect(() => renderResult({ interfaces: [] }, version)).toThrow("cannot convert: no valid IP addresses");
  });

  test("refuses versions there are not", () => {
    expect(() => renderResult(full, "2.0.0")).toThrow('unsupported CNI result version "2.0.0"');
  });
});

describe("parseResult()", () => {
  test.each(["0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])("reads what renderResult() writes for %s", (version) => {
    const written = renderResult(full, version);
    expect(renderResult(parseResult(written, version), version)).toEqual(written);
  });

  test("takes the version the result names before the expected one", () => {
    expect(parseResult({ cniVersion: "0.2.0", ip4: { ip: "10.0.0.2/8" } }, "1.0.0")).toEqual({ ips: [{ address: "10.0.0.2/8" }] });
  });

  test.each([
    ["a text", "the result is no object"],
    [{ ips: "x" }, "ips of the result is no list of objects"],
    [{ ips: [{}] }, "an address of the result is no text"],
    [{ interfaces: [{}] }, "an interface of the result has no name"],
    [{ interfaces: [{ name: "a" }], ips: [{ address: "10.0.0.2/8", interface: 1 }] }, "on an interface that is not in it"],
    [{ cniVersion: "9.9.9" }, 'unsupported CNI result version "9.9.9"'],
  ])("refuses %j", (value, message) => {
    expect(() => parseResult(value, "1.0.0")).toThrow(message);
  });
});

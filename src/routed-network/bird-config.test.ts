import { describe, expect, it } from "vitest";
import { type BirdConfigInput, protocolName, renderBirdConfig, routeMetric } from "./bird-config.ts";

const input: BirdConfigInput = {
  ...{ nodeName: "vm-1", nodeAddress: "192.0.2.1", metric: routeMetric(7), logFile: "/run/x/bird.log" },
  plan: {
    neighbours: [
      { name: "vm-2", family: 4, address: "192.0.2.2", local: "192.0.2.1" },
      { name: 'odd"; }', family: 6, address: "fd01::2", local: "fd01::1" },
    ],
    blocks: ["10.244.0.0/26", "fd00::/122"],
    announced: ["10.244.0.0/26", "10.244.9.9/32"],
    accepted: [
      { cidr: "10.244.0.0/16", blockSize: 26 },
      { cidr: "fd00::/64", blockSize: 122 },
    ],
  },
};

describe("renderBirdConfig()", () => {
  const text = renderBirdConfig(input);
  /** What stands between "protocol …" and its closing brace. */
  const section = (begin: string): readonly string[] => {
    const lines = text.split("\n");
    const start = lines.findIndex((line) => line.startsWith(begin));
    return lines.slice(start + 1, lines.indexOf("}", start)).map((line) => line.trim());
  };

  it("is for this node", () => {
    expect(text).toContain("\nrouter id 192.0.2.1;\n");
    expect(text).toContain('log "/run/x/bird.log" ');
    expect(section("protocol kernel kernel_4 {")).toContain("metric 10007;");
  });

  it("has the node's blocks as black holes, and borrowed addresses for the neighbours alone", () => {
    expect(section("protocol static blocks4 {")).toEqual(["ipv4;", "route 10.244.0.0/26 blackhole;"]);
    expect(section("protocol static blocks6 {")).toEqual(["ipv6;", "route fd00::/122 blackhole;"]);
    expect(section("protocol static borrowed4 {")).toEqual(["ipv4;", "route 10.244.9.9/32 blackhole;"]);
    expect(section("filter kernel4 {")).toEqual(['if proto = "borrowed4" then reject;', 'if proto = "services4" then reject;', "accept;"]);
  });

  it("tells what is to be told, and takes nothing but routes within the pools", () => {
    expect(section("filter announced4 {")).toContain("if net ~ [ 10.244.0.0/26, 10.244.9.9/32 ] then accept;");
    expect(section("filter announced6 {")).toEqual(["if source != RTS_STATIC then reject;", "reject;"]);
    expect(section("filter accepted4 {")).toEqual(["if net ~ [ 10.244.0.0/16{26,32} ] then accept;", "reject;"]);
    expect(section("filter accepted6 {")).toEqual(["if net ~ [ fd00::/64{122,128} ] then accept;", "reject;"]);
  });

  it("has a session with each neighbour, under a name that does not depend on the others", () => {
    expect(section(`protocol bgp ${protocolName({ name: "vm-2", family: 4 })} from nodes {`)).toEqual([
      'description "vm-2";',
      "local 192.0.2.1 as 64512;",
      "neighbor 192.0.2.2 as 64512;",
      "direct;",
      "ipv4 { next hop self; import filter accepted4; export filter announced4; };",
    ]);
    expect(text).toContain('description "odd____";');
    expect(renderBirdConfig({ ...input, plan: { ...input.plan, neighbours: input.plan.neighbours.slice(0, 1) } })).not.toContain("odd");
  });

  it("makes an identity for nodes without an IPv4 address", () => {
    const six = renderBirdConfig({ ...input, nodeAddress: "fd01::1" });
    expect(six).toMatch(/\nrouter id \d+\.\d+\.\d+\.\d+;\n/);
    expect(six).toBe(renderBirdConfig({ ...input, nodeAddress: "fd01::1" }));
  });
});

import { describe, expect, it } from "vitest";
import { poolObject } from "./fixture.ts";
import { eligiblePools, poolsOf } from "./pools.ts";
import type { IPPool } from "./resources.ts";

const one = (spec: Partial<IPPool["spec"]>) => poolsOf([poolObject("one", { cidr: "10.244.0.0/16", ...spec })]);

describe("poolsOf()", () => {
  it("gives pools their defaults", () => {
    const [pool] = one({}).pools;
    expect(pool).toMatchObject({ name: "one", family: 4, blockSize: 26, natOutgoing: false, exported: true, onlyByName: false });
    expect(pool?.encapsulation).toEqual({ by: "none", always: false });
    expect(one({ cidr: "fd00:10::/64" }).pools[0]).toMatchObject({ family: 6, blockSize: 122 });
  });

  it.each([
    [{ vxlanMode: "Always" }, { by: "vxlan", always: true }],
    [
      { vxlanMode: "CrossSubnet", ipipMode: "Never" },
      { by: "vxlan", always: false },
    ],
    [{ ipipMode: "CrossSubnet" }, { by: "ipip", always: false }],
    [{ ipip: { enabled: true } }, { by: "ipip", always: true }],
    [{ ipip: { enabled: true, mode: "cross-subnet" } }, { by: "ipip", always: false }],
    [{ ipip: { enabled: false, mode: "always" } }, { by: "none", always: false }],
  ] as const)("understands %j", (spec, encapsulation) => {
    expect(one(spec).pools[0]?.encapsulation).toEqual(encapsulation);
  });

  it("understands the names of old objects", () => {
    expect(one({ "nat-outgoing": true }).pools[0]?.natOutgoing).toBe(true);
    expect(one({ "nat-outgoing": true, natOutgoing: false }).pools[0]?.natOutgoing).toBe(false);
  });

  it.each([
    [{ cidr: "10.244.0.0" }, 'spec.cidr: "10.244.0.0" is no range of addresses'],
    [{ blockSize: 33 }, "spec.blockSize: expected 20 to 32 for IPv4, not 33"],
    [{ cidr: "fd00::/64", blockSize: 64 }, "spec.blockSize: expected 116 to 128 for IPv6, not 64"],
    [{ cidr: "10.244.0.0/27" }, "spec.cidr: 10.244.0.0/27 has no room for a block of /26"],
    [{ cidr: "169.254.4.0/24" }, "spec.cidr: 169.254.4.0/24 overlaps with the link-local range, 169.254.0.0/16"],
    [{ ipipMode: "Always", vxlanMode: "Always" }, "spec: ipipMode and vxlanMode exclude each other"],
    [{ cidr: "fd00::/64", ipipMode: "Always" }, "spec.ipipMode: IPIP is for IPv4; use vxlanMode"],
    [{ nodeSelector: "zone" }, "spec.nodeSelector: expected =="],
  ] as const)("refuses %j", (spec, problem) => {
    const { pools, problems } = one(spec);
    expect(pools).toEqual([]);
    expect(problems.get("one")).toContain(problem);
  });

  it("refuses a younger pool that overlaps with an older one, or with a range that is somebody else's", () => {
    const old = poolObject("z-old", { cidr: "10.0.0.0/8" });
    const young = poolObject("a-young", { cidr: "10.9.0.0/16" });
    const other = poolObject("other", { cidr: "10.96.0.0/12" });
    expect(poolsOf([young, old]).problems).toEqual(
      new Map([["a-young", "spec.cidr: 10.9.0.0/16 overlaps with 10.0.0.0/8 of the IP pool z-old"]]),
    );
    const { pools, problems } = poolsOf([young, other], [{ cidr: "10.96.0.0/16", what: "the services' range" }]);
    expect(pools.map(({ name }) => name)).toEqual(["a-young"]);
    expect(problems.get("other")).toBe("spec.cidr: 10.96.0.0/12 overlaps with the services' range, 10.96.0.0/16");
  });
});

describe("eligiblePools()", () => {
  const { pools } = poolsOf([
    poolObject("four", { cidr: "10.1.0.0/16" }),
    poolObject("west", { cidr: "10.2.0.0/16", nodeSelector: "zone == 'west'" }),
    poolObject("off", { cidr: "10.3.0.0/16", disabled: true }),
    poolObject("tunnels", { cidr: "10.4.0.0/16", allowedUses: ["Tunnel"] }),
    poolObject("pods", { cidr: "10.5.0.0/16", allowedUses: ["Workload"] }),
    poolObject("named", { cidr: "10.6.0.0/16", assignmentMode: "Manual" }),
    poolObject("six", { cidr: "fd00::/64" }),
  ]);
  const names = (wish: Partial<Parameters<typeof eligiblePools>[1]>) =>
    eligiblePools(pools, { family: 4, nodeLabels: {}, use: "pod", ...wish }).map(({ name }) => name);

  it("are of the family, for the node and for the use", () => {
    expect(names({})).toEqual(["four", "pods"]);
    expect(names({ nodeLabels: { zone: "west" } })).toEqual(["four", "west", "pods"]);
    expect(names({ use: "tunnel" })).toEqual(["four", "tunnels"]);
    expect(names({ family: 6 })).toEqual(["six"]);
  });

  it("are those that a pod names, by name or range, in its order", () => {
    expect(names({ named: ["named", "10.1.0.0/16"] })).toEqual(["named", "four"]);
    expect(() => names({ named: ["nowhere"] })).toThrow('there is no IP pool "nowhere"');
    expect(() => names({ named: ["west"] })).toThrow("the IP pool west is disabled, not for this node, or not of IPv4");
  });
});

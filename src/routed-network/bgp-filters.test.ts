import { describe, expect, it } from "vitest";
import { markedRoutes, routeFilters } from "./bgp-filters.ts";
import type { BGPFilter } from "./resources.ts";

const filter = (name: string, spec: BGPFilter["spec"]): BGPFilter => ({
  ...{ apiVersion: "crd.projectcalico.org/v1", kind: "BGPFilter" },
  metadata: { name, uid: name, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec,
});
const filtersOf = (spec: BGPFilter["spec"], family: 4 | 6 = 4) => routeFilters(["f"], family, () => filter("f", spec));

describe("routeFilters()", () => {
  it("is one statement for each rule, in the daemon's words", () => {
    const { imported, exported } = filtersOf({
      importV4: [
        { action: "Accept", matchOperator: "In", cidr: "55.0.0.0/16", prefixLength: { min: 30 } },
        { action: "Reject", matchOperator: "NotIn", cidr: "44.0.0.0/16" },
      ],
      exportV4: [
        { action: "Accept", matchOperator: "Equal", cidr: "77.0.0.0/16", source: "RemotePeers" },
        { action: "Reject", matchOperator: "NotEqual", cidr: "78.0.0.0/16" },
        { action: "Reject", interface: "*.calico" },
        { action: "Reject" },
      ],
      importV6: [{ action: "Reject" }],
    });
    expect(imported).toEqual(["if (net ~ [ 55.0.0.0/16{30,32} ]) then accept;", "if (net !~ 44.0.0.0/16) then reject;"]);
    expect(exported).toEqual([
      "if (net = 77.0.0.0/16) && (source = RTS_BGP) then accept;",
      "if (net != 78.0.0.0/16) then reject;",
      'if (ifname ~ "*.calico") then reject;',
      "reject;",
    ]);
    expect(filtersOf({ importV6: [{ action: "Accept", matchOperator: "In", cidr: "5000::/64" }] }, 6).imported).toEqual([
      "if (net ~ 5000::/64) then accept;",
    ]);
  });

  it("has the rules of several filters in the peer's order", () => {
    const all = new Map([
      ["one", filter("one", { importV4: [{ action: "Accept", matchOperator: "Equal", cidr: "10.1.0.0/16" }] })],
      ["two", filter("two", { importV4: [{ action: "Reject" }] })],
    ]);
    const find = (name: string) => all.get(name);
    expect(routeFilters(["one", "two"], 4, find).imported).toEqual(["if (net = 10.1.0.0/16) then accept;", "reject;"]);
    expect(() => routeFilters(["three"], 4, find)).toThrow("there is no BGPFilter three");
  });

  it.each([
    [{ action: "accept" }, "its action"],
    [{ action: "Accept", cidr: "10.0.0.0/8" }, "its matchOperator undefined is none of Equal, NotEqual, In, NotIn"],
    [{ action: "Accept", matchOperator: "In", cidr: "10.0.0.0/8 ]; }" }, "is no range of IPv4"],
    [{ action: "Accept", matchOperator: "In", cidr: "fd00::/8" }, "is no range of IPv4"],
    [{ action: "Accept", matchOperator: "In" }, "and no cidr"],
    [{ action: "Accept", matchOperator: "Equal", cidr: "10.0.0.0/8", prefixLength: { min: 9 } }, "goes with In and NotIn alone"],
    [{ action: "Accept", matchOperator: "In", cidr: "10.0.0.0/8", prefixLength: { min: 20, max: 10 } }, "from 20 to 10 is none"],
    [{ action: "Accept", interface: 'a" then accept; }' }, "is no pattern of names"],
    [{ action: "Accept", source: "Everybody" }, "is not RemotePeers"],
  ])("refuses %j", (rule, message) => {
    expect(() => filtersOf({ exportV4: [rule] })).toThrow(`rule 1 of exportV4 of the BGPFilter f: `);
    expect(() => filtersOf({ exportV4: [rule] })).toThrow(message);
  });
});

describe("markedRoutes()", () => {
  const cluster = {
    communities: [{ name: "large", value: "63400:300:100" }],
    prefixAdvertisements: [{ cidr: "172.218.4.0/26", communities: ["large", "63400:120"] }],
  };

  it("knows communities by name and by value", () => {
    expect(markedRoutes(cluster, undefined)).toEqual([
      { cidr: "172.218.4.0/26", marks: ["bgp_large_community.add((63400, 300, 100));", "bgp_community.add((63400, 120));"] },
    ]);
    expect(markedRoutes(undefined, undefined)).toEqual([]);
  });

  it("a node has its own in place of the cluster's, with the cluster's names", () => {
    expect(markedRoutes(cluster, { prefixAdvertisements: [{ cidr: "10.0.0.0/8", communities: ["large"] }] })).toMatchObject([
      { cidr: "10.0.0.0/8" },
    ]);
    expect(markedRoutes(cluster, { listenPort: 1179 })).toHaveLength(1);
  });

  it.each(["70000:1", "1:2:3:4", "unknown", "1:5000000000:2"])("refuses %s", (text) => {
    expect(() => markedRoutes({ prefixAdvertisements: [{ cidr: "10.0.0.0/8", communities: [text] }] }, undefined)).toThrow(
      "there is no community",
    );
  });
});

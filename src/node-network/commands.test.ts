import { describe, expect, test } from "vitest";
import { deviceCommands, forwardingCommands, neighbourCommands, routeCommands, type WantedDevice } from "./commands.ts";

const cluster = ["10.244.0.0/16", "fd00:10::/56"];
const hop = { destination: "10.244.1.0/24", gateway: "192.0.2.7", device: "eth0", onlink: false };

describe("routeCommands()", () => {
  test("adds what is missing and changes what differs", () => {
    const tunnelled = { destination: "10.244.2.0/24", gateway: "10.244.2.0", device: "vx", onlink: true };
    expect(routeCommands([{ dst: "10.244.2.0/24", gateway: "192.0.2.9", dev: "eth0" }], [hop, tunnelled], cluster)).toEqual([
      "route replace 10.244.1.0/24 via 192.0.2.7 dev eth0 proto 196",
      "route replace 10.244.2.0/24 via 10.244.2.0 dev vx proto 196 onlink",
    ]);
  });

  test("takes away a route of IPv6 before it leads into another tunnel", () => {
    const moved = { destination: "fd00:10:0:2::/64", gateway: "fd00:10:0:2::", device: "vx", onlink: true };
    expect(routeCommands([{ dst: "fd00:10:0:2::/64", gateway: "fd00:10:0:2::", dev: "tun" }], [moved], cluster)).toEqual([
      "route del fd00:10:0:2::/64 dev tun proto 196",
      "route replace fd00:10:0:2::/64 via fd00:10:0:2:: dev vx proto 196 onlink",
    ]);
  });

  test("does nothing where all is as it should be", () => {
    const single = { ...hop, destination: "10.244.9.9/32" };
    const observed = [
      { dst: "10.244.1.0/24", gateway: "192.0.2.7", dev: "eth0" },
      { dst: "10.244.9.9", gateway: "192.0.2.7", dev: "eth0" },
    ];
    expect(routeCommands(observed, [hop, single], cluster)).toEqual([]);
  });

  test("takes away stale routes of this cluster, and none of another one", () => {
    const observed = [
      { dst: "10.244.3.0/24", gateway: "192.0.2.8", dev: "eth0" },
      { dst: "fd00:10:0:3::/64", gateway: "fd00::8", dev: "eth0" },
      { dst: "10.99.3.0/24", gateway: "192.0.2.8", dev: "eth0" },
    ];
    expect(routeCommands(observed, [], cluster)).toEqual([
      "route del 10.244.3.0/24 dev eth0 proto 196",
      "route del fd00:10:0:3::/64 dev eth0 proto 196",
    ]);
  });
});

describe("deviceCommands()", () => {
  const wanted: WantedDevice = {
    ...{ name: "vx", vni: 7, port: 8472, local: "192.0.2.1", underlay: "eth0", mac: "02:00:00:00:00:01", mtu: 1450 },
  };
  const found = { id: 7, port: 8472, local: "192.0.2.1", address: "02:00:00:00:00:01", mtu: 1450 };
  const made = [
    "link add name vx address 02:00:00:00:00:01 type vxlan id 7 dstport 8472 local 192.0.2.1 dev eth0 nolearning",
    "link set dev vx mtu 1450 up",
  ];

  test("makes the device", () => {
    expect(deviceCommands(undefined, wanted, "vx")).toEqual(made);
  });

  test("keeps one that fits, and changes its MTU", () => {
    expect(deviceCommands(found, wanted, "vx")).toEqual([]);
    expect(deviceCommands({ ...found, mtu: 1500 }, wanted, "vx")).toEqual(["link set dev vx mtu 1450 up"]);
  });

  test.each([{ id: 8 }, { port: 4789 }, { local: "192.0.2.2" }, { address: "02:00:00:00:00:02" }])("makes one with %j anew", (other) => {
    expect(deviceCommands({ ...found, ...other }, wanted, "vx")).toEqual(["link delete dev vx", ...made]);
  });

  test("removes one that is not wanted any more", () => {
    expect(deviceCommands(found, undefined, "vx")).toEqual(["link delete dev vx"]);
    expect(deviceCommands(undefined, undefined, "vx")).toEqual([]);
  });
});

describe("what is known of the other ends of the VXLAN", () => {
  const tunnels = [
    { mac: "02:00:00:00:00:02", remote: "198.51.100.2", gateways: ["10.244.2.0", "fd00:10:0:2::"] },
    { mac: "02:00:00:00:00:03", remote: "198.51.100.3", gateways: ["10.244.3.0"] },
  ];

  test("neighbourCommands() adds, corrects and removes", () => {
    const observed = [
      { dst: "10.244.2.0", lladdr: "02:00:00:00:00:02" },
      { dst: "10.244.3.0", lladdr: "02:00:00:00:00:99" },
      { dst: "10.244.4.0", lladdr: "02:00:00:00:00:04" },
    ];
    expect(neighbourCommands("vx", observed, { tunnels })).toEqual([
      "neigh del 10.244.4.0 dev vx",
      "neigh replace fd00:10:0:2:: lladdr 02:00:00:00:00:02 dev vx nud permanent",
      "neigh replace 10.244.3.0 lladdr 02:00:00:00:00:03 dev vx nud permanent",
    ]);
  });

  test("forwardingCommands() adds, corrects and removes", () => {
    const observed = [
      { mac: "02:00:00:00:00:02", dst: "198.51.100.77" },
      { mac: "02:00:00:00:00:03", dst: "198.51.100.3" },
      { mac: "02:00:00:00:00:04", dst: "198.51.100.4" },
      { mac: "33:33:00:00:00:01" },
    ];
    expect(forwardingCommands("vx", observed, { tunnels })).toEqual([
      "fdb del 02:00:00:00:00:04 dev vx dst 198.51.100.4 self",
      "fdb replace 02:00:00:00:00:02 dev vx dst 198.51.100.2 self permanent",
    ]);
  });
});

import { describe, expect, test } from "vitest";
import type { Node } from "../api/types/core-v1.ts";
import { missingAnnotations, placeAnnotations, placeOf } from "./node-annotations.ts";

const flannel = "flannel.alpha.coreos.com";

function node(annotations: Readonly<Record<string, string>>, address = "192.0.2.7"): Node {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z", annotations },
    spec: { podCIDR: "10.244.1.0/24", podCIDRs: ["10.244.1.0/24"] },
    status: {
      addresses: [
        { type: "InternalIP", address },
        { type: "Hostname", address: "n" },
      ],
    },
  } as Node;
}

const vtep = { mac: "02:00:00:00:00:01", address: "192.0.2.7", vni: 7 };
const published = (place: Parameters<typeof placeAnnotations>[0]): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(placeAnnotations(place)).filter((entry): entry is [string, string] => entry[1] !== null));

describe("what a node publishes", () => {
  test("is what flannel's nodes publish", () => {
    expect(published({ publicIp: "192.0.2.7", linkAddresses: [], vtep })).toEqual({
      [`${flannel}/kube-subnet-manager`]: "true",
      [`${flannel}/backend-type`]: "vxlan",
      [`${flannel}/backend-data`]: '{"VNI":7,"VtepMAC":"02:00:00:00:00:01"}',
      [`${flannel}/public-ip`]: "192.0.2.7",
    });
    expect(published({ publicIp: "192.0.2.7", linkAddresses: [] })).toMatchObject({
      [`${flannel}/backend-type`]: "host-gw",
      [`${flannel}/backend-data`]: "null",
    });
    expect(published({ publicIp: "192.0.2.7", linkAddresses: [], udp: true })).toMatchObject({
      [`${flannel}/backend-type`]: "udp",
      [`${flannel}/backend-data`]: "null",
      [`${flannel}/public-ip`]: "192.0.2.7",
    });
    expect(published({ publicIp: "fd00::7", linkAddresses: [], vtep: { ...vtep, address: "fd00::7" } })).toMatchObject({
      [`${flannel}/backend-v6-data`]: '{"VNI":7,"VtepMAC":"02:00:00:00:00:01"}',
      [`${flannel}/public-ipv6`]: "fd00::7",
    });
  });

  test("is understood by the others", () => {
    const annotations = published({ publicIp: "192.0.2.7", linkAddresses: ["172.29.0.1", "fd00:172::1"], vtep, behind: "vm" });
    expect(placeOf(node(annotations))).toEqual({
      name: "n",
      podCidrs: ["10.244.1.0/24"],
      addresses: ["192.0.2.7", "172.29.0.1", "fd00:172::1"],
      vtep,
      behind: "vm",
    });
  });

  test("a node without VXLAN says where it takes packets", () => {
    for (const publicIp of ["192.0.2.8", "fd00::8"]) {
      const { udp, vtep: none } = placeOf(node(published({ publicIp, linkAddresses: [], udp: true })));
      expect([udp, none]).toEqual([publicIp, undefined]);
    }
    expect(placeOf(node({ [`${flannel}/backend-type`]: "udp", [`${flannel}/public-ip`]: "8.8.8.8; reboot" })).udp).toBeUndefined();
  });

  test("a node that has published nothing has its addresses", () => {
    expect(placeOf(node({}))).toEqual({ name: "n", podCidrs: ["10.244.1.0/24"], addresses: ["192.0.2.7"] });
  });

  test.each([
    ["no JSON", "{"],
    ["no object", "3"],
    ["no address of hardware", '{"VtepMAC":"02:00; link delete eth0"}'],
    ["nothing", "null"],
  ])("backend data that are %s make no end of a VXLAN", (_what, data) => {
    const annotations = { [`${flannel}/backend-type`]: "vxlan", [`${flannel}/public-ip`]: "192.0.2.7", [`${flannel}/backend-data`]: data };
    expect(placeOf(node(annotations)).vtep).toBeUndefined();
  });

  test("what is no address is none, whoever wrote it", () => {
    const annotations = { [`${flannel}/public-ip`]: "192.0.2.7 dev eth0", "network.coracle.local/link-addresses": "a,,10.0.0.1\nroute" };
    expect(placeOf(node(annotations)).addresses).toEqual(["192.0.2.7"]);
  });
});

describe("missingAnnotations()", () => {
  const wanted = placeAnnotations({ publicIp: "192.0.2.7", linkAddresses: [], vtep });

  test("are those that differ, and null for those that must go", () => {
    const has = { ...published({ publicIp: "192.0.2.7", linkAddresses: ["172.29.0.1"], vtep }), [`${flannel}/public-ip`]: "192.0.2.8" };
    expect(missingAnnotations(node(has), wanted)).toEqual({
      [`${flannel}/public-ip`]: "192.0.2.7",
      "network.coracle.local/link-addresses": null,
    });
  });

  test("are none where all is said", () => {
    expect(missingAnnotations(node(published({ publicIp: "192.0.2.7", linkAddresses: [], vtep })), wanted)).toBeUndefined();
  });
});

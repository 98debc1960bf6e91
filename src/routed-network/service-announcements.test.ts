import { describe, expect, it } from "vitest";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import { announcesServices, serviceAnnouncements } from "./service-announcements.ts";

const service = (name: string, spec: object, ips: readonly string[] = []): Service =>
  ({
    metadata: { namespace: "default", name },
    spec,
    status: { loadBalancer: { ingress: ips.map((ip) => ({ ip })) } },
  }) as unknown as Service; // as far as it is looked at
const slice = (nodeName: string, ready = true): EndpointSlice =>
  ({ addressType: "IPv4", endpoints: [{ addresses: ["10.244.0.1"], nodeName, conditions: { ready } }] }) as unknown as EndpointSlice; // as far as it is looked at

const told = (spec: Parameters<typeof serviceAnnouncements>[0], services: readonly Service[], slices: readonly EndpointSlice[] = []) =>
  serviceAnnouncements(spec, { nodeName: "here", services, slicesOf: () => slices });

describe("serviceAnnouncements()", () => {
  const ranges = {
    serviceClusterIPs: [{ cidr: "10.96.0.0/16" }],
    serviceLoadBalancerIPs: [{ cidr: "203.0.113.0/28" }, { cidr: "203.0.113.99/32" }],
  };

  it("is of no interest where nothing is said of services", () => {
    expect(announcesServices(undefined)).toBe(false);
    expect(announcesServices({ serviceExternalIPs: [] })).toBe(false);
    expect(announcesServices(ranges)).toBe(true);
  });

  it("tells the ranges, for services that any node takes packets for", () => {
    expect(told(ranges, [service("web", { clusterIPs: ["10.96.0.10"] }, ["203.0.113.5"])])).toEqual(["10.96.0.0/16", "203.0.113.0/28"]);
  });

  it("tells single addresses of the policy Local, where there are endpoints", () => {
    const local = service("web", { clusterIPs: ["10.96.0.10"], externalTrafficPolicy: "Local" }, ["203.0.113.5", "198.51.100.1"]);
    const both = ["10.96.0.0/16", "10.96.0.10/32", "203.0.113.0/28", "203.0.113.5/32"];
    expect(told(ranges, [local], [slice("elsewhere"), slice("here")])).toEqual(both);
    expect(told(ranges, [local], [slice("elsewhere"), slice("here", false)])).toEqual(["10.96.0.0/16", "203.0.113.0/28"]);
  });

  it("tells a range of one address when a service has it", () => {
    expect(told(ranges, [service("one", { clusterIPs: ["10.96.0.11"] }, ["203.0.113.99"])])).toContain("203.0.113.99/32");
    expect(told(ranges, [])).not.toContain("203.0.113.99/32");
    const six = { serviceExternalIPs: [{ cidr: "2001:db8::/112" }, { cidr: "nonsense" }] };
    expect(
      told(six, [service("six", { clusterIPs: [], externalIPs: ["2001:DB8:0::5"], externalTrafficPolicy: "Local" })], [slice("here")]),
    ).toEqual(["2001:db8::/112", "2001:db8::5/128"]);
  });
});

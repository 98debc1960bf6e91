import { describe, expect, it } from "vitest";
import { type Flags, parseFlags } from "../../base/flags.ts";
import { parseServer, upstreamsOf } from "../network/dns-upstreams.ts";
import { kubeletDnsOf, upDnsFlags } from "./up-dns.ts";
import { loadBalancerOf, loadBalancerRanges, upLoadBalancerFlags } from "./up-load-balancer.ts";

const valuesOf = <F extends Flags>(flags: F, ...args: string[]) => parseFlags(flags, args).values;

describe("DNS of coracle up", () => {
  const ranges = { "service-cluster-ip-range": "10.96.0.0/16", "cluster-cidr": ["10.244.0.0/16"] };

  it("tells pods the tenth address of the services' range, unless there is to be no DNS", () => {
    expect(kubeletDnsOf({ ...ranges, ...valuesOf(upDnsFlags) })).toEqual({ clusterDns: ["10.96.0.10"], clusterDomain: "cluster.local" });
    const others = valuesOf(upDnsFlags, "--dns=external", "--cluster-domain=k8s.example");
    expect(kubeletDnsOf({ ...ranges, ...others, "service-cluster-ip-range": "fd00:10::/112" })).toEqual({
      clusterDns: ["fd00:10::a"],
      clusterDomain: "k8s.example",
    });
    expect(kubeletDnsOf({ ...ranges, ...valuesOf(upDnsFlags, "--dns=none") }).clusterDns).toEqual([]);
    expect(() => kubeletDnsOf({ ...ranges, ...valuesOf(upDnsFlags), "service-cluster-ip-range": "10.96.0.0/30" })).toThrow("no room");
  });

  it("reads resolvers from flags and from resolv.conf", () => {
    expect(["192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353"].map(parseServer)).toEqual([
      { address: "192.0.2.1", port: 53 },
      { address: "192.0.2.1", port: 5353 },
      { address: "2001:db8::1", port: 53 },
      { address: "2001:db8::1", port: 5353 },
    ]);
    for (const bad of ["", "name", "192.0.2.1:0", "192.0.2.1:99999", "[192.0.2.1"])
      expect(() => parseServer(bad)).toThrow("expected an address");
    expect(upstreamsOf("nameserver 192.0.2.1\nnameserver bad\nnameserver fe80::1%eth0\n").map(({ address }) => address)).toEqual([
      "192.0.2.1",
      "fe80::1%eth0",
    ]);
    const stubs = valuesOf(
      upDnsFlags,
      "--dns-stub-domain=a.example=192.0.2.1,b.example=192.0.2.2",
      "--dns-stub-domain",
      "a.example=192.0.2.3",
    );
    expect([...stubs["dns-stub-domain"]].map(([domain, servers]) => `${domain} ${servers.map((s) => s.address).join()}`)).toEqual([
      "a.example 192.0.2.1,192.0.2.3",
      "b.example 192.0.2.2",
    ]);
  });
});

describe("load balancers of coracle up", () => {
  const balancing = (...args: string[]) => {
    const given = valuesOf(upLoadBalancerFlags, ...args);
    return { ...given, "load-balancer": loadBalancerOf(given, 1) };
  };

  it("are built in, but for a control plane alone that has not been told so", () => {
    const chosen = (nodes: number, ...args: string[]) => loadBalancerOf(valuesOf(upLoadBalancerFlags, ...args), nodes);
    expect([chosen(1), chosen(0)]).toEqual(["built-in", "external"]);
    expect([chosen(1, "--load-balancer=external"), chosen(0, "--load-balancer=built-in")]).toEqual(["external", "built-in"]);
    expect(chosen(0, "--load-balancer-pool=192.0.2.1")).toBe("built-in");
  });

  it("have a pool where one is given and nobody else gives addresses; ranges that overlap are refused", () => {
    expect(loadBalancerRanges(balancing())).toEqual([]);
    const given = ["192.0.2.1-192.0.2.9", "2001:db8::/120"];
    expect(loadBalancerRanges(balancing(`--load-balancer-pool=${given.join()}`))).toEqual(given);
    expect(loadBalancerRanges(balancing("--load-balancer=external", "--load-balancer-pool=192.0.2.1"))).toEqual([]);
    expect(() => loadBalancerRanges(balancing("--load-balancer-pool=192.0.2.1-192.0.2.9,192.0.2.8/31"))).toThrow(
      "--load-balancer-pool: 192.0.2.1-192.0.2.9 and 192.0.2.8/31 have addresses in common",
    );
    expect(() => balancing("--load-balancer-pool=192.0.2.9-192.0.2.1")).toThrow("ends before it begins");
  });
});

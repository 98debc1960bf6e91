import { describe, expect, it } from "vitest";
import { defaultService } from "../defaults/network.ts";
import type { Service, ServiceSpec } from "../types/core-v1.ts";
import type { EndpointSlice } from "../types/discovery-v1.ts";
import type { Ingress, NetworkPolicy } from "../types/networking-v1.ts";
import { validateEndpointSlice } from "./endpoints.ts";
import { validateIngress } from "./ingress.ts";
import { validateNetworkPolicy } from "./network-policy.ts";
import { validateService } from "./service.ts";

const metadata = { name: "a", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const service = (spec: ServiceSpec): Service => defaultService({ apiVersion: "v1", kind: "Service", metadata, spec });
const messages = (errors: readonly { readonly message: string }[]): string[] => errors.map((error) => error.message);

describe("validateService()", () => {
  const ports = [{ port: 80 }];
  const addressed = { clusterIP: "10.96.0.9", clusterIPs: ["10.96.0.9"], ports };

  it("accepts what the server makes of a plain service", () => {
    expect(validateService(service(addressed))).toEqual([]);
  });

  it("names several ports and refuses a number used twice for one protocol", () => {
    expect(messages(validateService(service({ ...addressed, ports: [{ port: 80 }, { port: 80 }] })))).toEqual([
      "spec.ports[0].name: Required value",
      "spec.ports[1].name: Required value",
      'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
    ]);
  });

  it("forbids what a type has no use for", () => {
    const found = validateService(service({ ...addressed, type: "ClusterIP", loadBalancerClass: "a.b/c", healthCheckNodePort: 31000 }));
    expect(messages(found)).toEqual([
      "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
      "spec.healthCheckNodePort: Invalid value: 31000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ]);
  });

  it("keeps the first cluster address, except from and to external names", () => {
    const old = service(addressed);
    const moved = service({ ...addressed, clusterIP: "10.96.0.10", clusterIPs: ["10.96.0.10"] });
    expect(messages(validateService(moved, old))).toEqual(['spec.clusterIPs[0]: Invalid value: ["10.96.0.10"]: may not change once set']);
    expect(validateService(service({ type: "ExternalName", externalName: "x.example." }), old)).toEqual([]);
  });

  it("does not look again at addresses that were there before", () => {
    const odd = service({ ...addressed, externalIPs: ["010.1.2.3"] });
    expect(messages(validateService(odd))).toEqual(['spec.externalIPs[0]: Invalid value: "010.1.2.3": must not have leading 0s']);
    expect(validateService(odd, odd)).toEqual([]);
  });
});

describe("validateEndpointSlice()", () => {
  const slice = (more: Partial<EndpointSlice>): EndpointSlice => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata,
    addressType: "IPv4",
    endpoints: [],
    ...more,
  });

  it("refuses addresses of the other family and those with a meaning of their own", () => {
    const endpoints = [{ addresses: ["fd00::1"] }, { addresses: ["127.0.0.1"] }];
    expect(messages(validateEndpointSlice(slice({ endpoints })))).toEqual([
      'endpoints[0].addresses: Invalid value: "fd00::1": must be an IPv4 address',
      'endpoints[1].addresses[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ]);
  });

  it("lets endpoints pass that an update leaves alone, and keeps the address type", () => {
    const bad = slice({ endpoints: [{ addresses: ["x"] }] });
    expect(validateEndpointSlice(bad, bad)).toEqual([]);
    expect(messages(validateEndpointSlice(slice({ addressType: "IPv6" }), slice({})))).toEqual([
      'addressType: Invalid value: "IPv6": field is immutable',
    ]);
  });
});

describe("validateIngress()", () => {
  const ingress = (spec: Ingress["spec"]): Ingress => ({ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec });
  const backend = { service: { name: "web", port: { number: 80 } } };

  it("needs a backend or rules", () => {
    expect(messages(validateIngress(ingress({})))).toEqual([
      "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
    ]);
  });

  it("checks hosts, paths and backends", () => {
    const paths = [{ path: "/a//b/..", pathType: "Prefix" as const, backend: { service: { name: "web" } } }];
    expect(messages(validateIngress(ingress({ rules: [{ host: "1.2.3.4", http: { paths } }] })))).toEqual([
      'spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
      "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b/..\": must not contain '//'",
      "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b/..\": cannot end with '/..'",
      "spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
    ]);
    expect(validateIngress(ingress({ defaultBackend: backend }))).toEqual([]);
  });
});

describe("validateNetworkPolicy()", () => {
  const policy = (spec: NetworkPolicy["spec"]): NetworkPolicy => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata,
    spec,
  });

  it("takes a block of addresses or selectors as a peer, and holes inside the block only", () => {
    const ipBlock = { cidr: "10.0.0.0/8", except: ["10.1.0.0/16", "11.0.0.0/16"] };
    expect(messages(validateNetworkPolicy(policy({ podSelector: {}, ingress: [{ from: [{ ipBlock, podSelector: {} }] }] })))).toEqual([
      'spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
      "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
    ]);
  });

  it("an end port goes with a lower number", () => {
    const ports = [{ endPort: 5 }, { port: "web", endPort: 5 }, { port: 90, endPort: 80 }];
    expect(messages(validateNetworkPolicy(policy({ podSelector: {}, egress: [{ ports }] })))).toEqual([
      "spec.egress[0].ports[0].endPort: Invalid value: 5: may not be specified when `port` is not specified",
      "spec.egress[0].ports[1].endPort: Invalid value: 5: may not be specified when `port` is non-numeric",
      "spec.egress[0].ports[2].endPort: Invalid value: 90: must be greater than or equal to `port`",
    ]);
  });
});

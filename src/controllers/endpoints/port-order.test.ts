import { describe, expect, it } from "vitest";
import type { Pod, Service } from "../../api/types/core-v1.ts";
import { endpointGroups } from "./endpoint-slice.ts";
import { subsetsOf } from "./endpoints.ts";
import { orderedSlicePorts, orderedSubsetPorts } from "./port-order.ts";

describe("order of ports", () => {
  it("is that of a hash over the port, in slices and in Endpoints by different structures", () => {
    const [web, dns] = [
      { name: "w", port: 8080, protocol: "TCP" },
      { name: "d", port: 53, protocol: "UDP" },
    ] as const;
    expect(orderedSlicePorts([web, dns])).toEqual([dns, web]);
    expect(orderedSlicePorts([dns, web])).toEqual([dns, web]);
    // With an application protocol it is another hash.
    const http = { ...web, appProtocol: "http" };
    expect(orderedSlicePorts([dns, http])).toEqual([http, dns]);
    expect(orderedSubsetPorts([dns, web])).toEqual([web, dns]);
  });
});

const service = {
  metadata: { name: "s", namespace: "ns" },
  spec: {
    selector: { app: "a" },
    ipFamilies: ["IPv4"],
    ports: [
      { name: "web", port: 80, targetPort: "web" },
      { name: "metrics", port: 90, targetPort: 9090 },
    ],
  },
} as unknown as Service;

describe("pods with different ports", () => {
  it("are in slices also where they have none of them", () => {
    const named = { ...service, spec: { ...service.spec, ports: [{ name: "web", port: 80, targetPort: "web" }] } } as Service;
    const pod = {
      metadata: { name: "a", namespace: "ns", uid: "a" },
      spec: { nodeName: "n", containers: [{ name: "c" }] },
      status: { podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }] },
    } as unknown as Pod;
    const groups = endpointGroups(named, [pod], { family: "IPv4", nodeOf: () => undefined });
    expect(groups.map(({ ports, endpoints }) => [ports, endpoints.map(({ addresses }) => addresses)])).toEqual([[[], [["10.0.0.1"]]]]);
    expect(subsetsOf(named, [pod])).toEqual([]);
  });

  it("have a port that both serve told once in Endpoints, for both addresses", () => {
    const pod = (name: string, ip: string, webPort: number): Pod =>
      ({
        metadata: { name, namespace: "ns", uid: name },
        spec: { nodeName: "n", containers: [{ name: "c", ports: [{ name: "web", containerPort: webPort }] }] },
        status: { podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
      }) as unknown as Pod;
    const subsets = subsetsOf(service, [pod("a", "10.0.0.1", 8080), pod("b", "10.0.0.2", 8081)]);
    const shown = subsets.map(({ addresses, ports }) => [
      ports?.map(({ name, port }) => `${name}:${port}`),
      addresses?.map(({ ip }) => ip),
    ]);
    expect(shown).toEqual([
      [["metrics:9090"], ["10.0.0.1", "10.0.0.2"]],
      [["web:8080"], ["10.0.0.1"]],
      [["web:8081"], ["10.0.0.2"]],
    ]);
  });
});

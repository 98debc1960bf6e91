import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFixture, type Fixture, type Reply } from "./request-fixture.ts";
import { createServiceAllocators } from "./service-allocators.ts";

const path = "/api/v1/namespaces/default/services";

let server: Fixture;
function start(serviceClusterIpRange: string, nodePorts = "30000-32767"): void {
  server = createFixture({
    hooksOf: ({ reader, clock }) => ({ "/services": createServiceAllocators({ reader, clock }, { serviceClusterIpRange, nodePorts }) }),
  });
}
beforeEach(() => start("10.96.0.0/16"));
afterEach(() => server.stop());

interface Spec {
  readonly clusterIP: string;
  readonly clusterIPs: readonly string[];
  readonly ports: readonly { readonly nodePort?: number }[];
  readonly ipFamilies: readonly string[];
  readonly ipFamilyPolicy: string;
  readonly healthCheckNodePort?: number;
}

const create = (name: string, spec: object = {}, query = ""): Promise<Reply> =>
  server.send("POST", path + query, {
    body: { metadata: { name }, spec: { type: "ClusterIP", ports: [{ port: 80, protocol: "TCP" }], ...spec } },
  });
const specOf = ({ body }: Reply): Spec => body.spec as Spec;

describe("cluster IPs", () => {
  it("are given from the range, each once", async () => {
    const addresses = new Set<string>();
    for (let i = 0; i < 50; i++) {
      const { clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy } = specOf(await create(`s${i}`));
      expect(clusterIP).toMatch(/^10\.96\.\d+\.\d+$/);
      expect({ clusterIPs, ipFamilies, ipFamilyPolicy }).toEqual({
        clusterIPs: [clusterIP],
        ipFamilies: ["IPv4"],
        ipFamilyPolicy: "SingleStack",
      });
      addresses.add(clusterIP);
    }
    expect(addresses.size).toBe(50);
  });

  it("can be chosen where free and in range", async () => {
    expect(specOf(await create("a", { clusterIP: "10.96.0.10" })).clusterIPs).toEqual(["10.96.0.10"]);
    expect((await create("b", { clusterIP: "10.96.0.10" })).body.message).toBe(
      'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
    );
    expect((await create("b", { clusterIP: "192.168.1.1" })).body.message).toContain(
      "the provided network does not match the current range",
    );
  });

  it("run out, and come back with the deletion of their service", async () => {
    await server.stop();
    start("10.0.0.0/30");
    const first = specOf(await create("a")).clusterIP;
    const second = specOf(await create("b")).clusterIP;
    expect([first, second].sort()).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect((await create("c")).body.message).toBe("Internal error occurred: failed to allocate a serviceIP: range is full");
    await server.send("DELETE", `${path}/a`);
    expect(specOf(await create("c")).clusterIP).toBe(first);
  });

  it("are not spent by dry runs and refused services", async () => {
    await server.stop();
    start("10.0.0.0/30");
    for (let i = 0; i < 5; i++) expect((await create("a", {}, "?dryRun=All")).status).toBe(201);
    for (let i = 0; i < 5; i++) expect((await create("Bad_Name")).status).toBe(422);
    await create("a");
    await create("b");
    expect((await server.send("GET", path)).body.items).toHaveLength(2);
  });

  it("are none for headless services and external names", async () => {
    expect(specOf(await create("a", { clusterIP: "None" })).clusterIPs).toEqual(["None"]);
    expect(specOf(await create("b", { type: "ExternalName", externalName: "x.y" })).clusterIP).toBeUndefined();
  });

  it("are kept by updates that leave them out", async () => {
    const { clusterIP, ports } = specOf(await create("a", { type: "NodePort" }));
    const { body } = await server.send("PUT", `${path}/a`, {
      body: { metadata: { name: "a" }, spec: { type: "NodePort", ports: [{ port: 80, protocol: "TCP" }] } },
    });
    expect(body.spec).toMatchObject({ clusterIP, ports });
  });

  it("of both families are given where the cluster has both", async () => {
    await server.stop();
    start("10.96.0.0/16,fd00::/108");
    const { clusterIPs, ipFamilies } = specOf(await create("a", { ipFamilyPolicy: "RequireDualStack" }));
    expect(ipFamilies).toEqual(["IPv4", "IPv6"]);
    expect(clusterIPs).toEqual([expect.stringMatching(/^10\.96\./), expect.stringMatching(/^fd00::/)]);
  });
});

describe("node ports", () => {
  it("are given to the types that have them", async () => {
    expect(specOf(await create("a")).ports).toEqual([{ port: 80, protocol: "TCP" }]);
    const [port] = specOf(await create("b", { type: "NodePort" })).ports;
    expect(port?.nodePort).toBeGreaterThanOrEqual(30000);
    const local = specOf(await create("c", { type: "LoadBalancer", externalTrafficPolicy: "Local" }));
    expect(local.healthCheckNodePort).toBeGreaterThanOrEqual(30000);
    expect(specOf(await create("d", { type: "LoadBalancer", allocateLoadBalancerNodePorts: false })).ports[0]?.nodePort).toBeUndefined();
  });

  it("can be chosen where free and in range, and shared by two protocols of one service", async () => {
    const ports = (nodePort: number) => ({ type: "NodePort", ports: [{ port: 80, protocol: "TCP", nodePort }] });
    await create("a", ports(30080));
    expect((await create("b", ports(30080))).body.message).toBe(
      'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
    );
    expect((await create("b", ports(80))).body.message).toBe(
      'Service "b" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    );
    const both = [
      { name: "t", port: 53, protocol: "TCP", nodePort: 30053 },
      { name: "u", port: 53, protocol: "UDP", nodePort: 30053 },
    ];
    expect((await create("dns", { type: "NodePort", ports: both })).status).toBe(201);
  });

  it("are free again when an update drops them", async () => {
    await server.stop();
    start("10.96.0.0/16", "30000-30000");
    await create("a", { type: "NodePort" });
    expect((await create("b", { type: "NodePort" })).body.message).toBe(
      "Internal error occurred: failed to allocate a nodePort: range is full",
    );
    const body = { spec: { type: "ClusterIP", ports: [{ port: 80, protocol: "TCP" }] } };
    await server.send("PATCH", `${path}/a`, { body, contentType: "application/merge-patch+json" });
    expect(specOf(await create("b", { type: "NodePort" })).ports[0]?.nodePort).toBe(30000);
  });
});

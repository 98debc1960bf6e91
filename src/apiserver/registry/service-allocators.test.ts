import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prefixEnd, type Store } from "../../storage/store.ts";
import { createFixture, type Fixture, type Reply } from "./request-fixture.ts";
import { createServiceAllocators } from "./service-allocators.ts";

const path = "/api/v1/namespaces/default/services";

let server: Fixture;
function start(serviceClusterIpRange: string, nodePorts = "30000-32767"): void {
  server = open(serviceClusterIpRange, nodePorts);
}
function open(serviceClusterIpRange: string, nodePorts: string, store?: Store): Fixture {
  return createFixture({
    ...(store ? { store } : {}),
    hooksOf: (stores) => ({ "/services": createServiceAllocators(stores, { serviceClusterIpRange, nodePorts }) }),
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

  it("can be chosen, and are drawn, anywhere in a range that is larger than there are numbers", async () => {
    await server.stop();
    start("2001:db8::/64");
    const last = "2001:db8::ffff:ffff:ffff:ffff";
    expect(specOf(await create("last", { clusterIP: last })).clusterIP).toBe(last);
    expect((await server.send("GET", `/apis/networking.k8s.io/v1/ipaddresses/${last}`)).status).toBe(200);
    expect((await create("again", { clusterIP: last })).body.message).toContain("already allocated");
    expect((await create("beside", { clusterIP: "2001:db8::ffff:ffff:ffff:fffe" })).status).toBe(201);
    expect((await create("first", { clusterIP: "2001:db8::" })).status).toBe(422);
    expect(specOf(await create("any")).clusterIP).toMatch(/^2001:db8::[\da-f:]+$/);
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

  it("are made up by dry runs, which look neither at what is taken nor at what exists", async () => {
    await create("a", { type: "NodePort", clusterIP: "10.96.0.10" });
    const dry = await create("b", { type: "NodePort", clusterIP: "10.96.0.10", ports: [{ port: 80, nodePort: 5 }] }, "?dryRun=All");
    expect(dry.status, dry.body.message).toBe(201);
    const made = specOf(
      await create(
        "b",
        { type: "NodePort", ports: [{ port: 1 }, { port: 2, name: "b" }].map((p, i) => ({ name: `p${i}`, ...p })) },
        "?dryRun=All",
      ),
    );
    expect([made.clusterIP, made.ports.map(({ nodePort }) => nodePort)]).toEqual(["10.96.0.0", [32769, 32770]]);
    const local = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 1 };
    const taken = {
      ...local,
      ports: [
        { port: 1, name: "a", nodePort: -1 },
        { port: 2, name: "b" },
      ],
    };
    expect((await create("b", taken, "?dryRun=All")).body.message).toContain("HealthCheck NodePort 1: provided port is already allocated");
    expect((await create("b", { clusterIP: "10.0.0.1" }, "?dryRun=All")).body.message).toContain(
      "failed to allocate IP 10.0.0.1: the provided IP (10.0.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
    );
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

  it("are kept by updates that know only the first", async () => {
    const { clusterIPs, ...rest } = specOf(await create("a"));
    const { status, body } = await server.send("PUT", `${path}/a`, { body: { metadata: { name: "a" }, spec: rest } });
    expect(status, body.message).toBe(200);
    expect(body.spec).toMatchObject({ clusterIPs });
  });

  it("of both families are given where the cluster has both", async () => {
    await server.stop();
    start("10.96.0.0/16,fd00::/108");
    const { clusterIPs, ipFamilies } = specOf(await create("a", { ipFamilyPolicy: "RequireDualStack" }));
    expect(ipFamilies).toEqual(["IPv4", "IPv6"]);
    expect(clusterIPs).toEqual([expect.stringMatching(/^10\.96\./), expect.stringMatching(/^fd00::/)]);
  });

  it("of the second family are given up by who asks for one, and not by who only leaves one out", async () => {
    await server.stop();
    start("10.96.0.0/16,fd00::/108");
    const { clusterIPs = [] } = specOf(await create("a", { ipFamilyPolicy: "PreferDualStack" }));
    const merge = (spec: object) => server.send("PATCH", `${path}/a`, { contentType: "application/merge-patch+json", body: { spec } });
    expect((await merge({ clusterIPs: clusterIPs.slice(0, 1) })).body.message).toMatch(/must be( set to)? 'SingleStack'/);
    const single = await merge({ ipFamilyPolicy: "SingleStack" });
    expect(single.body.spec).toMatchObject({ clusterIPs: clusterIPs.slice(0, 1), ipFamilies: ["IPv4"] });
    // It can be given to another one.
    expect((await create("b", { ipFamilies: ["IPv6"], clusterIP: clusterIPs[1] })).status).toBe(201);
    const both = { ipFamilyPolicy: "SingleStack", ipFamilies: ["IPv4", "IPv6"] };
    expect((await create("c", both)).body.message).toBe(
      "Service \"c\" is invalid: spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
    );
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

  it("are the same for ports of a new service that differ in their protocol alone", async () => {
    const both = ["TCP", "UDP"].map((protocol) => ({ name: protocol.toLowerCase(), port: 53, protocol }));
    const [tcp, udp] = specOf(await create("dns", { type: "NodePort", ports: both })).ports;
    expect(tcp?.nodePort).toBeGreaterThanOrEqual(30000);
    expect(udp?.nodePort).toBe(tcp?.nodePort);
    const twice = [1, 2].map(() => ({ port: 53, protocol: "TCP", nodePort: tcp?.nodePort }));
    const changed = await server.send("PATCH", `${path}/dns`, {
      body: { spec: { ports: twice } },
      contentType: "application/merge-patch+json",
    });
    expect([changed.status, changed.body.message]).toEqual([500, `duplicate nodePort: {TCP ${tcp?.nodePort}}`]);
  });

  it("stay with the name of a port that is changed without them", async () => {
    const [before] = specOf(await create("a", { type: "NodePort", ports: [{ name: "web", port: 80, protocol: "TCP" }] })).ports;
    const changed = async (...ports: object[]) =>
      specOf(await server.send("PATCH", `${path}/a`, { body: { spec: { ports } }, contentType: "application/merge-patch+json" })).ports;
    const moved = await changed({ name: "web", port: 81, protocol: "UDP" }, { name: "b", port: 80, protocol: "TCP" });
    expect(moved[0]?.nodePort).toBe(before?.nodePort);
    expect(moved[1]?.nodePort).not.toBe(before?.nodePort);
    expect((await changed({ name: "other", port: 81, protocol: "UDP" }))[0]?.nodePort).not.toBe(before?.nodePort);
  });

  it("do not stay where the service says that it gets none", async () => {
    const ports = [{ name: "web", port: 80, protocol: "TCP", nodePort: 30080 }];
    await create("a", { type: "LoadBalancer", allocateLoadBalancerNodePorts: false, ports });
    const changed = await server.send("PATCH", `${path}/a`, {
      body: { spec: { ports: [{ name: "web", port: 80, protocol: "TCP" }] } },
      contentType: "application/merge-patch+json",
    });
    expect(specOf(changed).ports[0]?.nodePort).toBeUndefined();
  });

  it("of ports are not that of the health check", async () => {
    const checked = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 30100 };
    await create("a", checked);
    const taken = await server.send("PATCH", `${path}/a`, {
      body: { spec: { ports: [{ port: 80, protocol: "TCP", nodePort: 30100 }] } },
      contentType: "application/merge-patch+json",
    });
    expect(taken.body.message).toBe(
      'Service "a" is invalid: spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated',
    );
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

const addressPath = "/apis/networking.k8s.io/v1/ipaddresses";
const addressNames = async (): Promise<string[]> => (await server.send("GET", addressPath)).body.items.map(({ metadata }) => metadata.name);
const portKeys = async (): Promise<string[]> => {
  const start = "/registry/ranges/servicenodeports/";
  return (await server.store.range({ start, end: prefixEnd(start) })).items.map(({ key }) => key.slice(start.length));
};

describe("what a service holds", () => {
  it("is said by an IPAddress of the address's name, and a key for each node port", async () => {
    await create("a", { type: "NodePort", clusterIP: "10.96.0.9", ports: [{ port: 80, protocol: "TCP", nodePort: 30080 }] });
    const { body } = await server.send("GET", `${addressPath}/10.96.0.9`);
    expect(body.spec).toEqual({ parentRef: { resource: "services", namespace: "default", name: "a" } });
    expect(body.metadata).toMatchObject({
      labels: { "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io" },
      managedFields: [{ manager: "kube-apiserver", operation: "Update", apiVersion: "networking.k8s.io/v1" }],
    });
    expect(await portKeys()).toEqual(["30080"]);
  });

  it("goes with the service, and with what an update drops", async () => {
    await create("a", { type: "NodePort", clusterIP: "10.96.0.9", ports: [{ port: 80, protocol: "TCP", nodePort: 30080 }] });
    const external = { spec: { type: "ExternalName", externalName: "x.y", clusterIP: null, clusterIPs: null, ports: null } };
    await server.send("PATCH", `${path}/a`, { body: external, contentType: "application/merge-patch+json" });
    expect([await addressNames(), await portKeys()]).toEqual([[], []]);
    await create("b", { type: "NodePort" });
    expect([(await addressNames()).length, (await portKeys()).length]).toEqual([1, 1]);
    await server.send("DELETE", `${path}/b`);
    expect([await addressNames(), await portKeys()]).toEqual([[], []]);
  });

  it("is nobody else's: an address that somebody took by hand is refused, and stays when the service goes", async () => {
    const spec = { parentRef: { resource: "gateways", group: "gateway.networking.k8s.io", name: "g", namespace: "default" } };
    await server.send("POST", addressPath, { body: { metadata: { name: "10.96.0.9" }, spec } });
    expect((await create("a", { clusterIP: "10.96.0.9" })).body.message).toContain("provided IP is already allocated");
    await server.send("DELETE", `${addressPath}/10.96.0.9`);
    expect((await create("a", { clusterIP: "10.96.0.9" })).status).toBe(201);
  });

  it("leaves no trace of a dry run or a refused service", async () => {
    await create("a", { type: "NodePort" }, "?dryRun=All");
    await create("Bad_Name", { type: "NodePort" });
    expect([await addressNames(), await portKeys()]).toEqual([[], []]);
  });
});

describe("two servers on one store", () => {
  it("give no address and no port twice, though they draw the same numbers", async () => {
    const other = open("10.96.0.0/16", "30000-32767", server.store);
    const body = (name: string) => ({ metadata: { name }, spec: { type: "NodePort", ports: [{ port: 80, protocol: "TCP" }] } });
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 ? server : other).send("POST", path, { body: body(`s${i}`) })),
    );
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 201));
    expect(new Set(replies.map((reply) => specOf(reply).clusterIP)).size).toBe(100);
    expect(new Set(replies.map((reply) => specOf(reply).ports[0]?.nodePort)).size).toBe(100);
    await other.stop();
  });

  it("refuse an address or port that was asked for on both, on one of them", async () => {
    const other = open("10.96.0.0/16", "30000-32767", server.store);
    const spec = { type: "NodePort", clusterIP: "10.96.0.9", ports: [{ port: 80, protocol: "TCP", nodePort: 30080 }] };
    const replies = await Promise.all([server, other].map((s, i) => s.send("POST", path, { body: { metadata: { name: `s${i}` }, spec } })));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 422]);
    expect(replies.find(({ status }) => status === 422)?.body.message).toContain("already allocated");
    await other.stop();
  });
});

describe("ServiceCIDR objects", () => {
  const cidrPath = "/apis/networking.k8s.io/v1/servicecidrs";
  const readyIs = (status: string): object => ({
    status: { conditions: [{ type: "Ready", status, reason: "", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" }] },
  });
  const judge = (status: string): Promise<unknown> =>
    server.send("PATCH", `${cidrPath}/more/status`, { body: readyIs(status), contentType: "application/merge-patch+json" });

  it("add addresses unless they are said not to be ready", async () => {
    await server.stop();
    start("10.0.0.0/30");
    for (const name of ["a", "b"]) expect((await create(name)).status).toBe(201);
    await server.send("POST", cidrPath, { body: { metadata: { name: "more" }, spec: { cidrs: ["10.1.0.0/28"] } } });
    expect(specOf(await create("c")).clusterIP).toMatch(/^10\.1\.0\.\d+$/);
    await judge("False");
    expect((await create("d")).body.message).toContain("range is full");
    await judge("True");
    expect(specOf(await create("d")).clusterIP).toMatch(/^10\.1\.0\.\d+$/);
  });
});

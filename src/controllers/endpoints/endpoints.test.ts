import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { endpointslices, endpoints as endpointsType, nodes, pods, services } from "../../api/resources.generated.ts";
import type { Pod, Service } from "../../api/types/core-v1.ts";
import type { Endpoint, EndpointSlice } from "../../api/types/discovery-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { endpointSliceController } from "./endpoint-slice.ts";
import { endpointsController, truncated } from "./endpoints.ts";
import { planSlices } from "./plan-slices.ts";

const namespace = "shop";

function service(spec: Partial<Service["spec"]> = {}, labels?: Record<string, string>): New<Service> {
  return {
    metadata: { name: "s", namespace, ...(labels ? { labels } : {}) },
    spec: {
      selector: { app: "a" },
      ports: [{ port: 80, targetPort: 8080, protocol: "TCP" }],
      clusterIP: "10.96.0.1",
      ipFamilies: ["IPv4"],
      ...spec,
    },
  };
}

function pod(
  name: string,
  ip: string,
  more: { readonly ready?: boolean; readonly spec?: Partial<Pod["spec"]>; readonly phase?: "Running" | "Failed" } = {},
): New<Pod> {
  return {
    metadata: { name, namespace, labels: { app: "a" } },
    spec: { nodeName: "n1", containers: [{ name: "c", ports: [{ name: "web", containerPort: 9090, protocol: "TCP" }] }], ...more.spec },
    status: {
      phase: more.phase ?? "Running",
      podIP: ip,
      podIPs: ip ? [{ ip }] : [],
      conditions: [{ type: "Ready", status: more.ready === false ? "False" : "True" }],
    },
  };
}

async function started(...objects: New<Pod>[]): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(endpointSliceController, endpointsController);
  await fixture.client.create(nodes, { metadata: { name: "n1", labels: { "topology.kubernetes.io/zone": "z1" } }, spec: {} });
  for (const object of objects) await fixture.client.create(pods, object);
  return fixture;
}

async function slices(fixture: ControllerFixture): Promise<readonly EndpointSlice[]> {
  await fixture.settle();
  return (await fixture.client.list(endpointslices)).items;
}

const legacy = async (fixture: ControllerFixture) => {
  await fixture.settle();
  return fixture.client.get(endpointsType, { namespace, name: "s" });
};
const addresses = (all: readonly EndpointSlice[]): readonly string[] =>
  all
    .flatMap((slice) => slice.endpoints ?? [])
    .flatMap((e) => e.addresses)
    .sort();

describe("planSlices()", () => {
  const ports = [{ name: "", port: 80, protocol: "TCP" as const }];
  const make = (from: number, count: number): Endpoint[] =>
    Array.from({ length: count }, (_, i) => ({
      addresses: [`10.0.${(from + i) >> 8}.${(from + i) & 255}`],
      targetRef: { uid: `u${from + i}` },
    }));
  const slice = (name: string, endpoints: Endpoint[]): EndpointSlice =>
    ({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      addressType: "IPv4",
      metadata: { name, namespace, uid: name },
      ports,
      endpoints,
    }) as unknown as EndpointSlice;

  it("fills slices of a hundred", () => {
    const plan = planSlices([], [{ ports, endpoints: make(0, 250) }]);
    expect(plan.create.map((content) => content.endpoints.length)).toEqual([100, 100, 50]);
  });

  it("puts a few new endpoints into the fullest slice that has room and leaves the others alone", () => {
    const [a, b, c] = [slice("a", make(0, 100)), slice("b", make(100, 60)), slice("c", make(200, 30))];
    const plan = planSlices([a, b, c], [{ ports, endpoints: [...make(0, 160), ...make(200, 30), ...make(300, 5)] }]);
    expect(plan.update.map((u) => [u.slice.metadata.name, u.content.endpoints.length])).toEqual([["b", 65]]);
    expect(plan.unchanged).toEqual([a, c]);
    expect([plan.create, plan.remove]).toEqual([[], []]);
  });

  it("prefers slices that change anyway", () => {
    const [a, b] = [slice("a", make(0, 50)), slice("b", make(100, 80))];
    const plan = planSlices([a, b], [{ ports, endpoints: [...make(1, 49), ...make(100, 80), ...make(300, 3)] }]);
    expect(plan.update.map((u) => [u.slice.metadata.name, u.content.endpoints.length])).toEqual([["a", 52]]);
  });

  it("removes what is empty or at other ports, and keeps one empty slice", () => {
    const [a, placeholder] = [slice("a", make(0, 5)), { ...slice("p", []), ports: [] }];
    expect(planSlices([a, placeholder], [])).toEqual({ create: [], update: [], remove: [a], unchanged: [placeholder] });
    expect(planSlices([a], [])).toMatchObject({ create: [{ ports: [], endpoints: [] }], remove: [a] });
    expect(planSlices([placeholder], [{ ports, endpoints: make(0, 1) }])).toMatchObject({ remove: [placeholder], create: [{ ports }] });
  });
});

describe("truncated()", () => {
  it("keeps a thousand addresses, ready ones first", () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => ({ ip: `10.0.${i >> 8}.${i & 255}` }));
    const { subsets, isTruncated } = truncated([{ addresses: many(600), notReadyAddresses: many(600) }]);
    expect(isTruncated).toBe(true);
    expect([subsets[0]?.addresses?.length, subsets[0]?.notReadyAddresses?.length]).toEqual([600, 400]);
    expect(truncated([{ addresses: many(10) }]).isTruncated).toBe(false);
  });
});

describe("endpointslice-controller and endpoints-controller", () => {
  it("describe the pods that a service selects", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"), pod("p2", "10.99.0.2", { ready: false }));
    await fixture.client.create(services, service({}, { team: "x" }));
    const [slice] = await slices(fixture);
    expect(slice?.metadata.name).toMatch(/^s-/);
    expect(slice?.metadata.labels).toEqual({
      team: "x",
      "kubernetes.io/service-name": "s",
      "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    });
    expect(slice?.metadata.ownerReferences).toMatchObject([{ kind: "Service", name: "s", controller: true, blockOwnerDeletion: true }]);
    expect(slice?.ports).toEqual([{ name: "", port: 8080, protocol: "TCP" }]);
    expect(slice?.endpoints).toMatchObject([
      {
        addresses: ["10.99.0.1"],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: "n1",
        zone: "z1",
        targetRef: { kind: "Pod", name: "p1", namespace },
      },
      { addresses: ["10.99.0.2"], conditions: { ready: false, serving: false, terminating: false } },
    ]);
    const old = await legacy(fixture);
    expect(old.metadata.labels).toEqual({ team: "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller" });
    expect(old.subsets).toMatchObject([
      {
        addresses: [{ ip: "10.99.0.1", nodeName: "n1" }],
        notReadyAddresses: [{ ip: "10.99.0.2" }],
        ports: [{ port: 8080, protocol: "TCP" }],
      },
    ]);
    expect(old.subsets?.[0]?.ports).toEqual([{ port: 8080, protocol: "TCP" }]);
    expect(fixture.problems).toEqual([]);
  });

  it("make one slice per service, however often they look", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"));
    fixture.api.watchDelayMs = (path) => (path.includes("endpointslices") ? 500 : 0);
    await fixture.client.create(services, service());
    for (let i = 0; i < 10; i++) {
      await fixture.client.patch(services, { namespace, name: "s" }, { metadata: { annotations: { i: String(i) } } }, { type: "merge" });
      await fixture.clock.advance(30);
    }
    expect(await slices(fixture)).toHaveLength(1);
  });

  it("leave out pods without an address or that have ended", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"), pod("p2", ""), pod("p3", "10.99.0.3", { phase: "Failed" }));
    await fixture.client.create(services, service());
    expect(addresses(await slices(fixture))).toEqual(["10.99.0.1"]);
  });

  it("say that a terminating pod serves but is not ready", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"));
    await fixture.client.create(services, service());
    await fixture.settle();
    await fixture.client.delete(pods, { namespace, name: "p1" });
    expect((await slices(fixture))[0]?.endpoints?.[0]?.conditions).toEqual({ ready: false, serving: true, terminating: true });
    expect((await legacy(fixture)).subsets).toBeUndefined();
    await fixture.client.delete(pods, { namespace, name: "p1" }, { body: { gracePeriodSeconds: 0 } });
    const [empty] = await slices(fixture);
    expect([empty?.endpoints, empty?.ports]).toEqual([undefined, undefined]);
  });

  it("follow a change of the selector", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"), {
      ...pod("q1", "10.99.0.2"),
      metadata: { name: "q1", namespace, labels: { app: "b" } },
    });
    await fixture.client.create(services, service());
    expect(addresses(await slices(fixture))).toEqual(["10.99.0.1"]);
    await fixture.client.patch(services, { namespace, name: "s" }, { spec: { selector: { app: "b" } } }, { type: "merge" });
    expect(addresses(await slices(fixture))).toEqual(["10.99.0.2"]);
  });

  it("resolve named ports pod by pod", async () => {
    const other = pod("p2", "10.99.0.2", { spec: { containers: [{ name: "c", ports: [{ name: "web", containerPort: 7070 }] }] } });
    await using fixture = await started(pod("p1", "10.99.0.1"), other, pod("p3", "10.99.0.3", { spec: { containers: [{ name: "c" }] } }));
    await fixture.client.create(services, service({ ports: [{ name: "http", port: 80, targetPort: "web" }] }));
    const ports = (await slices(fixture)).map((slice) => [slice.ports?.[0]?.name, slice.ports?.[0]?.port, slice.endpoints?.length]);
    // The pod that has no such port is there without ports.
    expect(ports.sort()).toEqual([
      [undefined, undefined, 1],
      ["http", 7070, 1],
      ["http", 9090, 1],
    ]);
    expect((await legacy(fixture)).subsets).toHaveLength(2);
  });

  it("publish pods that are not ready where the service asks for it", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1", { ready: false }));
    await fixture.client.create(services, service({ publishNotReadyAddresses: true }));
    expect((await slices(fixture))[0]?.endpoints?.[0]?.conditions).toEqual({ ready: true, serving: false, terminating: false });
    expect((await legacy(fixture)).subsets?.[0]?.addresses).toHaveLength(1);
  });

  it("carry host names and the headless label for headless services, with or without ports", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1", { spec: { hostname: "one", subdomain: "s" } }));
    await fixture.client.create(services, service({ clusterIP: "None", ports: [] }));
    const [slice] = await slices(fixture);
    expect(slice?.metadata.labels).toHaveProperty(["service.kubernetes.io/headless"], "");
    expect(slice?.endpoints?.[0]?.hostname).toBe("one");
    expect(slice?.ports).toBeUndefined();
    expect((await legacy(fixture)).metadata.labels).toHaveProperty(["service.kubernetes.io/headless"], "");
  });

  it("serve each family of a dual-stack service by slices of its own", async () => {
    const dual = pod("p1", "10.99.0.1");
    await using fixture = await started({ ...dual, status: { ...dual.status, podIPs: [{ ip: "10.99.0.1" }, { ip: "fd00::1" }] } });
    await fixture.client.create(services, service({ ipFamilies: ["IPv4", "IPv6"] }));
    expect((await slices(fixture)).map((slice) => [slice.addressType, slice.endpoints?.[0]?.addresses]).sort()).toEqual([
      ["IPv4", ["10.99.0.1"]],
      ["IPv6", ["fd00::1"]],
    ]);
  });

  it("leave out a pod without a node, and say so", async () => {
    const { nodeName: _, ...spec } = pod("p1", "10.99.0.1").spec;
    await using fixture = await started({ ...pod("p1", "10.99.0.1"), spec }, pod("p2", "10.99.0.2"));
    await fixture.client.create(services, service());
    expect((await slices(fixture))[0]?.endpoints?.map(({ addresses }) => addresses)).toEqual([["10.99.0.2"]]);
    expect((await fixture.eventsOf("s"))[0]).toContain(
      `FailedToUpdateEndpointSlices: Error updating Endpoint Slices for Service ${namespace}/s: skipping Pod p1 for Service ${namespace}/s: Node  Not Found`,
    );
  });

  it("give hints where the service prefers near endpoints", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"));
    await fixture.client.create(services, service({ trafficDistribution: "PreferSameZone" }));
    expect((await slices(fixture))[0]?.endpoints?.[0]?.hints).toEqual({ forZones: [{ name: "z1" }] });
    await fixture.client.patch(services, { namespace, name: "s" }, { spec: { trafficDistribution: null } }, { type: "merge" });
    expect((await slices(fixture))[0]?.endpoints?.[0]?.hints).toBeUndefined();
  });

  it("put back what was deleted by hand, and clean up Endpoints with their service", async () => {
    await using fixture = await started(pod("p1", "10.99.0.1"));
    await fixture.client.create(services, service());
    const [slice] = await slices(fixture);
    await fixture.client.delete(endpointslices, { namespace, name: slice?.metadata.name ?? "" });
    await fixture.client.delete(endpointsType, { namespace, name: "s" });
    expect(await slices(fixture)).toHaveLength(1);
    expect((await legacy(fixture)).subsets).toHaveLength(1);
    await fixture.client.delete(services, { namespace, name: "s" });
    await fixture.settle();
    expect((await fixture.client.list(endpointsType)).items).toEqual([]);
  });

  it("leave services without a selector alone", async () => {
    await using fixture = await started();
    const { selector: _, ...spec } = service().spec ?? {};
    await fixture.client.create(services, { metadata: { name: "s", namespace }, spec });
    expect(await slices(fixture)).toEqual([]);
    expect((await fixture.client.list(endpointsType)).items).toEqual([]);
  });
});

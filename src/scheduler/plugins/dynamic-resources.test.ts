// DynamicResources with a real API server: claims are allocated, reserved and given back as the objects show it.
import { afterEach, describe, expect, it } from "vitest";
import { conflict } from "../../api/meta/status-error.ts";
import { deviceclasses, eventsV1, namespaces, nodes, pods, resourceclaims, resourceslices } from "../../api/resources.generated.ts";
import type { PodSpec } from "../../api/types/core-v1.ts";
import type { Device, DeviceClassSpec, DeviceRequest, ResourceSliceSpec } from "../../api/types/resource-v1.ts";
import { loopbackUser } from "../../apiserver/authn/user.ts";
import { createEndpoints } from "../../apiserver/http/endpoints.ts";
import { createRequestMetrics } from "../../apiserver/http/request-metrics.ts";
import { createInProcessTransport } from "../../apiserver/in-process-transport.ts";
import { builtInDefinitions } from "../../apiserver/registry/definitions.ts";
import { createFixture } from "../../apiserver/registry/request-fixture.ts";
import { describedResources } from "../../apiserver/registry/resources/all.ts";
import type { Stage } from "../../apiserver/request.ts";
import { createApiServer } from "../../apiserver/server.ts";
import { createLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { createClient } from "../../client/create-client.ts";
import { createEventSeriesRecorder } from "../../client/event-series-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import type { TransportRequest } from "../../client/transport.ts";
import { driver, exactly, selecting } from "../devices/test-devices.ts";
import { Scheduler } from "../scheduler.ts";
import { SchedulerMetrics } from "../scheduler-metrics.ts";
import { defaultProfile } from "./defaults.ts";

const through: Stage = (context, next) => next(context);
const running: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

async function setUp() {
  const fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
  const { clock } = fixture;
  const problems: string[] = [];
  const logger = createLogger("test", { write: (line) => void (/^[WE]/.test(line) && problems.push(line)) });
  const stages = { authentication: through, impersonation: through, flowControl: through, authorization: through };
  const own = { resources: fixture.handler, endpoints: createEndpoints([]), metrics: createRequestMetrics(new MetricsRegistry()) };
  const transport = createInProcessTransport(createApiServer({ ...stages, ...own, clock, logger }), loopbackUser, clock);
  const client = createClient(transport);
  const hooks: { before?: (request: TransportRequest) => Promise<void> | void } = {};
  const hooked = createClient({
    ...transport,
    request: async (request) => {
      await hooks.before?.(request);
      return transport.request(request);
    },
    watch: (request) => transport.watch(request),
    close: () => transport.close(),
  });
  running.push(() => fixture.stop());
  await client.create(namespaces, { metadata: { name: "default" }, spec: {} });
  const informers = createInformerFactory(hooked, { clock, logger, deepFreeze: true });
  const recorder = createEventSeriesRecorder({
    client,
    clock,
    logger,
    reportingController: "default-scheduler",
    reportingInstance: "test",
  });
  const metrics = new MetricsRegistry();
  const deps = { client: hooked, informers, clock, logger, recorder, metrics: new SchedulerMetrics(metrics) };
  const scheduler = new Scheduler(deps, { profiles: [defaultProfile(deps)] });
  const started = scheduler.start();
  await clock.advance(50);
  await started;
  running.push(async () => {
    const stopped = Promise.all([scheduler.stop(), recorder.stop(), informers.stop()]);
    await clock.advance(15_000);
    await stopped;
  });
  const at = (name: string) => ({ namespace: "default", name });
  return {
    clock,
    client,
    hooks,
    problems,
    metrics,
    settle: async (ms = 200) => {
      for (let passed = 0; passed < ms; passed += 20) await clock.advance(20);
    },
    addNode: (name: string) => {
      const allocatable = { cpu: "4", memory: "8Gi", pods: "110" };
      return client.create(nodes, { metadata: { name, labels: { host: name } }, spec: {}, status: { allocatable, capacity: allocatable } });
    },
    addClass: (name = "gpu", spec: DeviceClassSpec = {}) => client.create(deviceclasses, { metadata: { name }, spec }),
    addSlice: (nodeName: string, devices: readonly Device[], more: Partial<ResourceSliceSpec> = {}) =>
      client.create(resourceslices, {
        metadata: { name: `slice-${nodeName}` },
        spec: { driver, nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 }, devices, ...more },
      }),
    addClaim: (name: string, ...requests: DeviceRequest[]) =>
      client.create(resourceclaims, { metadata: { name, namespace: "default" }, spec: { devices: { requests } } }),
    addPod: (name: string, claims: readonly string[], more: Partial<PodSpec> = {}) => {
      const resourceClaims = claims.map((resourceClaimName, i) => ({ name: `c${i}`, resourceClaimName }));
      const spec = { containers: [{ name: "main", image: "app" }], ...(claims.length > 0 ? { resourceClaims } : {}), ...more };
      return client.create(pods, { metadata: { name, namespace: "default" }, spec });
    },
    nodeOf: async (name: string) => (await client.get(pods, at(name))).spec.nodeName,
    claim: (name: string) => client.get(resourceclaims, at(name)),
    at,
    events: async (name: string) => {
      const { items } = await client.list(eventsV1);
      return items.filter((e) => e.regarding?.name === name).map((e) => `${e.reason}: ${e.note}`);
    },
  };
}

const finalizer = "resource.kubernetes.io/delete-protection";

describe("DynamicResources", () => {
  it("allocates a claim where devices are, reserves it for the pod, and protects it", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name);
    await t.addClass();
    await t.addSlice("b", [{ name: "d1" }]);
    await t.addClaim("c", exactly("r"));
    const pod = await t.addPod("p", ["c"]);
    await t.settle();
    expect(await t.nodeOf("p")).toBe("b");
    const claim = await t.claim("c");
    expect(claim.metadata.finalizers).toEqual([finalizer]);
    expect(claim.status).toEqual({
      allocation: {
        allocationTimestamp: expect.any(String),
        devices: { results: [{ request: "r", driver, pool: "b", device: "d1" }] },
        nodeSelector: { nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["b"] }] }] },
      },
      reservedFor: [{ resource: "pods", name: "p", uid: pod.metadata.uid }],
    });
    await t.addPod("q", ["c"]);
    await t.settle();
    expect(await t.nodeOf("q")).toBe("b");
    expect((await t.claim("c")).status?.reservedFor?.map(({ name }) => name)).toEqual(["p", "q"]);
    expect(t.problems).toEqual([]);
  });

  it("says why a pod cannot be placed, and places it when its claim, class, devices or their release come", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.addPod("p", ["c"]);
    await t.settle();
    expect(await t.events("p")).toEqual([]); // held back, as upstream: there is nothing to try
    await t.addClaim("c", exactly("r"));
    await t.settle();
    expect((await t.events("p"))[0]).toBe(
      "FailedScheduling: 0/1 nodes are available: request r: device class gpu does not exist. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
    await t.addClass();
    await t.settle(2_000);
    expect((await t.events("p")).at(-1)).toBe(
      "FailedScheduling: 0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    );
    await t.addSlice("a", [{ name: "d1" }]);
    await t.settle(3_000);
    expect(await t.nodeOf("p")).toBe("a");
    await t.addClaim("e", exactly("r"));
    await t.addPod("q", ["e"]);
    await t.settle();
    expect(await t.nodeOf("q")).toBeUndefined();
    const claim = await t.claim("c");
    await t.client.updateStatus(resourceclaims, { ...claim, status: {} });
    await t.settle(3_000);
    expect(await t.nodeOf("q")).toBe("a");
    expect(t.problems).toEqual([]);
  });

  it("never gives one device to two claims, however many pods come at once", async () => {
    const t = await setUp();
    for (const name of ["a", "b", "c"]) {
      await t.addNode(name);
      await t.addSlice(name, [{ name: "d1" }, { name: "d2" }]);
    }
    await t.addClass();
    for (let i = 0; i < 8; i++) await t.addClaim(`c${i}`, exactly("r"));
    await Promise.all(Array.from({ length: 8 }, (_, i) => t.addPod(`p${i}`, [`c${i}`])));
    await t.settle(2_000);
    const { items } = await t.client.list(resourceclaims);
    const devices = items.flatMap(({ status }) => status?.allocation?.devices?.results?.map((r) => `${r.pool}/${r.device}`) ?? []);
    expect(devices.sort()).toEqual(["a/d1", "a/d2", "b/d1", "b/d2", "c/d1", "c/d2"]);
    const bound = (await t.client.list(pods)).items.filter(({ spec }) => spec.nodeName);
    expect(bound).toHaveLength(6);
    expect(t.problems).toEqual([]);
  });

  it("prefers the node that has the first alternative", async () => {
    const t = await setUp();
    for (const [name, model] of [
      ["a", "old"],
      ["b", "new"],
      ["c", "old"],
    ] as const) {
      await t.addNode(name);
      await t.addSlice(name, [{ name: "d", attributes: { model: { string: model } } }]);
    }
    await t.addClass();
    const option = (name: string) => ({ name, deviceClassName: "gpu", ...selecting(`device.attributes["${driver}"].model == "${name}"`) });
    await t.addClaim("c", { name: "r", firstAvailable: [option("new"), option("old")] });
    await t.addPod("p", ["c"]);
    await t.settle();
    expect(await t.nodeOf("p")).toBe("b");
    expect((await t.claim("c")).status?.allocation?.devices?.results?.[0]?.request).toBe("r/new");
  });

  it("gives back what it promised when a claim cannot be written, and retries conflicts", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.addClass();
    await t.addSlice("a", [{ name: "d1" }]);
    await t.addClaim("c", exactly("r"));
    let conflicts = 0;
    t.hooks.before = ({ method, path }) => {
      if (method === "PUT" && path.endsWith("/resourceclaims/c/status") && conflicts++ < 2)
        throw conflict(resourceclaims, "c", "the object has been modified");
    };
    await t.addPod("p", ["c"]);
    await t.settle();
    expect([await t.nodeOf("p"), conflicts]).toEqual(["a", 3]);
    await t.client.delete(pods, t.at("p"));
    await t.client.updateStatus(resourceclaims, { ...(await t.claim("c")), status: {} });
    let bindings = 0;
    t.hooks.before = ({ method, path }) => {
      if (method === "POST" && path.includes("/pods/q/binding") && bindings++ === 0) throw conflict(pods, "q", "somebody was faster");
    };
    await t.addPod("q", ["c"]);
    await t.settle();
    expect((await t.claim("c")).status?.reservedFor ?? []).toEqual([]);
    await t.settle(3_000);
    expect([await t.nodeOf("q"), bindings]).toEqual(["a", 2]);
    expect((await t.claim("c")).status?.reservedFor?.map(({ name }) => name)).toEqual(["q"]);
  });

  it("gives back an allocation that nobody uses where the pod cannot go, and allocates elsewhere", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) {
      await t.addNode(name);
      await t.addSlice(name, [{ name: "d1" }]);
    }
    await t.addClass();
    await t.addClaim("c", exactly("r"));
    await t.addPod("p", ["c"], { nodeSelector: { host: "a" } });
    await t.settle();
    const claim = await t.claim("c");
    await t.client.updateStatus(resourceclaims, { ...claim, status: { ...claim.status, reservedFor: [] } });
    await t.client.delete(pods, t.at("p"));
    await t.addPod("q", ["c"], { nodeSelector: { host: "b" } });
    await t.settle(3_000);
    const refused = (await t.events("q")).find((text) => text.startsWith("FailedScheduling"));
    expect(refused).toContain("1 resourceclaim not available on the node");
    expect(refused).toContain("deallocation of ResourceClaim completed");
    expect(await t.nodeOf("q")).toBe("b");
    expect((await t.claim("c")).status?.allocation?.devices?.results?.[0]?.pool).toBe("b");
  });

  it("binds a pod when its devices are ready, and looks for others when one fails", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name);
    await t.addClass();
    const binding = { bindingConditions: ["Attached"], bindingFailureConditions: ["Broken"], bindsToNode: true };
    const { nodeName: _, ...fabric } = { nodeName: "", allNodes: true, pool: { name: "fabric", generation: 1, resourceSliceCount: 1 } };
    await t.client.create(resourceslices, {
      metadata: { name: "fabric" },
      spec: {
        driver,
        ...fabric,
        devices: [
          { name: "d1", ...binding },
          { name: "d2", ...binding },
        ],
      },
    });
    await t.addClaim("c", exactly("r"));
    await t.addPod("p", ["c"]);
    await t.settle();
    expect(await t.nodeOf("p")).toBeUndefined();
    expect((await t.events("p"))[0]).toMatch(/^BindingConditionsPending: waiting for binding conditions for device on node [ab]$/);
    const report = async (type: string): Promise<void> => {
      const claim = await t.claim("c");
      const { device = "", pool = "" } = claim.status?.allocation?.devices?.results?.[0] ?? {};
      const condition = { type, status: "True" as const, reason: "Test", message: "so it is", lastTransitionTime: "2026-01-01T00:00:00Z" };
      await t.client.updateStatus(resourceclaims, {
        ...claim,
        status: { ...claim.status, devices: [{ driver, pool, device, conditions: [condition] }] },
      });
    };
    await report("Broken");
    await t.settle(6_000);
    expect((await t.events("p")).some((text) => text.includes('device binding failed: claim=c, reason=Test, message="so it is"'))).toBe(
      true,
    );
    await t.settle(10_000);
    expect((await t.claim("c")).status?.devices ?? []).toEqual([]);
    await report("Attached");
    await t.settle(6_000);
    expect(await t.nodeOf("p")).toMatch(/^[ab]$/);
    expect(t.metrics.text()).toMatch(
      /^scheduler_dra_bindingconditions_allocations_total\{profile="default-scheduler",driver="gpu.example.com",status="success"\} 1$/m,
    );
  });

  it("makes a claim for an extended resource with a class behind it, and notes it in the pod's status", async () => {
    const t = await setUp();
    await t.addNode("a");
    const resources = (n: number) => ({
      containers: [
        { name: "main", image: "app", resources: { requests: { "example.com/gpu": String(n) }, limits: { "example.com/gpu": String(n) } } },
      ],
    });
    await t.addPod("early", [], resources(2));
    await t.settle();
    expect((await t.events("early"))[0]).toContain("1 Insufficient example.com/gpu");
    await t.addClass("gpu", { extendedResourceName: "example.com/gpu" });
    await t.settle(2_000);
    expect((await t.events("early")).at(-1)).toContain("1 cannot allocate all claims");
    await t.addSlice("a", [{ name: "d1" }, { name: "d2" }]);
    await t.settle(5_000);
    expect(await t.nodeOf("early")).toBe("a");
    const [claim] = (await t.client.list(resourceclaims)).items;
    expect(claim?.metadata).toMatchObject({
      generateName: "early-extended-resources-",
      annotations: { "resource.kubernetes.io/extended-resource-claim": "true" },
      ownerReferences: [{ kind: "Pod", name: "early", controller: true }],
      finalizers: [finalizer],
    });
    expect(claim?.status?.allocation?.devices?.results?.map(({ request, device }) => `${request}=${device}`)).toEqual([
      "container-0-request-0=d1",
      "container-0-request-0=d2",
    ]);
    const pod = await t.client.get(pods, t.at("early"));
    expect(pod.status?.extendedResourceClaimStatus).toEqual({
      resourceClaimName: claim?.metadata.name,
      requestMappings: [{ containerName: "main", resourceName: "example.com/gpu", requestName: "container-0-request-0" }],
    });
    expect(claim?.status?.reservedFor).toEqual([{ resource: "pods", name: "early", uid: pod.metadata.uid }]);
    expect(t.metrics.text()).toMatch(/^scheduler_resourceclaim_creates_total\{status="success"\} 1$/m);
    expect(t.problems).toEqual([]);
  });

  it("tries a pod again later whose selector fails", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.addClass();
    await t.addSlice("a", [{ name: "d1" }]);
    await t.addClaim("c", exactly("r", selecting(`device.attributes["${driver}"].nothing`)));
    await t.addPod("p", ["c"]);
    await t.settle();
    expect((await t.events("p"))[0]).toBe(
      'FailedScheduling: running "DynamicResources" filter plugin: claim default/c: selector #0: CEL runtime error: no such key: nothing',
    );
    const condition = (await t.client.get(pods, t.at("p"))).status?.conditions?.find(({ type }) => type === "PodScheduled");
    expect(condition?.reason).toBe("SchedulerError");
  });

  it("removes the claim for extended resources that an earlier scheduler has left, and makes a new one", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.addClass("gpu", { extendedResourceName: "example.com/gpu" });
    const amounts = { "example.com/gpu": "1" };
    const container = { name: "main", image: "app", resources: { requests: amounts, limits: amounts } };
    const pod = await t.addPod("p", [], { containers: [container], schedulingGates: [{ name: "wait" }] });
    const left = await t.client.create(resourceclaims, {
      metadata: {
        ...{ name: "left", namespace: "default", finalizers: [finalizer] },
        annotations: { "resource.kubernetes.io/extended-resource-claim": "true" },
        ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "p", uid: pod.metadata.uid, controller: true }],
      },
      spec: { devices: { requests: [exactly("container-0-request-0")] } },
    });
    await t.addSlice("a", [{ name: "d1" }]);
    await t.client.patch(pods, t.at("p"), { spec: { schedulingGates: null } }, { type: "merge" });
    await t.settle(4_000);
    expect((await t.events("p"))[0]).toContain("1 cannot schedule extended resource claim. deletion of ResourceClaim completed");
    expect(await t.nodeOf("p")).toBe("a");
    const claims = (await t.client.list(resourceclaims)).items;
    expect(claims.map(({ metadata }) => metadata.uid)).not.toContain(left.metadata.uid);
    expect(claims).toHaveLength(1);
  });
});

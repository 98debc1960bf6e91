import { afterEach, describe, expect, it } from "vitest";
import { conflict } from "../api/meta/status-error.ts";
import { eventsV1, namespaces, nodes, poddisruptionbudgets, pods } from "../api/resources.generated.ts";
import type { Pod, PodSpec } from "../api/types/core-v1.ts";
import { loopbackUser } from "../apiserver/authn/user.ts";
import { createEndpoints } from "../apiserver/http/endpoints.ts";
import { createRequestMetrics } from "../apiserver/http/request-metrics.ts";
import { createInProcessTransport } from "../apiserver/in-process-transport.ts";
import { builtInDefinitions } from "../apiserver/registry/definitions.ts";
import { createFixture } from "../apiserver/registry/request-fixture.ts";
import { describedResources } from "../apiserver/registry/resources/all.ts";
import type { Stage } from "../apiserver/request.ts";
import { createApiServer } from "../apiserver/server.ts";
import { createLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { createClient } from "../client/create-client.ts";
import { createEventSeriesRecorder } from "../client/event-series-recorder.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { Transport, TransportRequest } from "../client/transport.ts";
import { readSchedulerConfiguration } from "./configuration/scheduler-configuration.ts";
import type { Extender } from "./extenders/extender.ts";
import { configuredProfile } from "./plugins/configured-profile.ts";
import { defaultProfile } from "./plugins/defaults.ts";
import { Scheduler } from "./scheduler.ts";
import { SchedulerMetrics } from "./scheduler-metrics.ts";
import { pluginRegistry, type UserPlugin } from "./user-plugins/user-plugin.ts";

const emptyConfiguration = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
const through: Stage = (context, next) => next(context);
const running: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

/** An API server in memory, and a scheduler that can be started, stopped and started again. */
async function setUp() {
  const fixture = createFixture({ definitions: builtInDefinitions(describedResources) });
  const { clock } = fixture;
  const problems: string[] = [];
  const logger = createLogger("test", { write: (line) => void (/^[WE]/.test(line) && problems.push(line)) });
  const api = createApiServer({
    authentication: through,
    impersonation: through,
    flowControl: through,
    authorization: through,
    resources: fixture.handler,
    endpoints: createEndpoints([]),
    metrics: createRequestMetrics(new MetricsRegistry()),
    clock,
    logger,
  });
  const transport = createInProcessTransport(api, loopbackUser, clock);
  const client = createClient(transport);
  const calls: TransportRequest[] = [];
  const hooks: { before?: (request: TransportRequest) => Promise<void> | void } = {};
  const watched: Transport = {
    async request(request) {
      calls.push(request);
      await hooks.before?.(request);
      return transport.request(request);
    },
    watch: (request) => transport.watch(request),
    close: () => transport.close(),
  };
  const metrics = new MetricsRegistry();
  const figures = new SchedulerMetrics(metrics);
  let profileDeps: Parameters<typeof defaultProfile>[0] | undefined;
  /** `yaml`: the profiles of a configuration instead of the default one. */
  const startScheduler = async (
    yaml?: string,
    extenders: readonly Extender[] = [],
  ): Promise<{ stop(): Promise<void>; scheduler: Scheduler }> => {
    const own = createClient(watched);
    const informers = createInformerFactory(own, { clock, logger, deepFreeze: true });
    const recorder = createEventSeriesRecorder({
      client: own,
      clock,
      logger,
      reportingController: "default-scheduler",
      reportingInstance: "test",
    });
    const deps = { client: own, informers, clock, logger, recorder, metrics: figures, extenders };
    profileDeps = deps;
    const configuration = yaml === undefined ? undefined : await readSchedulerConfiguration(emptyConfiguration + yaml);
    const profiles = configuration?.profiles.map((settings) => configuredProfile(deps, settings)) ?? [defaultProfile(deps)];
    const scheduler = new Scheduler(deps, { profiles, bindTimeoutMs: 20_000, extenders });
    const started = scheduler.start();
    await clock.advance(50);
    await started;
    const stop = async (): Promise<void> => {
      const stopped = Promise.all([scheduler.stop(), recorder.stop(), informers.stop()]);
      await clock.advance(15_000);
      await stopped;
    };
    running.push(stop);
    return { stop, scheduler };
  };
  running.push(() => fixture.stop());
  await client.create(namespaces, { metadata: { name: "default" }, spec: {} });
  return {
    clock,
    client,
    calls,
    hooks,
    problems,
    metrics,
    startScheduler,
    /** Of the scheduler that was started last. */
    profileDeps: () => {
      if (!profileDeps) throw new Error("no scheduler has been started");
      return profileDeps;
    },
    settle: async () => {
      for (let i = 0; i < 10; i++) await clock.advance(20);
    },
    addNode: (name: string, cpu = "4") => client.create(nodes, nodeNamed(name, cpu)),
    addPod: (name: string, cpu: string, spec: Partial<PodSpec> = {}) => client.create(pods, podNamed(name, cpu, spec)),
    pod: (name: string) => client.get(pods, { namespace: "default", name }),
    events: async (name: string) => {
      const list = await client.list(eventsV1);
      return list.items.filter((e) => e.regarding?.name === name).map((e) => `${e.reason}: ${e.note}`);
    },
    patchesOf: (name: string) => calls.filter((c) => c.method === "PATCH" && c.path.endsWith(`/pods/${name}/status`)).length,
  };
}

function nodeNamed(name: string, cpu: string) {
  const allocatable = { cpu, memory: "8Gi", pods: "110" };
  const labels = { "kubernetes.io/hostname": name };
  return { metadata: { name, labels }, spec: {}, status: { allocatable, capacity: allocatable } };
}

function podNamed(name: string, cpu: string, spec: Partial<PodSpec>) {
  const container = { name: "c", image: "app", resources: { requests: { cpu } } };
  return {
    metadata: { name, namespace: "default", labels: { app: name } },
    spec: { containers: [container], terminationGracePeriodSeconds: 30, ...spec },
  };
}

/** The request that binds a pod. */
const isBinding = (request: TransportRequest, name?: string): boolean =>
  request.method === "POST" && request.path.endsWith("/binding") && (name === undefined || request.path.includes(`/pods/${name}/`));

function usedCpu(list: readonly Pod[], node: string): number {
  return list
    .filter((p) => p.spec.nodeName === node)
    .reduce((sum, p) => sum + Number(p.spec.containers[0]?.resources?.requests?.cpu ?? 0), 0);
}

describe("Scheduler", () => {
  it("binds pods and says so in an event", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.startScheduler();
    await t.addPod("p", "1");
    await t.settle();
    expect((await t.pod("p")).spec.nodeName).toBe("a");
    expect(await t.events("p")).toEqual(["Scheduled: Successfully assigned default/p to a"]);
    expect(t.problems).toEqual([]);
  });

  it("goes on with other plugins, and looks at waiting pods again", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name);
    const { scheduler } = await t.startScheduler();
    const only = (name: string | undefined): UserPlugin => ({
      name: "Only",
      extensionPoints: ["filter"],
      create: () => ({ filter: () => (node) => (node.name === name ? undefined : { reasons: ["not that one"] }) }),
    });
    const settings = async () => (await readSchedulerConfiguration(emptyConfiguration, pluginRegistry([only("")]))).profiles;
    const replace = async (plugin: UserPlugin): Promise<void> =>
      scheduler.replaceProfiles((await settings()).map((profile) => configuredProfile(t.profileDeps(), profile, [plugin])));
    await replace(only(undefined));
    await t.addPod("p", "1");
    await t.settle();
    expect((await t.events("p"))[0]).toMatch(/^FailedScheduling: 0\/2 nodes are available: 2 not that one\./);
    await replace(only("b"));
    await t.clock.advance(2_000);
    await t.settle();
    expect((await t.pod("p")).spec.nodeName).toBe("b");
    expect(t.problems).toEqual([]);
  });

  it("schedules the pods of every profile, each by its own plugins", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name);
    const strategy = "args: {scoringStrategy: {type: MostAllocated}}";
    const scored = "score: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit}]}";
    await t.startScheduler(`
profiles:
  - schedulerName: default-scheduler
    plugins: {${scored}}
  - schedulerName: packing
    plugins: {${scored}}
    pluginConfig: [{name: NodeResourcesFit, ${strategy}}]
`);
    await t.addPod("first", "1", { nodeSelector: { "kubernetes.io/hostname": "a" } });
    await t.settle();
    await t.addPod("packed", "1", { schedulerName: "packing" });
    await t.addPod("spread", "1");
    await t.addPod("foreign", "1", { schedulerName: "somebody-else" });
    await t.settle();
    expect((await t.pod("packed")).spec.nodeName).toBe("a");
    expect((await t.pod("spread")).spec.nodeName).toBe("b");
    expect((await t.pod("foreign")).spec.nodeName).toBeUndefined();
    expect(t.metrics.text()).toMatch(/^scheduler_schedule_attempts_total\{result="scheduled",profile="packing"\} 1$/m);
    expect(t.problems).toEqual([]);
  });

  it("asks extenders, waits for any event when they refuse, and lets them bind", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name);
    const bound: string[] = [];
    const wanted = { node: "" };
    const extender: Extender = {
      name: "test",
      ignorable: false,
      isInterested: (pod) => pod.metadata.name.startsWith("extended"),
      filter: async (_pod, found) => {
        const others = found.map(({ metadata }) => metadata.name).filter((name) => name !== wanted.node);
        const nodeNames = found.map(({ metadata }) => metadata.name).filter((name) => name === wanted.node);
        return { nodeNames, failed: new Map(others.map((name) => [name, "the extender said no"])), unresolvable: new Map() };
      },
      bind: async (pod, nodeName) => void bound.push(`${pod.metadata.name} to ${nodeName}`),
    };
    await t.startScheduler("profiles: [{}]", [extender]);
    await t.addPod("extended", "1");
    await t.addPod("plain", "1");
    await t.settle();
    expect((await t.pod("plain")).spec.nodeName).toBeDefined();
    expect((await t.events("extended"))[0]).toMatch(/^FailedScheduling: 0\/2 nodes are available: 2 the extender said no\. /);
    expect(bound).toEqual([]);
    wanted.node = "b";
    await t.addNode("c");
    await t.clock.advance(2_000);
    expect(bound).toEqual(["extended to b"]);
    expect(t.calls.filter((call) => isBinding(call, "extended"))).toEqual([]);
    expect(t.problems).toEqual([]);
  });

  it("tries a pod again after its back-off when an extender fails", async () => {
    const t = await setUp();
    await t.addNode("a");
    let failures = 1;
    const filter: NonNullable<Extender["filter"]> = async (_pod, found) => {
      if (failures-- > 0) throw new Error("the extender is away");
      return { nodeNames: found.map(({ metadata }) => metadata.name), failed: new Map(), unresolvable: new Map() };
    };
    await t.startScheduler("profiles: [{}]", [{ name: "test", ignorable: false, isInterested: () => true, filter }]);
    await t.addPod("p", "1");
    await t.settle();
    expect((await t.pod("p")).spec.nodeName).toBeUndefined();
    expect(t.metrics.text()).toMatch(/^scheduler_schedule_attempts_total\{result="error",profile="default-scheduler"\} 1$/m);
    await t.clock.advance(2_000);
    expect((await t.pod("p")).spec.nodeName).toBe("a");
    expect(t.problems.join()).toContain("Scheduling a pod failed");
  });

  it("leaves preemption to what extenders allow", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name, "1");
    const preempt: NonNullable<Extender["preempt"]> = async (_pod, candidates) =>
      new Map(
        candidates
          .filter(({ nodeName }) => nodeName === "b")
          .map(({ nodeName, victims, violations }) => [nodeName, { uids: victims.map((v) => v.metadata.uid), violations }]),
      );
    await t.startScheduler("profiles: [{}]", [{ name: "test", ignorable: false, isInterested: () => true, preempt }]);
    // Without a say in it, the less important victim on a would be chosen.
    await t.addPod("cheap", "1", { priority: 0, nodeSelector: { "kubernetes.io/hostname": "a" } });
    await t.addPod("dear", "1", { priority: 5, nodeSelector: { "kubernetes.io/hostname": "b" } });
    await t.settle();
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    expect((await t.pod("high")).status?.nominatedNodeName).toBe("b");
    expect((await t.pod("dear")).metadata.deletionTimestamp).toBeDefined();
    expect((await t.pod("cheap")).metadata.deletionTimestamp).toBeUndefined();
  });

  it("says so where extenders leave no candidate for preemption", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    const preempt: NonNullable<Extender["preempt"]> = async () => new Map();
    await t.startScheduler("profiles: [{}]", [{ name: "test", ignorable: false, isInterested: () => true, preempt }]);
    await t.addPod("low", "1", { priority: 0 });
    await t.settle();
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    const condition = (await t.pod("high")).status?.conditions?.find(({ type }) => type === "PodScheduled");
    expect(condition?.message).toMatch(/preemption: no candidate node for preemption$/);
    expect((await t.pod("low")).metadata.deletionTimestamp).toBeUndefined();
  });

  it("counts attempts, waiting pods and preemptions", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    await t.addPod("low", "1", { priority: 1 });
    await t.addPod("gated", "1", { schedulingGates: [{ name: "later" }] });
    await t.settle();
    await t.addPod("equal", "1", { priority: 1 });
    await t.settle();
    const before = t.metrics.text();
    expect(before).toMatch(/^scheduler_schedule_attempts_total\{result="scheduled",profile="default-scheduler"\} 1$/m);
    expect(before).toMatch(/^scheduler_schedule_attempts_total\{result="unschedulable",profile="default-scheduler"\} 1$/m);
    expect(before).toMatch(/^scheduler_scheduling_attempt_duration_seconds_count\{result="scheduled",profile="default-scheduler"\} 1$/m);
    expect(before).toMatch(/^scheduler_pod_scheduling_sli_duration_seconds_count\{attempts="1"\} 1$/m);
    expect(before).toMatch(/^scheduler_pending_pods\{queue="unschedulable"\} 1$/m);
    expect(before).toMatch(/^scheduler_pending_pods\{queue="gated"\} 1$/m);
    expect(before).toMatch(/^scheduler_queue_incoming_pods_total\{queue="active",event="UnschedulablePodAdd"\} 2$/m);
    expect(before).toMatch(/^scheduler_queue_incoming_pods_total\{queue="unschedulable",event="ScheduleAttemptFailure"\} 1$/m);
    expect(before).toMatch(/^scheduler_framework_extension_point_duration_seconds_count\{extension_point="Filter",status="Success"/m);
    expect(before).toMatch(/^scheduler_preemption_victims_count 0$/m);
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    const after = t.metrics.text();
    expect(after).toMatch(/^scheduler_preemption_attempts_total 2$/m);
    expect(after).toMatch(/^scheduler_preemption_victims_sum 1$/m);
  });

  it("leaves pods of other schedulers alone", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.startScheduler();
    await t.addPod("p", "1", { schedulerName: "other" });
    await t.settle();
    expect((await t.pod("p")).spec.nodeName).toBeUndefined();
  });

  it("says of a pod that is being deleted, but not gone, that it is skipped", async () => {
    const t = await setUp();
    await t.startScheduler();
    await t.client.create(pods, {
      ...podNamed("p", "1", {}),
      metadata: { ...podNamed("p", "1", {}).metadata, finalizers: ["example.com/wait"] },
    });
    await t.settle();
    await t.client.delete(pods, { namespace: "default", name: "p" });
    await t.settle();
    await t.addNode("a");
    await t.clock.advance(12_000);
    expect(await t.events("p")).toContain("FailedScheduling: skip schedule deleting pod: default/p");
    expect((await t.pod("p")).spec.nodeName).toBeUndefined();
  });

  it("says once why a pod has no place, and places it when a node appears", async () => {
    const t = await setUp();
    await t.addNode("small", "1");
    await t.startScheduler();
    await t.addPod("p", "2");
    await t.settle();
    const [condition] = (await t.pod("p")).status?.conditions ?? [];
    const message =
      "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    expect(condition).toMatchObject({ type: "PodScheduled", status: "False", reason: "Unschedulable", message });
    expect(await t.events("p")).toEqual([`FailedScheduling: ${message}`]);
    // Tried again after a while, with the same outcome: nothing more is written.
    await t.clock.advance(6 * 60_000);
    expect(t.patchesOf("p")).toBe(1);
    await t.addNode("large");
    await t.clock.advance(11_000);
    expect((await t.pod("p")).spec.nodeName).toBe("large");
  });

  it("gives the room back when binding fails, and tries again", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    let failures = 1;
    t.hooks.before = (request) => {
      if (isBinding(request) && failures-- > 0) throw conflict(pods, "p", "try again");
    };
    await t.addPod("p", "1");
    await t.settle();
    const failed = await t.pod("p");
    expect(failed.spec.nodeName).toBeUndefined();
    expect(failed.status?.conditions?.[0]).toMatchObject({ type: "PodScheduled", reason: "SchedulerError" });
    await t.clock.advance(2_000);
    expect((await t.pod("p")).spec.nodeName).toBe("a");
  });

  it("gives up a binding that does not end in time", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    let hung = 0;
    t.hooks.before = (request) => {
      if (!isBinding(request, "p") || hung++ > 0) return undefined;
      return new Promise((_resolve, reject) => request.signal?.addEventListener("abort", () => reject(request.signal?.reason)));
    };
    await t.addPod("p", "1");
    await t.clock.advance(19_000);
    expect((await t.pod("p")).spec.nodeName).toBeUndefined();
    await t.clock.advance(5_000);
    expect((await t.pod("p")).spec.nodeName).toBe("a");
  });

  it("gives the room of a pod that is deleted while it is being bound to the next one", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    t.hooks.before = async (request) => {
      if (isBinding(request, "doomed"))
        await t.client.delete(pods, { namespace: "default", name: "doomed" }, { body: { gracePeriodSeconds: 0 } });
    };
    await t.addPod("doomed", "1");
    await t.addPod("p", "1");
    await t.clock.advance(12_000);
    expect((await t.pod("p")).spec.nodeName).toBe("a");
    expect(await t.events("doomed")).toEqual([]);
  });

  it("places nothing on a node that has been deleted", async () => {
    const t = await setUp();
    await t.addNode("a");
    await t.startScheduler();
    await t.addPod("first", "1");
    await t.settle();
    await t.client.delete(nodes, { name: "a" });
    await t.settle();
    await t.addPod("p", "1");
    await t.settle();
    expect((await t.pod("p")).status?.conditions?.[0]).toMatchObject({
      reason: "Unschedulable",
      message: "no nodes available to schedule pods",
    });
    await t.addNode("a", "2");
    await t.clock.advance(12_000);
    expect((await t.pod("p")).spec.nodeName).toBe("a");
    // The first pod still holds its room on the node that came back.
    await t.addPod("q", "1");
    await t.settle();
    expect((await t.pod("q")).spec.nodeName).toBeUndefined();
  });

  it("never gives room away twice, over a restart in the middle of many bindings", async () => {
    const t = await setUp();
    const names = ["a", "b", "c"];
    for (const name of names) await t.addNode(name, "10");
    const first = await t.startScheduler();
    t.hooks.before = (request) => (isBinding(request) ? t.clock.sleep(t.clock.random() * 100, request.signal) : undefined);
    for (let i = 0; i < 40; i++) await t.addPod(`p${i}`, "1");
    await t.clock.advance(60);
    await first.stop();
    await t.startScheduler();
    await t.clock.advance(5_000);
    const { items } = await t.client.list(pods);
    for (const name of names) expect(usedCpu(items, name)).toBe(10);
    expect(items.filter((p) => p.spec.nodeName === undefined)).toHaveLength(10);
  });
});

describe("preemption", () => {
  it("evicts a lower pod, waits nominated until it has gone, and takes its place", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    await t.addPod("low", "1", { priority: 1 });
    await t.settle();
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    const low = await t.pod("low");
    expect(low.metadata.deletionTimestamp).toBeDefined();
    expect(low.status?.conditions?.find((c) => c.type === "DisruptionTarget")).toMatchObject({
      status: "True",
      reason: "PreemptionByScheduler",
      message: "default-scheduler: preempting to accommodate a higher priority pod",
    });
    const high = await t.pod("high");
    expect(high.status?.nominatedNodeName).toBe("a");
    expect(high.status?.conditions?.[0]?.message).toBe("0/1 nodes are available: 1 Insufficient cpu.");
    expect(await t.events("low")).toContain(`Preempted: Preempted by pod ${high.metadata.uid} on node a`);
    // A pod that comes meanwhile and would fit after the eviction must not take the room.
    await t.addPod("thief", "1", { priority: 5 });
    await t.client.delete(pods, { namespace: "default", name: "low" }, { body: { gracePeriodSeconds: 0 } });
    await t.clock.advance(12_000);
    expect((await t.pod("high")).spec.nodeName).toBe("a");
    expect((await t.pod("thief")).spec.nodeName).toBeUndefined();
    expect(t.problems).toEqual([]);
  });

  it("spares pods whose disruption budget is exhausted, where others will do", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name, "1");
    await t.startScheduler();
    await t.addPod("protected", "1", { priority: 1, nodeSelector: { "kubernetes.io/hostname": "a" } });
    await t.addPod("other", "1", { priority: 5, nodeSelector: { "kubernetes.io/hostname": "b" } });
    await t.client.create(poddisruptionbudgets, {
      metadata: { name: "budget", namespace: "default" },
      spec: { maxUnavailable: 0, selector: { matchLabels: { app: "protected" } } },
    });
    await t.settle();
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    expect((await t.pod("high")).status?.nominatedNodeName).toBe("b");
    expect((await t.pod("protected")).metadata.deletionTimestamp).toBeUndefined();
  });

  it("keeps the nomination of a lower pod where the room is becoming free already", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    await t.addPod("low", "1", { priority: 1 });
    await t.settle();
    await t.addPod("middle", "1", { priority: 5 });
    await t.settle();
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    expect((await t.pod("middle")).status?.nominatedNodeName).toBe("a");
    expect((await t.pod("high")).status?.nominatedNodeName).toBe("a");
  });

  it("takes a nomination back from a lower pod that waits for the same node", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    await t.addPod("low", "1", { priority: 1 });
    await t.settle();
    await t.addPod("middle", "1", { priority: 5 });
    await t.settle();
    expect((await t.pod("middle")).status?.nominatedNodeName).toBe("a");
    await t.addPod("high", "1", { priority: 10 });
    await t.settle();
    expect((await t.pod("high")).status?.nominatedNodeName).toBe("a");
    await t.client.delete(pods, { namespace: "default", name: "low" }, { body: { gracePeriodSeconds: 0 } });
    await t.clock.advance(12_000);
    expect((await t.pod("high")).spec.nodeName).toBe("a");
    expect((await t.pod("high")).status?.nominatedNodeName).toBeUndefined();
    expect((await t.pod("middle")).status?.nominatedNodeName).toBeUndefined();
  });

  it("does not choose other victims while the first ones are being evicted", async () => {
    const t = await setUp();
    for (const name of ["a", "b"]) await t.addNode(name, "4");
    await t.startScheduler();
    const onNode = (name: string, priority: number) => ({ priority, nodeSelector: { "kubernetes.io/hostname": name } });
    await t.addPod("victim", "4", onNode("a", 1));
    await t.addPod("cheaper", "3", onNode("b", 0));
    await t.addPod("dear", "1", onNode("b", 2));
    await t.settle();
    t.hooks.before = (request) => (request.method === "DELETE" ? t.clock.sleep(5_000, request.signal) : undefined);
    await t.addPod("high", "4", { priority: 10 });
    await t.settle();
    // From now on the other node would be the better choice.
    await t.client.delete(pods, { namespace: "default", name: "dear" }, { body: { gracePeriodSeconds: 0 } });
    await t.clock.advance(10_000);
    const deleted = t.calls.filter((c) => c.method === "DELETE").map((c) => c.path.split("/").at(-1));
    expect(deleted).toEqual(["victim"]);
    await t.client.delete(pods, { namespace: "default", name: "victim" }, { body: { gracePeriodSeconds: 0 } });
    await t.clock.advance(12_000);
    expect((await t.pod("high")).spec.nodeName).toBe("a");
  });

  it("tries again when a victim could not be deleted", async () => {
    const t = await setUp();
    await t.addNode("a", "1");
    await t.startScheduler();
    await t.addPod("low", "1", { priority: 1 });
    await t.settle();
    let failures = 1;
    t.hooks.before = (request) => {
      if (request.method === "DELETE" && failures-- > 0) throw new Error("the connection broke");
    };
    await t.addPod("high", "1", { priority: 10 });
    await t.clock.advance(12_000);
    expect((await t.pod("low")).metadata.deletionTimestamp).toBeDefined();
    await t.client.delete(pods, { namespace: "default", name: "low" }, { body: { gracePeriodSeconds: 0 } });
    await t.clock.advance(12_000);
    expect((await t.pod("high")).spec.nodeName).toBe("a");
  });
});

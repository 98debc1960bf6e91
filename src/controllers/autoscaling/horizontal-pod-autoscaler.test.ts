import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { deployments, horizontalpodautoscalers, pods } from "../../api/resources.generated.ts";
import type { Deployment } from "../../api/types/apps-v1.ts";
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec } from "../../api/types/autoscaling-v2.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { horizontalPodAutoscalerController } from "./horizontal-pod-autoscaler.ts";

const at = { namespace: "d", name: "web" };
const cpu: MetricSpec = { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } };

async function setUp(fixture: ControllerFixture, replicas: number, spec: Partial<HorizontalPodAutoscalerSpec> = {}): Promise<void> {
  const { client, clock } = fixture;
  const deployment = { metadata: at, spec: { replicas, selector: { matchLabels: { app: "a" } }, template: {} } };
  await client.create(deployments, deployment as unknown as New<Deployment>);
  const startTime = formatTime(clock.now() - 3_600_000);
  for (let i = 0; i < replicas; i++) {
    const container = { name: "c", resources: { requests: { cpu: "1", memory: "1Gi" } } };
    await client.create(pods, { metadata: { namespace: "d", name: `web-${i}`, labels: { app: "a" } }, spec: { containers: [container] } });
    const pod = await client.get(pods, { namespace: "d", name: `web-${i}` });
    const conditions = [{ type: "Ready", status: "True", lastTransitionTime: startTime }];
    await client.updateStatus(pods, { ...pod, status: { phase: "Running", startTime, conditions } });
  }
  const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
  await client.create(horizontalpodautoscalers, {
    metadata: { namespace: "d", name: "h" },
    spec: { scaleTargetRef, maxReplicas: 10, metrics: [cpu], ...spec },
  });
  fixture.start(horizontalPodAutoscalerController);
}

/** Serves the resource metrics API: every pod uses so much. */
function serveUsage(fixture: ControllerFixture, usage: () => Readonly<Record<string, string>>): void {
  fixture.api.answer = ({ path }) => {
    if (path !== "/apis/metrics.k8s.io/v1beta1/namespaces/d/pods") return undefined;
    const items = Array.from({ length: 20 }, (_, i) => ({
      metadata: { name: `web-${i}` },
      timestamp: formatTime(fixture.clock.now()),
      window: "15s",
      containers: [{ name: "c", usage: usage() }],
    }));
    return { items };
  };
}

const autoscaler = ({ client }: ControllerFixture): Promise<HorizontalPodAutoscaler> =>
  client.get(horizontalpodautoscalers, { namespace: "d", name: "h" });

async function conditionsOf(fixture: ControllerFixture): Promise<readonly string[]> {
  return ((await autoscaler(fixture)).status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);
}

const replicasOf = async ({ client }: ControllerFixture): Promise<number | undefined> => (await client.get(deployments, at)).spec?.replicas;

describe("horizontalPodAutoscalerController", () => {
  it("scales up by utilization and says so", async () => {
    await using fixture = createControllerFixture();
    serveUsage(fixture, () => ({ cpu: "1" }));
    await setUp(fixture, 2);
    await fixture.clock.advance(16_000);
    expect(await replicasOf(fixture)).toBe(4);
    const { status } = await autoscaler(fixture);
    expect(status).toMatchObject({
      currentReplicas: 2,
      desiredReplicas: 4,
      currentMetrics: [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: 100, averageValue: "1" } } }],
    });
    expect(status?.lastScaleTime).toBeDefined();
    expect(await conditionsOf(fixture)).toEqual([
      "AbleToScale=True SucceededRescale",
      "ScalingActive=True ValidMetricFound",
      "ScalingLimited=False DesiredWithinRange",
    ]);
    expect(await fixture.eventsOf("h")).toEqual([
      "SuccessfulRescale: New size: 4; reason: cpu resource utilization (percentage of request) above target",
    ]);
  });

  it("scales down only when nothing more was recommended for five minutes", async () => {
    await using fixture = createControllerFixture();
    serveUsage(fixture, () => ({ cpu: "100m" }));
    await setUp(fixture, 4);
    await fixture.clock.advance(200_000);
    expect(await replicasOf(fixture)).toBe(4);
    expect(await conditionsOf(fixture)).toContain("AbleToScale=True ScaleDownStabilized");
    await fixture.clock.advance(150_000);
    expect(await replicasOf(fixture)).toBe(1);
    expect((await fixture.eventsOf("h"))[0]).toBe("SuccessfulRescale: New size: 1; reason: All metrics below target");
  });

  it("says which API is missing", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture, 2);
    await fixture.clock.advance(16_000);
    const text =
      "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";
    const { status } = await autoscaler(fixture);
    expect(status?.conditions?.[1]).toMatchObject({
      reason: "FailedGetResourceMetric",
      message: `the HPA was unable to compute the replica count: ${text}`,
    });
    expect(status).toMatchObject({ currentReplicas: 2, desiredReplicas: 0, currentMetrics: [{ type: "" }] });
    expect([...(await fixture.eventsOf("h"))].sort()).toEqual([
      `FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: ${text}`,
      `FailedGetResourceMetric: ${text}`,
    ]);
  });

  it("brings its target between its bounds without metrics", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture, 5, { maxReplicas: 3 });
    await fixture.clock.advance(16_000);
    expect(await replicasOf(fixture)).toBe(3);
    expect(await conditionsOf(fixture)).toEqual(["AbleToScale=True SucceededRescale"]);
  });

  it("leaves a target alone that was scaled to zero", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture, 0);
    await fixture.clock.advance(40_000);
    expect(await replicasOf(fixture)).toBe(0);
    expect(await conditionsOf(fixture)).toEqual(["AbleToScale=True SucceededGetScale", "ScalingActive=False ScalingDisabled"]);
  });

  it("names a target that is not there, a kind that is not known, a group that is none", async () => {
    const messages: string[] = [];
    for (const scaleTargetRef of [
      { apiVersion: "apps/v1", kind: "Deployment", name: "nowhere" },
      { apiVersion: "x.io/v1", kind: "Thing", name: "t" },
      { apiVersion: "a/b/c", kind: "Thing", name: "t" },
    ]) {
      await using fixture = createControllerFixture();
      await setUp(fixture, 1, { scaleTargetRef });
      await fixture.clock.advance(16_000);
      messages.push(...(await fixture.eventsOf("h")));
    }
    expect(messages).toEqual([
      'FailedGetScale: deployments.apps "nowhere" not found',
      'FailedGetScale: no matches for kind "Thing" in group "x.io"',
      "FailedGetScale: unexpected GroupVersion string: a/b/c",
    ]);
  });

  it("does not scale pods that another autoscaler scales as well", async () => {
    await using fixture = createControllerFixture();
    serveUsage(fixture, () => ({ cpu: "1" }));
    const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
    await fixture.client.create(horizontalpodautoscalers, {
      metadata: { namespace: "d", name: "other" },
      spec: { scaleTargetRef, maxReplicas: 1, minReplicas: 1 },
    });
    await setUp(fixture, 1, { maxReplicas: 1 });
    await fixture.clock.advance(35_000);
    expect(await conditionsOf(fixture)).toContain("ScalingActive=False AmbiguousSelector");
    expect(await fixture.eventsOf("h")).toContainEqual(
      expect.stringMatching(/^AmbiguousSelector: pods by selector app=a are controlled by multiple HPAs: \[d\/h d\/other\]/),
    );
  });

  it("scales up by the metrics it has, and not down while one is missing", async () => {
    await using fixture = createControllerFixture();
    let used = "1";
    serveUsage(fixture, () => ({ cpu: used }));
    const external: MetricSpec = {
      type: "External",
      external: { metric: { name: "queue" }, target: { type: "AverageValue", averageValue: "10" } },
    };
    await setUp(fixture, 2, { metrics: [cpu, external] });
    await fixture.clock.advance(16_000);
    expect(await replicasOf(fixture)).toBe(4);
    used = "10m";
    await fixture.clock.advance(400_000);
    expect(await replicasOf(fixture)).toBe(4);
    expect((await autoscaler(fixture)).status?.conditions?.[1]).toMatchObject({
      status: "False",
      reason: "FailedGetExternalMetric",
      message:
        "the HPA was unable to compute the replica count: unable to get external metric d/queue/nil: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)",
    });
  });

  it("quotes a metrics server that says more than that it has nothing", async () => {
    await using fixture = createControllerFixture();
    fixture.api.answer = ({ path }) => {
      if (!path.startsWith("/apis/external.metrics.k8s.io/")) return undefined;
      throw new StatusError({ code: 404, reason: "NotFound", message: "there is no queue of that name" });
    };
    const external: MetricSpec = {
      type: "External",
      external: { metric: { name: "queue" }, target: { type: "AverageValue", averageValue: "10" } },
    };
    await setUp(fixture, 2, { metrics: [external] });
    await fixture.clock.advance(16_000);
    expect((await autoscaler(fixture)).status?.conditions?.[1]?.message).toBe(
      "the HPA was unable to compute the replica count: unable to get external metric d/queue/nil: unable to fetch metrics from external metrics API: there is no queue of that name",
    );
  });

  it("reads custom metrics of pods and objects, and external ones", async () => {
    await using fixture = createControllerFixture();
    const asked: string[] = [];
    fixture.api.answer = ({ path, query }) => {
      if (path === "/apis") return { groups: [{ name: "custom.metrics.k8s.io", versions: [{ version: "v2" }, { version: "v1beta2" }] }] };
      if (!path.includes("metrics.k8s.io")) return undefined;
      asked.push(path + (query ? `?${new URLSearchParams(query as Record<string, string>).toString()}` : ""));
      const items = path.includes("/pods/") ? ["web-0", "web-1"] : ["one"];
      return { items: items.map((name) => ({ describedObject: { name }, timestamp: formatTime(fixture.clock.now()), value: "3" })) };
    };
    const metrics: readonly MetricSpec[] = [
      { type: "Pods", pods: { metric: { name: "hits" }, target: { type: "AverageValue", averageValue: "2" } } },
      {
        type: "Object",
        object: {
          describedObject: { apiVersion: "networking.k8s.io/v1", kind: "Ingress", name: "front" },
          metric: { name: "rate", selector: { matchLabels: { verb: "GET" } } },
          target: { type: "Value", value: "1" },
        },
      },
      {
        type: "Object",
        object: {
          describedObject: { apiVersion: "v1", kind: "Namespace", name: "d" },
          metric: { name: "load" },
          target: { type: "AverageValue", averageValue: "1" },
        },
      },
      { type: "External", external: { metric: { name: "queue" }, target: { type: "Value", value: "30" } } },
    ];
    await setUp(fixture, 2, { metrics });
    await fixture.clock.advance(16_000);
    expect(asked).toEqual([
      "/apis/custom.metrics.k8s.io/v1beta2/namespaces/d/pods/*/hits?labelSelector=app%3Da",
      "/apis/custom.metrics.k8s.io/v1beta2/namespaces/d/ingresses.networking.k8s.io/front/rate?metricLabelSelector=verb%3DGET",
      "/apis/custom.metrics.k8s.io/v1beta2/namespaces/d/metrics/load",
      "/apis/external.metrics.k8s.io/v1beta1/namespaces/d/queue",
    ]);
    expect(await replicasOf(fixture)).toBe(4);
    expect((await autoscaler(fixture)).status?.currentMetrics).toMatchObject([
      { type: "Pods", pods: { current: { averageValue: "3" } } },
      { type: "Object", object: { current: { value: "3" } } },
      { type: "Object", object: { current: { averageValue: "1500m" } } },
      { type: "External", external: { current: { value: "3" } } },
    ]);
    expect(await fixture.eventsOf("h")).toEqual(["SuccessfulRescale: New size: 4; reason: Ingress metric rate above target"]);
    expect(await conditionsOf(fixture)).toContain("ScalingLimited=True ScaleUpLimit");
  });

  it("is not held up by an autoscaler whose metrics do not answer", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture, 2);
    const hung = new Promise<never>(() => undefined);
    const request = fixture.api.request.bind(fixture.api);
    fixture.api.request = (sent) => (sent.path.includes("metrics.k8s.io") ? hung : request(sent));
    const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "web2" };
    for (let i = 0; i < 10; i++)
      await fixture.client.create(horizontalpodautoscalers, {
        metadata: { namespace: "d", name: `stuck-${i}` },
        spec: { scaleTargetRef: { ...scaleTargetRef, name: "web" }, maxReplicas: 10, metrics: [cpu] },
      });
    await fixture.clock.advance(20_000);
    await fixture.client.create(horizontalpodautoscalers, {
      metadata: { namespace: "d", name: "late" },
      spec: { scaleTargetRef, maxReplicas: 3 },
    });
    await fixture.clock.advance(300_000);
    expect(await fixture.eventsOf("late")).not.toEqual([]);
  });
});

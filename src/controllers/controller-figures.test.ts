import { expect, it } from "vitest";
import { jobs, nodes, persistentvolumeclaims, pods } from "../api/resources.generated.ts";
import { formatTime } from "../base/clock.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { ControllerMetrics } from "./controller-metrics.ts";
import { jobController } from "./job/job-controller.ts";
import { nodeIpamController } from "./node-ipam/node-ipam.ts";
import { nodeLifecycleController } from "./node-lifecycle/node-lifecycle.ts";
import { podGarbageCollector } from "./pod-gc.ts";
import { volumeBinder } from "./volume-binding/volume-binder.ts";

it("ControllerMetrics has the figures of single controllers from the start, and counts them by name", () => {
  const registry = new MetricsRegistry();
  const { own } = new ControllerMetrics(registry);
  expect(registry.text()).toContain("\nephemeral_volume_controller_create_total 0\n");
  expect(registry.text()).not.toContain("job_controller_jobs_finished_total");
  own.count("job_controller_jobs_finished_total", "Indexed", "failed", "BackoffLimitExceeded");
  own.observe("cronjob_controller_job_creation_skew_duration_seconds", 3);
  own.set("horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers", 2);
  const text = registry.text();
  expect(text).toContain('job_controller_jobs_finished_total{completion_mode="Indexed",result="failed",reason="BackoffLimitExceeded"} 1\n');
  expect(text).toContain('cronjob_controller_job_creation_skew_duration_seconds_bucket{le="4"} 1\n');
  expect(text).toContain('cronjob_controller_job_creation_skew_duration_seconds_bucket{le="2"} 0\n');
  expect(text).toContain("horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers 2\n");
});

it("ControllerMetrics names queues as upstream does, and adds up those of one name", () => {
  const registry = new MetricsRegistry();
  const metrics = new ControllerMetrics(registry);
  for (const name of ["certificatesigningrequest-approving-controller", "certificatesigningrequest-signing-controller"]) {
    metrics.hooks(name).added?.();
    metrics.running(name, { depth: 2, unfinished: { totalMs: 500, longestMs: 300 } });
  }
  const text = registry.text();
  expect(text).toContain('workqueue_adds_total{name="certificate"} 2\n');
  expect(text).toContain('workqueue_depth{name="certificate"} 4\n');
  expect(text).toContain('workqueue_unfinished_work_seconds{name="certificate"} 1\n');
  expect(text).toContain('workqueue_longest_running_processor_seconds{name="certificate"} 0.3\n');
});

const container = { name: "c", image: "i" };

it("the collector of pods counts what it deletes, and why", async () => {
  await using fixture = createControllerFixture();
  await fixture.client.create(pods, {
    metadata: { namespace: "shop", name: "p", finalizers: ["example.com/x"] },
    spec: { containers: [container] },
  });
  await fixture.client.delete(pods, { namespace: "shop", name: "p" });
  fixture.start(podGarbageCollector);
  await fixture.settle();
  expect(fixture.figures()).toContain('pod_gc_collector_force_delete_pods_total{namespace="shop",reason="unscheduled"} 1\n');
});

it("the ranges of nodes are counted as they are given out and come back", async () => {
  await using fixture = createControllerFixture({ clusterCidrs: ["10.1.0.0/22"] });
  fixture.start(nodeIpamController);
  for (const name of ["a", "b"]) await fixture.client.create(nodes, { metadata: { name }, spec: {} });
  await fixture.settle();
  await fixture.client.delete(nodes, { name: "a" });
  await fixture.settle();
  const text = fixture.figures();
  const label = '{clusterCIDR="10.1.0.0/22"}';
  expect(text).toContain(`node_ipam_controller_cidrset_cidrs_allocations_total${label} 2\n`);
  expect(text).toContain(`node_ipam_controller_cidrset_cidrs_releases_total${label} 1\n`);
  expect(text).toContain(`node_ipam_controller_cidrset_usage_cidrs${label} 0.25\n`);
  expect(text).toContain(`node_ipam_controller_cirdset_max_cidrs${label} 4\n`);
});

it("zones are told with their sizes and health", async () => {
  await using fixture = createControllerFixture();
  const now = formatTime(fixture.clock.now());
  for (const [name, status] of Object.entries({ a: "True", b: "False" })) {
    const conditions = [{ type: "Ready", status, lastHeartbeatTime: now, lastTransitionTime: now }];
    await fixture.client.create(nodes, {
      metadata: { name, labels: { "topology.kubernetes.io/zone": "z" } },
      spec: {},
      status: { conditions },
    });
  }
  fixture.start(nodeLifecycleController);
  await fixture.settle();
  const text = fixture.figures();
  expect(text).toContain('node_collector_zone_size{zone=":z"} 2\n');
  expect(text).toContain('node_collector_zone_health{zone=":z"} 50\n');
  expect(text).toContain('node_collector_unhealthy_nodes_in_zone{zone=":z"} 1\n');
  expect(text).toContain("node_collector_update_node_health_duration_seconds_count 2\n");
});

it("pods of jobs are counted when they are made, have ended and are counted", async () => {
  await using fixture = createControllerFixture();
  fixture.start(jobController);
  const at = { namespace: "shop", name: "j" };
  const labels = { "batch.kubernetes.io/controller-uid": "1" };
  const template = { metadata: { labels }, spec: { restartPolicy: "Never" as const, containers: [container] } };
  await fixture.client.create(jobs, {
    metadata: at,
    spec: { completions: 1, parallelism: 1, backoffLimit: 6, selector: { matchLabels: labels }, template },
  });
  const [pod] = await podsAfter(fixture);
  if (!pod) throw new Error("the job has no pod");
  await fixture.client.patch(pods, pod.metadata, { status: { phase: "Succeeded" } }, { type: "merge", subresource: "status" });
  await podsAfter(fixture);
  const text = fixture.figures();
  expect(text).toContain('job_controller_job_pods_creation_total{reason="new",status="succeeded"} 1\n');
  expect(text).toContain('job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"} 1\n');
  expect(text).toContain('job_controller_terminated_pods_tracking_finalizer_total{event="add"} 1\n');
  expect(text).toContain('job_controller_terminated_pods_tracking_finalizer_total{event="delete"} 1\n');
});

async function podsAfter(fixture: ControllerFixture) {
  for (let i = 0; i < 10; i++) await fixture.settle();
  return (await fixture.client.list(pods)).items;
}

it("what is read and not counted is as it is at the scrape", async () => {
  await using fixture = createControllerFixture();
  fixture.start(volumeBinder);
  const claim = { accessModes: ["ReadWriteOnce" as const], storageClassName: "fast", resources: { requests: { storage: "1Gi" } } };
  const at = { namespace: "shop", name: "c" };
  await fixture.client.create(persistentvolumeclaims, { metadata: at, spec: claim });
  await fixture.settle();
  const line = 'pv_collector_unbound_pvc_count{namespace="shop",storage_class="fast",volume_attributes_class=""} 1\n';
  expect(fixture.figures()).toContain(line);
  await fixture.client.delete(persistentvolumeclaims, at);
  await fixture.settle();
  expect(fixture.figures()).not.toContain(line);
});

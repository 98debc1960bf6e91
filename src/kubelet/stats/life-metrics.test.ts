import { expect, test } from "vitest";
import type { ContainerStatus, Pod, PodStatus } from "../../api/types/core-v1.ts";
import { formatTime, VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { LifeMetrics } from "./life-metrics.ts";
import { NodeStartMetrics } from "./node-metrics.ts";

function setUp() {
  const registry = new MetricsRegistry();
  const clock = new VirtualClock();
  return { registry, clock, life: new LifeMetrics(registry, clock) };
}

const podOf = (uid: string, clock: VirtualClock, spec: Partial<Pod["spec"]> = {}): Pod =>
  ({ metadata: { uid, creationTimestamp: formatTime(clock.now()) }, spec: { containers: [], ...spec } }) as unknown as Pod; // what is looked at

test("a pod starts as fast as it did without pulls, which may overlap, and without its init containers", async () => {
  const { registry, clock, life } = setUp();
  const pod = podOf("u1", clock);
  await clock.advance(10_000);
  life.imagePulled("u1", { sizeBytes: 20 * 2 ** 20, durationMs: 6_000 });
  await clock.advance(2_000);
  life.imagePulled("u1", { sizeBytes: 0, durationMs: 4_000 });
  const init = { startedAt: formatTime(clock.now()), finishedAt: formatTime(clock.now() + 1_000) };
  await clock.advance(3_000);
  life.podStarted(pod, { initContainerStatuses: [{ state: { terminated: init } }] } as unknown as PodStatus); // what is looked at
  // 15 s, of which 8 were pulls and one was the init container's.
  expect(registry.text()).toContain("kubelet_pod_start_sli_duration_seconds_sum 6");
  expect(registry.text()).toContain("kubelet_first_network_pod_start_sli_duration_seconds 6");
  expect(registry.text()).toContain('kubelet_image_pull_duration_seconds_count{image_size_in_bytes="10MB-100MB"} 1');
  expect(registry.text()).toContain('kubelet_image_pull_duration_seconds_count{image_size_in_bytes="N/A"} 1');
  life.podStarted(podOf("u2", clock, { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }] }), {});
  expect(registry.text()).toContain("kubelet_pod_start_sli_duration_seconds_count 1");
});

test("containers that have ended are counted once, also when they run again already", () => {
  const { registry, life } = setUp();
  const ended = { exitCode: 137, reason: "OOMKilled", containerID: "x://1" };
  const statuses = (...of: readonly Partial<ContainerStatus>[]): PodStatus => ({
    containerStatuses: of.map((status) => ({ name: "main", ...status })) as unknown as readonly ContainerStatus[], // what is looked at
  });
  const running = statuses({ state: { running: {} } });
  const over = statuses({ state: { terminated: ended } } as Partial<ContainerStatus>);
  const again = statuses({ state: { running: {} }, lastState: { terminated: ended } } as Partial<ContainerStatus>);
  life.statusChanged({}, over);
  for (const [before, after] of [
    [running, over],
    [over, over],
    [over, again],
  ] as const)
    life.statusChanged(before, after);
  expect(registry.text()).toContain('kubelet_terminated_containers_total{container_type="container",exit_code="137",reason="OOMKilled"} 1');
  life.statusChanged(running, again);
  expect(registry.text()).toContain('reason="OOMKilled"} 2');
});

test("the times of a node's start are those of its first registration", async () => {
  const { registry, clock } = setUp();
  const boot = clock.now();
  await clock.advance(1_000);
  const start = new NodeStartMetrics(registry, clock, async () => boot);
  await clock.advance(2_000);
  await start.ready();
  start.registering();
  await clock.advance(3_000);
  start.registered();
  await clock.advance(4_000);
  await start.ready();
  await clock.advance(5_000);
  await start.ready();
  const value = (name: string): string | undefined =>
    new RegExp(`^kubelet_node_startup_${name}duration_seconds (\\S+)$`, "m").exec(registry.text())?.[1];
  expect(["pre_kubelet_", "pre_registration_", "registration_", "post_registration_", ""].map(value)).toEqual(["1", "2", "3", "4", "10"]);
});

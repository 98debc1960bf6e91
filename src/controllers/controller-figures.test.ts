import { expect, it } from "vitest";
import { MetricsRegistry } from "../base/metrics.ts";
import { ControllerMetrics } from "./controller-metrics.ts";

it("ControllerMetrics has the figures of single controllers from the start, and counts them by name", () => {
  const registry = new MetricsRegistry();
  const { own } = new ControllerMetrics(registry);
  expect(registry.text()).toContain("\nephemeral_volume_controller_create_total 0\n");
  expect(registry.text()).toContain("# TYPE job_controller_jobs_finished_total counter\n");
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

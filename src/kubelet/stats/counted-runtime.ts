// The container runtime, with every call counted and timed under upstream's names of the operations
// (kubelet_runtime_operations_*), and with them the pods and containers that were started. Streams are passed through.

import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { CreateContainerRequest, RunPodSandboxRequest } from "../../cri/generated/runtime-v1.ts";
import type { Input } from "../../rpc/protocol.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { label } from "../runtime/labels.ts";

export interface CountedRuntimeDependencies {
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly containerType: (podUid: string, containerName: string) => string;
}

/** Upstream's words for the operations it counts. */
const operations: Readonly<Record<string, string>> = {
  version: "version",
  status: "status",
  runPodSandbox: "run_podsandbox",
  stopPodSandbox: "stop_podsandbox",
  removePodSandbox: "remove_podsandbox",
  podSandboxStatus: "podsandbox_status",
  listPodSandbox: "list_podsandbox",
  portForward: "port_forward",
  createContainer: "create_container",
  startContainer: "start_container",
  stopContainer: "stop_container",
  removeContainer: "remove_container",
  listContainers: "list_containers",
  containerStatus: "container_status",
  updateContainerResources: "update_container",
  updatePodSandboxResources: "update_podsandbox",
  reopenContainerLog: "reopen_container_log",
  execSync: "exec_sync",
  exec: "exec",
  attach: "attach",
  containerStats: "container_stats",
  listContainerStats: "list_container_stats",
  podSandboxStats: "podsandbox_stats",
  listPodSandboxStats: "list_podsandbox_stats",
  updateRuntimeConfig: "update_runtime_config",
  runtimeConfig: "runtime_config",
  listImages: "list_images",
  imageStatus: "image_status",
  pullImage: "pull_image",
  removeImage: "remove_image",
  imageFsInfo: "image_fs_info",
};

const operationBuckets = Array.from({ length: 14 }, (_, i) => 0.005 * 2.5 ** i);
const sandboxBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type Call = (request: never, options?: never) => Promise<object>;

export function countedRuntime(cri: CriRuntime, deps: CountedRuntimeDependencies): CriRuntime {
  const { metrics, clock } = deps;
  const labels = ["operation_type"];
  const total = metrics.counter(
    "kubelet_runtime_operations_total",
    "[ALPHA] Cumulative number of runtime operations by operation type.",
    labels,
  );
  const failed = metrics.counter("kubelet_runtime_operations_errors_total", "Calls of the container runtime that failed.", labels);
  const durations = metrics.histogram(
    "kubelet_runtime_operations_duration_seconds",
    "[ALPHA] Duration in seconds of runtime operations. Broken down by operation type.",
    {
      ...{ labels, buckets: operationBuckets },
    },
  );
  const counted = (name: string, call: Call): Call => {
    const operation = operations[name] ?? name;
    return async (request, options) => {
      total.series(operation).add();
      const begunMs = clock.monotonic();
      try {
        return await call(request, options);
      } catch (error) {
        failed.series(operation).add();
        throw error;
      } finally {
        durations.series(operation).observe((clock.monotonic() - begunMs) / 1000);
      }
    };
  };
  const wrapped = { ...cri, ...countedStarts(cri, deps) } as Record<string, unknown>;
  for (const name of Object.keys(operations)) {
    const call = wrapped[name];
    // Runtimes are objects of functions by method name; the types of one method are those of the same name.
    if (typeof call === "function") wrapped[name] = counted(name, call as Call);
  }
  return wrapped as unknown as CriRuntime;
}

function countedStarts(cri: CriRuntime, deps: CountedRuntimeDependencies): Pick<CriRuntime, "runPodSandbox" | "createContainer"> {
  const { metrics, clock, containerType } = deps;
  const pods = metrics.counter("kubelet_started_pods_total", "[ALPHA] Cumulative number of pods started").series();
  const podErrors = metrics.counter("kubelet_started_pods_errors_total", "[ALPHA] Cumulative number of errors when starting pods").series();
  const userPods = metrics
    .counter(
      "kubelet_started_user_namespaced_pods_total",
      "[ALPHA] Cumulative number of pods with user namespaces started. This metric will only be collected on Linux.",
    )
    .series();
  const userPodErrors = metrics
    .counter(
      "kubelet_started_user_namespaced_pods_errors_total",
      "[ALPHA] Cumulative number of errors when starting pods with user namespaces. This metric will only be collected on Linux.",
    )
    .series();
  const containers = metrics.counter("kubelet_started_containers_total", "[ALPHA] Cumulative number of containers started", [
    "container_type",
  ]);
  const containerErrors = metrics.counter("kubelet_started_containers_errors_total", "Containers that could not be started.", [
    "container_type",
    "code",
  ]);
  const sandboxTimes = metrics.histogram(
    "kubelet_run_podsandbox_duration_seconds",
    "[ALPHA] Duration in seconds of the run_podsandbox operations. Broken down by RuntimeClass.Handler.",
    {
      ...{ labels: ["runtime_handler"], buckets: sandboxBuckets },
    },
  );
  const sandboxErrors = metrics.counter("kubelet_run_podsandbox_errors_total", "Sandboxes that could not be made.", ["runtime_handler"]);
  return {
    async runPodSandbox(request: Input<RunPodSandboxRequest>, options) {
      const handler = request.runtimeHandler ?? "";
      const begunMs = clock.monotonic();
      const ownUsers = request.config?.linux?.securityContext?.namespaceOptions?.usernsOptions?.mode === "POD";
      pods.add();
      if (ownUsers) userPods.add();
      try {
        return await cri.runPodSandbox(request, options);
      } catch (error) {
        podErrors.add();
        if (ownUsers) userPodErrors.add();
        sandboxErrors.series(handler).add();
        throw error;
      } finally {
        sandboxTimes.series(handler).observe((clock.monotonic() - begunMs) / 1000);
      }
    },
    async createContainer(request: Input<CreateContainerRequest>, options) {
      const labels = request.config?.labels ?? {};
      const type = containerType(labels[label.podUid] ?? "", labels[label.containerName] ?? "");
      containers.series(type).add();
      try {
        return await cri.createContainer(request, options);
      } catch (error) {
        containerErrors.series(type, error instanceof RpcError ? error.code : "UNKNOWN").add();
        throw error;
      }
    },
  };
}

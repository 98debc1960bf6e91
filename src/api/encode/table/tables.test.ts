import { describe, expect, it } from "vitest";
import type { HorizontalPodAutoscaler } from "../../types/autoscaling-v2.ts";
import type { Job } from "../../types/batch-v1.ts";
import type { ContainerStatus, Node, Pod, PodSpec, PodStatus, Service, ServiceSpec } from "../../types/core-v1.ts";
import { jobTable } from "./batch.ts";
import { labelsText, selectorText, shortList } from "./columns.ts";
import { eventTable, eventV1Table } from "./events.ts";
import { nodeTable } from "./nodes.ts";
import { podTable, summarizePod } from "./pods.ts";
import { autoscalerTable } from "./policy.ts";
import { endpointsTable, serviceTable } from "./services.ts";
import { accessModesText } from "./storage.ts";
import type { TableConvertor } from "./table.ts";

const nowMs = Date.UTC(2026, 0, 1, 12);
const metadata = { name: "a", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T11:00:00Z" };

/** The cells of a row by the names of their columns. */
function rowOf<T>(table: TableConvertor<T>, object: T): Record<string, unknown> {
  const cells = table.cells(object, nowMs);
  expect(cells).toHaveLength(table.columns.length);
  return Object.fromEntries(table.columns.map((column, i) => [column.name, cells[i]]));
}

const container = (name: string): PodSpec["containers"][number] => ({ name, image: "i" });
const pod = (status: PodStatus, spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata,
  spec: { containers: [container("c")], ...spec },
  status,
});
const report = (name: string, more: Partial<ContainerStatus>): ContainerStatus => ({
  name,
  image: "i",
  imageID: "",
  ready: false,
  restartCount: 0,
  ...more,
});

describe("podTable", () => {
  it("shows restarts with how long ago the last one was", () => {
    const status: PodStatus = {
      phase: "Running",
      containerStatuses: [
        report("c", {
          ready: true,
          restartCount: 2,
          state: { running: {} },
          lastState: { terminated: { exitCode: 1, finishedAt: "2026-01-01T11:55:00Z" } },
        }),
      ],
    };
    expect(rowOf(podTable, pod(status))).toMatchObject({ Ready: "1/1", Status: "Running", Restarts: "2 (5m ago)", Age: "60m" });
  });

  it("counts sidecars among the containers and follows the first init container that has not ended", () => {
    const spec = {
      initContainers: [{ ...container("one") }, { ...container("proxy"), restartPolicy: "Always" as const }, { ...container("two") }],
    };
    const initContainerStatuses = [
      report("one", { state: { terminated: { exitCode: 0 } } }),
      report("proxy", { ready: true, started: true, state: { running: {} } }),
      report("two", { state: { waiting: { reason: "PodInitializing" } } }),
    ];
    expect(summarizePod(pod({ phase: "Pending", initContainerStatuses }, spec))).toMatchObject({
      status: "Init:2/3",
      ready: 1,
      total: 2,
    });
  });

  it.each([
    [{ terminated: { exitCode: 3, reason: "Error" } }, "Init:Error"],
    [{ terminated: { exitCode: 3 } }, "Init:ExitCode:3"],
    [{ terminated: { exitCode: 137, signal: 9 } }, "Init:Signal:9"],
    [{ waiting: { reason: "ImagePullBackOff" } }, "Init:ImagePullBackOff"],
  ])("an init container in %j makes the status %s", (state, expected) => {
    const status: PodStatus = { phase: "Pending", initContainerStatuses: [report("one", { state })] };
    expect(summarizePod(pod(status, { initContainers: [container("one")] })).status).toBe(expected);
  });

  it("a container that has ended well beside one that runs leaves the pod running, or not ready", () => {
    const containerStatuses = [
      report("c", { state: { terminated: { exitCode: 0, reason: "Completed" } } }),
      report("d", { ready: true, state: { running: {} } }),
    ];
    const ready = { conditions: [{ type: "Ready", status: "True" as const }] };
    expect(summarizePod(pod({ phase: "Running", containerStatuses, ...ready })).status).toBe("Running");
    expect(summarizePod(pod({ phase: "Running", containerStatuses })).status).toBe("NotReady");
  });

  it("a deleted pod is terminating, unknown on a lost node, and itself when it has ended", () => {
    const deleted = (status: PodStatus): string => {
      const object = pod(status);
      return summarizePod({ ...object, metadata: { ...metadata, deletionTimestamp: "2026-01-01T11:59:00Z" } }).status;
    };
    expect(deleted({ phase: "Running" })).toBe("Terminating");
    expect(deleted({ phase: "Running", reason: "NodeLost" })).toBe("Unknown");
    expect(deleted({ phase: "Failed", reason: "Evicted" })).toBe("Evicted");
  });

  it("rows of ended pods carry a condition", () => {
    expect(podTable.conditions?.(pod({ phase: "Succeeded" }))).toEqual([
      { type: "Completed", status: "True", reason: "Succeeded", message: "The pod has completed successfully." },
    ]);
    expect(podTable.conditions?.(pod({ phase: "Running" }))).toEqual([]);
  });
});

describe("serviceTable", () => {
  const service = (spec: ServiceSpec, status?: Service["status"]): Service => ({
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec,
    ...(status ? { status } : {}),
  });

  it("shows ports with their node ports, and a load balancer's addresses before external ones", () => {
    const spec: ServiceSpec = {
      type: "LoadBalancer",
      clusterIPs: ["10.96.0.9"],
      externalIPs: ["9.9.9.9"],
      ports: [
        { port: 80, nodePort: 30080, protocol: "TCP" },
        { port: 53, protocol: "UDP" },
      ],
      selector: { b: "2", a: "1" },
    };
    const status = { loadBalancer: { ingress: [{ ip: "2.2.2.2" }, { hostname: "lb.example" }, { ip: "1.1.1.1" }] } };
    expect(rowOf(serviceTable, service(spec, status))).toMatchObject({
      "Cluster-IP": "10.96.0.9",
      "External-IP": "1.1.1.1,2.2.2.2,lb.example,9.9.9.9",
      "Port(s)": "80:30080/TCP,53/UDP",
      Selector: "a=1,b=2",
    });
  });

  it("a load balancer without an address is pending", () => {
    expect(rowOf(serviceTable, service({ type: "LoadBalancer" }))).toMatchObject({ "External-IP": "<pending>", "Port(s)": "<none>" });
  });
});

describe("other tables", () => {
  it("endpoints beyond the third are counted", () => {
    const addresses = ["1.1.1.1", "1.1.1.2"].map((ip) => ({ ip }));
    const ports = [{ port: 80 }, { port: 81 }];
    const object = { apiVersion: "v1", kind: "Endpoints", metadata, subsets: [{ addresses, ports }] } as const;
    expect(rowOf(endpointsTable, object)["Endpoints"]).toBe("1.1.1.1:80,1.1.1.2:80,1.1.1.1:81 + 1 more...");
  });

  it("a node shows its readiness, cordon and roles", () => {
    const node: Node = {
      apiVersion: "v1",
      kind: "Node",
      metadata: { ...metadata, labels: { "node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "" } },
      spec: { unschedulable: true },
      status: { conditions: [{ type: "Ready", status: "False" }], addresses: [{ type: "InternalIP", address: "10.0.0.1" }] },
    };
    expect(rowOf(nodeTable, node)).toMatchObject({
      Status: "NotReady,SchedulingDisabled",
      Roles: "control-plane,worker",
      "Internal-IP": "10.0.0.1",
      "External-IP": "<none>",
      "Kernel-Version": "<unknown>",
    });
  });

  it("a job shows how far it is and how long it took", () => {
    const job: Job = {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata,
      spec: { parallelism: 3, template: { spec: { containers: [container("c")] } }, selector: { matchLabels: { a: "b" } } },
      status: {
        succeeded: 2,
        startTime: "2026-01-01T11:00:00Z",
        completionTime: "2026-01-01T11:01:30Z",
        conditions: [{ type: "Complete", status: "True" }],
      },
    };
    expect(rowOf(jobTable, job)).toMatchObject({ Status: "Complete", Completions: "2/1 of 3", Duration: "90s", Selector: "a=b" });
  });

  it("an autoscaler shows two metrics and counts the rest", () => {
    const cpu = { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } };
    const memory = { type: "Resource", resource: { name: "memory", target: { type: "AverageValue", averageValue: "1Gi" } } };
    const autoscaler: HorizontalPodAutoscaler = {
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata,
      spec: { maxReplicas: 5, scaleTargetRef: { kind: "Deployment", name: "web" }, metrics: [cpu, memory, memory] },
      status: {
        desiredReplicas: 1,
        currentMetrics: [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: 40 } } }],
      },
    };
    expect(rowOf(autoscalerTable, autoscaler)).toMatchObject({
      Reference: "Deployment/web",
      Targets: "cpu: 40%/80%, memory: <unknown>/1Gi + 1 more...",
      MinPods: "<unset>",
    });
  });

  it("an event reads the same from both groups", () => {
    const times = { firstTimestamp: "2026-01-01T11:50:00Z", lastTimestamp: "2026-01-01T11:59:00Z" };
    const core = rowOf(eventTable, {
      apiVersion: "v1",
      kind: "Event",
      metadata,
      involvedObject: { kind: "Pod", name: "p" },
      source: { component: "kubelet", host: "n" },
      message: " hi\n",
      count: 3,
      ...times,
    });
    expect(core).toMatchObject({ "Last Seen": "60s", "First Seen": "10m", Object: "pod/p", Source: "kubelet, n", Message: "hi", Count: 3 });
    const other = rowOf(eventV1Table, {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata,
      eventTime: "2026-01-01T11:50:00.000000Z",
      regarding: { kind: "Pod", name: "p" },
      deprecatedSource: { component: "kubelet", host: "n" },
      note: "hi",
      deprecatedCount: 3,
      deprecatedFirstTimestamp: times.firstTimestamp,
      deprecatedLastTimestamp: times.lastTimestamp,
    });
    expect(other).toEqual(core);
  });

  it("texts of lists, labels, selectors and access modes", () => {
    expect(shortList(["a", "b", "c"], 3)).toBe("a,b,c");
    expect(shortList(["a", "b", "c", "d"], 3)).toBe("a,b,c + 1 more...");
    expect(labelsText({})).toBe("<none>");
    expect(selectorText({ matchExpressions: [{ key: "a", operator: "In", values: ["y", "x"] }] })).toBe("a in (x,y)");
    expect(selectorText({})).toBe("<none>");
    expect(accessModesText(["ReadWriteMany", "ReadWriteOnce", "Other"])).toBe("RWO,RWX");
  });
});

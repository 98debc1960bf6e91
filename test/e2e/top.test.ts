// What a node and its pods use, as users see it: kubectl top, the kubelet's statistics through the API server, and a deployment
// that is autoscaled by the CPU it really burns. One cluster with real containers.
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { deployments, persistentvolumeclaims, persistentvolumes } from "../../src/api/resources.generated.ts";
import type { Summary } from "../../src/kubelet/stats/summary.ts";
import { Cluster, whyNoContainers } from "../support/cluster.ts";
import { idle, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { startCoracle, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`kubectl top is not tried with real containers: ${reason}`);

const burning = "trap 'exit 0' TERM; while :; do :; done";

describe.runIf(reason === undefined)("what nodes and pods use", { timeout: 180_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  let node = "";
  beforeAll(async () => {
    bed = await TestBed.start("top");
    ns = await bed.namespace("top");
    node = (await ns.kubectl("get", "nodes", "-o", "name")).trim().replace("node/", "");
    const limited = { resources: { requests: { cpu: "100m" }, limits: { cpu: "200m", memory: "64Mi" } } };
    await ns.apply({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "burn" },
      spec: {
        selector: { matchLabels: { app: "burn" } },
        template: {
          metadata: { labels: { app: "burn" } },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [
              shell(burning, { name: "hot", ...limited }),
              shell(idle, { name: "cold", resources: { requests: { cpu: "10m" } } }),
            ],
          },
        },
      },
    });
    await ns.kubectl("autoscale", "deployment", "burn", "--cpu-percent=50", "--min=1", "--max=2");
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  const raw = (path: string): Promise<string> => ns.kubectl("get", "--raw", path);
  const proxied = (path: string): Promise<string> => raw(`/api/v1/nodes/${node}/proxy${path}`);
  const summary = async (query = ""): Promise<Summary> => JSON.parse(await proxied(`/stats/summary${query}`)) as Summary;
  const topLines = async (...args: readonly string[]): Promise<readonly string[]> => {
    const { code, stdout } = await ns.tryKubectl(["top", ...args]);
    return code === 0 ? stdout.trim().split("\n") : [];
  };

  it("kubectl top shows the node, pods and containers", async () => {
    const nodes = await until("figures of the node", async () => {
      const lines = await topLines("node");
      return lines.length > 1 ? lines : undefined;
    });
    expect(nodes[0]).toMatch(/^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\) *$/);
    expect(nodes[1]).toMatch(new RegExp(`^${node} +\\d+m +\\d+% +\\d+Mi +\\d+% *$`));
    // The hot one's quota is a fifth of a core, of which it takes all there is, on a machine that others use too; the cold one
    // has had something to do when it began.
    const containers = await until("figures of the pod", async () => {
      const lines = await topLines("pod", "--containers");
      const cores = (name: string): number =>
        Number(new RegExp(`^burn-\\S+ +${name} +(\\d+)m +\\d+Mi *$`, "m").exec(lines.join("\n"))?.[1]);
      return cores("hot") > 20 && cores("hot") <= 230 && cores("cold") < 20 ? lines : undefined;
    });
    expect(containers[0]).toMatch(/^POD +NAME +CPU\(cores\) +MEMORY\(bytes\) *$/);
    expect(await ns.kubectl("get", "podmetrics")).toMatch(/^NAME +CPU +MEMORY +WINDOW\nburn-\S+ +\d+[num]? +\d+[KM]i +1?\d\S*s\n/);
    expect(await ns.kubectl("get", "apiservice", "v1beta1.metrics.k8s.io")).toMatch(/kube-system\/coracle-metrics-server +True /);
  });

  it("is shown to whoever may view the namespace", async () => {
    await ns.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer");
    await until(
      "the role",
      async () => (await ns.kubectl("auth", "can-i", "list", "pods.metrics.k8s.io", "--as=viewer").catch(() => "")) === "yes\n",
    );
    expect((await topLines("pod", "--as=viewer")).length).toBeGreaterThan(1);
    expect((await ns.tryKubectl(["top", "node", "--as=viewer"])).stderr).toContain("nodes.metrics.k8s.io is forbidden");
  });

  it("an autoscaler makes more of the pods that burn", async () => {
    const scaled = await until(
      "the second replica",
      async () => {
        const found = await bed.client.get(deployments, { namespace: ns.name, name: "burn" });
        return found.spec.replicas === 2 ? found : undefined;
      },
      120_000,
    );
    expect(scaled.spec.replicas).toBe(2);
    expect(await ns.kubectl("get", "hpa", "burn")).toMatch(/Deployment\/burn +cpu: \d+%\/50% +1 +2 +/);
  });

  it("the summary tells of CPU, memory, network, disks and processes", async () => {
    const found = await until("the pod in the summary", async () => {
      const { node: machine, pods } = await summary();
      const pod = pods.find((p) => p.podRef.name.startsWith("burn-"));
      const isMeasured = pod?.containers.every((c) => c.cpu?.usageNanoCores !== undefined && c.rootfs?.usedBytes !== undefined);
      return pod && isMeasured && pod.cpu?.usageNanoCores ? { machine, pod } : undefined;
    });
    const { machine, pod } = found;
    expect(machine).toMatchObject({ nodeName: node, rlimit: { maxpid: expect.any(Number) }, network: { name: expect.any(String) } });
    expect(machine.cpu?.usageNanoCores).toBeGreaterThan(0);
    if (existsSync("/proc/pressure/cpu")) expect(machine.cpu?.psi?.some.total).toBeGreaterThan(0);
    expect(machine.memory?.workingSetBytes).toBeGreaterThan(machine.memory?.rssBytes ?? Infinity);
    expect(machine.fs?.capacityBytes).toBeGreaterThan(machine.fs?.availableBytes ?? Infinity);
    expect(machine.runtime?.imageFs?.usedBytes).toBeGreaterThan(0);
    expect(machine.systemContainers?.map((c) => c.name)).toEqual(["kubelet", "runtime", "pods"]);
    expect(pod.process_stats?.process_count).toBeGreaterThan(2);
    expect(pod.network?.name).toBe("eth0");
    expect(pod.network?.txBytes).toBeGreaterThan(0);
    const hot = pod.containers.find((c) => c.name === "hot");
    expect(hot?.memory?.workingSetBytes).toBeGreaterThan(0);
    expect(hot?.memory?.availableBytes).toBeLessThan(64 * 2 ** 20);
    expect(pod.memory?.usageBytes).toBeGreaterThanOrEqual(hot?.memory?.workingSetBytes ?? Infinity);
    expect((await summary("?only_cpu_and_memory=true")).node.fs).toBeUndefined();
  });

  it("a claim's volume is measured", async () => {
    const directory = join(bed.cluster.dataDir, "volume");
    await bed.client.create(persistentvolumes, {
      metadata: { name: "measured" },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        hostPath: { path: directory, type: "DirectoryOrCreate" },
        storageClassName: "none",
      },
    });
    await bed.client.create(persistentvolumeclaims, {
      metadata: { name: "data", namespace: ns.name },
      spec: { accessModes: ["ReadWriteOnce"], storageClassName: "none", resources: { requests: { storage: "1Gi" } } },
    });
    const writing = shell(`dd if=/dev/zero of=/data/file bs=1024 count=2048; ${idle}`, {
      volumeMounts: [{ name: "data", mountPath: "/data" }],
    });
    await ns.pod("disk", writing, { volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }] });
    await ns.untilReady("disk");
    await writeFile(join(directory, "another"), Buffer.alloc(100_000, 1));
    const volume = await until(
      "the volume's figures",
      async () => {
        const { pods } = await summary();
        const found = pods.find((p) => p.podRef.name === "disk")?.volume?.find((v) => v.name === "data");
        return (found?.usedBytes ?? 0) > 2 * 2 ** 20 ? found : undefined;
      },
      150_000,
    );
    expect(volume).toMatchObject({ pvcRef: { name: "data", namespace: ns.name }, inodesUsed: 3 });
    const used = `^kubelet_volume_stats_used_bytes\\{namespace="${ns.name}",persistentvolumeclaim="data"\\} (\\S+)$`;
    const [, bytes] = new RegExp(used, "m").exec(await proxied("/metrics")) ?? [];
    expect(Number(bytes)).toBe(volume.usedBytes);
  });

  it("the kubelet's metrics are there through the API server", async () => {
    const metrics = await proxied("/metrics");
    expect(metrics).toContain(`kubelet_node_name{node="${node}"} 1`);
    expect(metrics).toMatch(/^kubelet_running_pods [1-9]\d*$/m);
    expect(metrics).toMatch(/^kubelet_pod_start_duration_seconds_count [1-9]\d*$/m);
    expect(metrics).toMatch(/^kubelet_runtime_operations_total\{operation_type="start_container"\} [1-9]\d*$/m);
    expect(await proxied("/metrics/resource")).toMatch(
      /^container_cpu_usage_seconds_total\{container="hot",pod="burn-\S+",namespace="top"\} [\d.]+ \d+$/m,
    );
    expect(metrics).toMatch(/^workqueue_adds_total\{name="kubelet_log_rotate_manager"\} \d+$/m);
    const cadvisor = await proxied("/metrics/cadvisor");
    // The groups of all pods and of the classes of service; what a container has open.
    for (const group of ["", "/besteffort", "/burstable"])
      expect(cadvisor).toMatch(
        new RegExp(
          `^container_cpu_usage_seconds_total\\{container="",id="/coracle-\\w+/kubepods${group}",image="",[^}]*\\} [\\d.]+ \\d+$`,
          "m",
        ),
      );
    expect(cadvisor).toMatch(/^container_file_descriptors\{container="hot",[^}]*pod="burn-\S+"\} [1-9]\d*$/m);
    expect(cadvisor).toMatch(/^container_sockets\{container="hot",[^}]*pod="burn-\S+"\} \d+$/m);
    expect(cadvisor).toMatch(
      /^container_network_receive_bytes_total\{container="",id="\S+",image="",name="",namespace="top",pod="burn-\S+",interface="eth0"\} [1-9]/m,
    );
    expect(cadvisor).toMatch(
      /^container_memory_working_set_bytes\{container="hot",id="\/coracle-\S+\/pod\S+",image="\S+",name="[0-9a-f]{64}",namespace="top",pod="burn-\S+"\} [1-9]/m,
    );
  });

  it("another metrics server takes over, and leaves the cluster as it was", async () => {
    // As in the manifests of metrics-server.
    const theirs = {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      metadata: { name: "v1beta1.metrics.k8s.io", labels: { "k8s-app": "metrics-server" } },
      spec: {
        ...{ group: "metrics.k8s.io", version: "v1beta1", groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true },
        service: { name: "metrics-server", namespace: "kube-system" },
      },
    };
    await bed.cluster.apply(theirs);
    await until("theirs is missed", async () =>
      /metrics-server +False \(ServiceNotFound\)/.test(await ns.kubectl("get", "apiservice", "v1beta1.metrics.k8s.io")),
    );
    expect((await ns.tryKubectl(["top", "node"])).code).not.toBe(0);
    await ns.kubectl("delete", "apiservice", "v1beta1.metrics.k8s.io");
    await until("figures again", async () => (await topLines("node")).length > 1);
  });
});

describe.runIf(reason === undefined)("coracle metrics-server", { timeout: 120_000 }, () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.prepare("metrics-server", ["--runtime", "simulated", "--metrics-server=false"]);
    await cluster.start();
  }, 120_000);
  afterAll(() => cluster?.remove(), 120_000);

  it("serves the metrics of a cluster that has no metrics server, from a process of its own", async () => {
    const { stderr } = await cluster.tryKubectl(["get", "apiservice", "v1beta1.metrics.k8s.io"]);
    expect(stderr).toContain("not found");
    const server = startCoracle(["metrics-server", "--kubeconfig", cluster.kubeconfig, "--secure-port", "0"]);
    try {
      // Asked before the API is there, kubectl top would remember for hours that it is not.
      const nodeMetrics = ["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"];
      await until("figures", async () => (await cluster.tryKubectl(nodeMetrics)).stdout.includes('"usage"'), 60_000);
      expect(await cluster.kubectl("top", "node")).toMatch(/ \d+m +\d+% /);
      expect(await cluster.kubectl("get", "nodemetrics")).toMatch(/^NAME +CPU +MEMORY +WINDOW\n/);
    } finally {
      expect(await server.stop("SIGTERM")).toBe(0);
    }
  });
});

import { describe, expect, it } from "vitest";
import type { Node, Pod, PodSpec } from "../../api/types/core-v1.ts";
import { type Admission, admitPod, type NodeState } from "./admission.ts";

const node = {
  metadata: { name: "n1", labels: { disk: "ssd", "kubernetes.io/os": "linux" } },
  status: { allocatable: { cpu: "1", memory: "1Gi", pods: "2" } },
} as unknown as Node;

const calm: NodeState = {
  node,
  pressure: [],
  shuttingDown: false,
  machine: { kernelVersion: "6.1.0", allowedUnsafe: ["net.core.*"], appArmor: false },
};

function podOf(spec: Partial<PodSpec>, metadata: Partial<Pod["metadata"]> = {}): Pod {
  const name = metadata.name ?? "web";
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "shop", uid: name, name, ...metadata } as Pod["metadata"],
    spec: { containers: [{ name: "main" }], ...spec },
  };
}

const cpu = (amount: string): Partial<PodSpec> => ({ containers: [{ name: "main", resources: { requests: { cpu: amount } } }] });
const judge = (pod: Pod, state: Partial<NodeState> = {}, others: readonly Pod[] = []): Admission =>
  admitPod(pod, others, { ...calm, ...state });
const verdictOf = (admission: Admission): readonly [string, string] | undefined =>
  admission.kind === "refused" ? [admission.verdict.reason, admission.verdict.message] : undefined;
const reason = (spec: Partial<PodSpec>, state: Partial<NodeState> = {}, others: readonly Pod[] = []): string | undefined =>
  verdictOf(judge(podOf(spec), state, others))?.[0];

describe("admitPod()", () => {
  it("admits what fits and says what is lacking", () => {
    expect(reason(cpu("1"))).toBeUndefined();
    expect(verdictOf(judge(podOf(cpu("600m")), {}, [podOf(cpu("600m"), { name: "a" })]))).toEqual([
      "OutOfcpu",
      "Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 600, capacity: 1000",
    ]);
    expect(reason({}, {}, [podOf({}, { name: "a" }), podOf({}, { name: "b" })])).toBe("OutOfpods");
    expect(reason({ containers: [{ name: "main", resources: { requests: { memory: "2Gi" } } }] })).toBe("OutOfmemory");
    expect(reason({ containers: [{ name: "main", resources: { requests: { "example.com/gpu": "1" } } }] })).toBeUndefined();
  });

  it("looks at labels, operating system, taints and host ports", () => {
    expect(reason({ nodeSelector: { disk: "ssd" } })).toBeUndefined();
    expect(judge(podOf({ nodeSelector: { disk: "hdd" } }))).toMatchObject({ onlyLabels: true, verdict: { reason: "NodeAffinity" } });
    expect(reason({ os: { name: "windows" } })).toBe("PodOSNotSupported");
    expect(verdictOf(judge(podOf({}, { labels: { "kubernetes.io/os": "windows" } })))?.[0]).toBe("PodOSSelectorNodeLabelDoesNotMatch");
    const port = { containers: [{ name: "main", ports: [{ containerPort: 80, hostPort: 80 }] }] };
    expect(reason(port, {}, [podOf(port, { name: "a" })])).toBe("NodePorts");
    const tainted = {
      ...node,
      spec: {
        taints: [
          { key: "k", effect: "NoExecute" as const },
          { key: "s", effect: "NoSchedule" as const },
        ],
      },
    };
    expect(verdictOf(judge(podOf({}), { node: tainted }))).toEqual([
      "TaintToleration",
      "Pod was rejected: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
    ]);
    expect(reason({ tolerations: [{ key: "k", operator: "Exists" }] }, { node: tainted })).toBeUndefined();
    const fromFile = podOf({}, { annotations: { "kubernetes.io/config.source": "file" } });
    expect(judge(fromFile, { node: tainted }).kind).toBe("admitted");
  });

  it("asks for the labels again only when nothing else is wrong", () => {
    const port = [{ containerPort: 80, hostPort: 80 }];
    const spec: Partial<PodSpec> = { nodeSelector: { disk: "hdd" }, containers: [{ name: "main", ports: port }] };
    expect(judge(podOf(spec), {}, [podOf(spec, { name: "a" })])).not.toHaveProperty("onlyLabels");
  });

  it("takes no best-effort pods under memory pressure, and only critical ones under any other", () => {
    const burstable = cpu("100m");
    const evicted = ["Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. "];
    expect(verdictOf(judge(podOf({}), { pressure: ["MemoryPressure"] }))).toEqual(evicted);
    expect(reason(burstable, { pressure: ["MemoryPressure"] })).toBeUndefined();
    const tolerations = [{ key: "node.kubernetes.io/memory-pressure", operator: "Exists", effect: "NoSchedule" }] as const;
    expect(reason({ tolerations }, { pressure: ["MemoryPressure"] })).toBeUndefined();
    expect(reason(burstable, { pressure: ["PIDPressure"] })).toBe("Evicted");
    expect(verdictOf(judge(podOf(burstable), { pressure: ["MemoryPressure", "DiskPressure"] }))?.[1]).toBe(
      "Pod was rejected: The node had condition: [MemoryPressure DiskPressure]. ",
    );
    expect(reason({ priority: 2_000_000_000 }, { pressure: ["DiskPressure"] })).toBeUndefined();
  });

  it("forbids sysctls that are not the pod's to set", () => {
    const sysctls = (name: string, spec: Partial<PodSpec> = {}): string | undefined =>
      verdictOf(judge(podOf({ ...spec, securityContext: { sysctls: [{ name, value: "1" }] } })))?.join(": ");
    expect(sysctls("kernel.shm_rmid_forced")).toBeUndefined();
    expect(sysctls("net/core/somaxconn")).toBeUndefined();
    expect(sysctls("kernel.msgmax")).toBe('SysctlForbidden: Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted');
    expect(sysctls("net.core.somaxconn", { hostNetwork: true })).toContain('"net.core.somaxconn" not allowed with host Net enabled');
    expect(sysctls("kernel.shm_rmid_forced", { hostIPC: true })).toContain("not allowed with host IPC enabled");
  });

  it("knows what this node cannot do", () => {
    expect(reason({ securityContext: { supplementalGroupsPolicy: "Strict" } })).toBe("SupplementalGroupsPolicyNotSupported");
    const able = { ...node, status: { ...node.status, features: { supplementalGroupsPolicy: true } } };
    expect(reason({ securityContext: { supplementalGroupsPolicy: "Strict" } }, { node: able })).toBeUndefined();
    const confined: Partial<PodSpec> = { securityContext: { appArmorProfile: { type: "RuntimeDefault" } } };
    expect(reason(confined)).toBe("AppArmor");
    expect(reason(confined, { machine: { ...calm.machine, appArmor: true } })).toBeUndefined();
    expect(reason({ securityContext: { appArmorProfile: { type: "Unconfined" } } })).toBeUndefined();
  });

  it("admits nothing while the node shuts down", () => {
    expect(verdictOf(judge(podOf({}), { shuttingDown: true }))).toEqual([
      "NodeShutdown",
      "Pod was rejected: Pod was rejected as the node is shutting down.",
    ]);
  });

  it("makes room for a critical pod that only lacks resources", () => {
    const critical = (spec: Partial<PodSpec>): Pod => podOf({ ...spec, priority: 2_000_000_000 });
    const others = [podOf(cpu("300m"), { name: "small" }), podOf(cpu("700m"), { name: "large" })];
    const names = (admission: Admission): readonly string[] =>
      admission.kind === "preempts" ? admission.pods.map((p) => p.metadata.name) : [];
    const roomy = { node: { ...node, status: { allocatable: { cpu: "1", pods: "9" } } } };
    expect(names(judge(critical(cpu("200m")), roomy, others))).toEqual(["small"]);
    expect(names(judge(critical(cpu("600m")), roomy, others))).toEqual(["large"]);
    expect(names(judge(critical(cpu("900m")), roomy, others))).toEqual(["large", "small"]);
    expect(verdictOf(judge(critical({ ...cpu("200m"), nodeSelector: { disk: "hdd" } }), roomy, others))?.[0]).toBe("NodeAffinity");
    expect(verdictOf(judge(critical(cpu("2")), roomy, others))).toEqual([
      "UnexpectedAdmissionError",
      "Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: error finding a set of " +
        "pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 2000), ]",
    ]);
  });
});

import { expect, test } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerManagerMetrics } from "./manager-metrics.ts";
import { resolveResourceManagers } from "./manager-options.ts";
import { PodAdmission } from "./pod-admission.ts";
import { AdmissionError, type ResourceProvider } from "./provider.ts";
import type { TopologyHint, TopologyPolicy } from "./topology-hints.ts";

const pod = { metadata: { uid: "u1" }, spec: { initContainers: [{ name: "init" }], containers: [{ name: "main" }] } } as unknown as Pod; // what is looked at

/** Has hints for every container, and gives unless told to fail. */
function provider(
  log: string[],
  name: string,
  masks: readonly number[],
  failure?: Error,
): ResourceProvider & { release(uid: string): void } {
  const hints = { [name]: masks.map((nodes): TopologyHint => ({ nodes, preferred: true })) };
  return {
    concerns: () => true,
    begin: () => ({
      hints: () => hints,
      podHints: () => hints,
      async allocate(container, affinity) {
        if (failure) throw failure;
        log.push(`${name} ${container.name} ${affinity}`);
      },
    }),
    release: (uid) => log.push(`release ${name} ${uid}`),
  };
}

function admission(
  policy: TopologyPolicy,
  providers: readonly (ResourceProvider & { release(uid: string): void })[],
  scope: "container" | "pod" = "container",
) {
  const registry = new MetricsRegistry();
  const metrics = registerManagerMetrics(registry);
  return {
    registry,
    admit: () => new PodAdmission({ clock: new VirtualClock(), metrics, providers }, { policy, scope, numaNodes: [0, 1] }).admit(pod),
  };
}

test("each container gets everything where all of it can be had", async () => {
  const log: string[] = [];
  const { admit } = admission("single-numa-node", [provider(log, "a", [1, 2]), provider(log, "b", [2])]);
  expect(await admit()).toBeUndefined();
  expect(log).toEqual(["a init 2", "b init 2", "a main 2", "b main 2"]);
});

test("without a policy, places are left to the providers", async () => {
  const log: string[] = [];
  expect(await admission("none", [provider(log, "a", [1])]).admit()).toBeUndefined();
  expect(log).toEqual(["a init undefined", "a main undefined"]);
});

test("the scope may be the pod", async () => {
  const log: string[] = [];
  expect(await admission("restricted", [provider(log, "a", [2])], "pod").admit()).toBeUndefined();
  expect(log).toEqual(["a init 2", "a main 2"]);
});

test("a pod whose resources lie apart is refused, and keeps nothing", async () => {
  const log: string[] = [];
  const { admit, registry } = admission("restricted", [provider(log, "a", [1]), provider(log, "b", [2])]);
  expect(await admit()).toEqual({
    phase: "Failed",
    reason: "TopologyAffinityError",
    message: "Pod was rejected: Resources cannot be allocated with Topology locality",
  });
  expect(log).toEqual(["release a u1", "release b u1"]);
  expect(registry.text()).toContain("kubelet_topology_manager_admission_errors_total 1");
});

test("what cannot be given refuses the pod, with the provider's reason where it has one", async () => {
  expect(await admission("none", [provider([], "a", [1], new Error("there is none"))]).admit()).toMatchObject({
    reason: "UnexpectedAdmissionError",
    message: "Pod was rejected: Allocate failed due to there is none, which is unexpected",
  });
  expect(await admission("none", [provider([], "a", [1], new AdmissionError("SMTAlignmentError", "odd"))]).admit()).toMatchObject({
    ...{ reason: "SMTAlignmentError", message: "Pod was rejected: odd" },
  });
});

test("options that are wrong or cannot be met are told", () => {
  expect(resolveResourceManagers({})).toMatchObject({ cpu: { policy: "none" }, topology: "none", scope: "container" });
  const cpuManagerPolicyOptions = { "full-pcpus-only": "true" };
  expect(resolveResourceManagers({ cpuManagerPolicy: "static", cpuManagerPolicyOptions }).cpu.fullPcpusOnly).toBe(true);
  for (const [options, message] of [
    [{ cpuManagerPolicy: "dynamic" }, 'unknown policy: "dynamic"'],
    [{ topologyManagerPolicy: "best" }, 'unknown policy: "best"'],
    [{ topologyManagerScope: "node" }, 'unknown scope: "node"'],
    [{ memoryManagerPolicy: "Static" }, 'memoryManagerPolicy "Static" is not supported'],
    [{ topologyManagerPolicyOptions: { "prefer-closest-numa-nodes": "true" } }, "is not supported"],
    [{ cpuManagerPolicyOptions }, "None policy: received unsupported options"],
    [{ cpuManagerPolicy: "static", cpuManagerPolicyOptions: { x: "true" } }, 'unknown CPU Manager Policy option: "x"'],
    [{ cpuManagerPolicy: "static", cpuManagerPolicyOptions: { "align-by-socket": "true" } }, "Alpha-level Options not enabled"],
    [{ cpuManagerPolicy: "static", cpuManagerPolicyOptions: { "full-pcpus-only": "yes" } }, 'bad value for option "full-pcpus-only"'],
  ] as const)
    expect(() => resolveResourceManagers(options)).toThrow(message);
});

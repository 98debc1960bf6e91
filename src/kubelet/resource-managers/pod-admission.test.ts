import { expect, test } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { defaultGates, resolveKubeletGates } from "../configuration/feature-gates.ts";
import { registerManagerMetrics } from "./manager-metrics.ts";
import { type ResourceManagerOptions, resolveResourceManagers } from "./manager-options.ts";
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
      async allocate(container, { nodes }) {
        if (failure) throw failure;
        log.push(`${name} ${container.name} ${nodes}`);
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
  const nodes = [0, 1].map((id) => ({ id, distances: [] }));
  const options = { policy, scope, nodes, preferClosest: false, maxNumaNodes: 8 };
  return {
    registry,
    admit: () => new PodAdmission({ clock: new VirtualClock(), metrics, providers }, options).admit(pod),
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
  const resolve = (options: ResourceManagerOptions, gates = defaultGates) => resolveResourceManagers(options, gates);
  const topology = { policy: "none", scope: "container", preferClosest: false, maxNumaNodes: 8 };
  expect(resolve({})).toMatchObject({ cpu: { policy: "none" }, memory: { policy: "None" }, topology });
  const cpuManagerPolicyOptions = { "full-pcpus-only": "true" };
  expect([...resolve({ cpuManagerPolicy: "static", cpuManagerPolicyOptions }).cpu.options]).toEqual(["full-pcpus-only"]);
  const closest = { topologyManagerPolicy: "best-effort", topologyManagerPolicyOptions: { "prefer-closest-numa-nodes": "true" } };
  expect(resolve(closest).topology.preferClosest).toBe(true);
  const alpha = { cpuManagerPolicy: "static", cpuManagerPolicyOptions: { "align-by-socket": "true" } };
  const alphaGates = resolveKubeletGates({ CPUManagerPolicyAlphaOptions: true });
  expect([...resolve(alpha, alphaGates).cpu.options]).toEqual(["align-by-socket"]);
  expect(() => resolve({ ...alpha, topologyManagerPolicy: "single-numa-node" }, alphaGates)).toThrow("is incompatible");
  const both = { "distribute-cpus-across-numa": "true", "prefer-align-cpus-by-uncorecache": "true" };
  expect(() => resolve({ cpuManagerPolicy: "static", cpuManagerPolicyOptions: both })).toThrow(
    "static policy options prefer-align-cpus-by-uncorecache and distribute-cpus-across-numa can not be used at the same time",
  );
  const noBeta = resolveKubeletGates({ CPUManagerPolicyBetaOptions: false });
  const beta = { cpuManagerPolicy: "static", cpuManagerPolicyOptions: { "distribute-cpus-across-numa": "true" } };
  expect(() => resolve(beta, noBeta)).toThrow("CPU Manager Policy Beta-level Options not enabled");
  for (const [options, message] of [
    [{ cpuManagerPolicy: "dynamic" }, 'unknown policy: "dynamic"'],
    [{ topologyManagerPolicy: "best" }, 'unknown policy: "best"'],
    [{ topologyManagerScope: "node" }, 'unknown scope: "node"'],
    [{ memoryManagerPolicy: "static" }, 'unknown policy: "static"'],
    [{ memoryManagerPolicy: "BestEffort" }, 'policy "BestEffort" is not available for platform "linux"'],
    [{ topologyManagerPolicy: "restricted", topologyManagerPolicyOptions: { x: "true" } }, 'unknown Topology Manager Policy option: "x"'],
    [
      { topologyManagerPolicy: "restricted", topologyManagerPolicyOptions: { "max-allowable-numa-nodes": "7" } },
      'the minimum value of "max-allowable-numa-nodes" should not be less than 8',
    ],
    [{ cpuManagerPolicyOptions }, "None policy: received unsupported options"],
    [{ cpuManagerPolicy: "static", cpuManagerPolicyOptions: { x: "true" } }, 'unknown CPU Manager Policy option: "x"'],
    [{ cpuManagerPolicy: "static", cpuManagerPolicyOptions: { "align-by-socket": "true" } }, "Alpha-level Options not enabled"],
    [{ cpuManagerPolicy: "static", cpuManagerPolicyOptions: { "full-pcpus-only": "yes" } }, 'bad value for option "full-pcpus-only"'],
  ] as const)
    expect(() => resolve(options)).toThrow(message);
});

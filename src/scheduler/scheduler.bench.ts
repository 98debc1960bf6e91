// Placing 8,000 pods on 100 nodes: decisions and their bookkeeping, without the API server. The plain workload has the
// default spread of a replica set, as most pods do; the demanding one has zones, anti-affinity and spread constraints.
import { bench, describe } from "vitest";
import type { ReplicaSet } from "../api/types/apps-v1.ts";
import type { Pod, PodSpec } from "../api/types/core-v1.ts";
import { SchedulerCache } from "./cache.ts";
import { decide } from "./schedule.ts";
import { testNode, testPod } from "./test-objects.ts";
import { testProfile } from "./test-profile.ts";

const nodeCount = 100;
const podCount = 8_000;
const podsOfAWorkload = 200;

const replicaSetOf = (key: string): ReplicaSet =>
  ({ metadata: { name: key }, spec: { selector: { matchLabels: { app: key.split("/")[1] ?? "" } } } }) as unknown as ReplicaSet;
const replicaSets = new Map<string, ReplicaSet>();

const profile = testProfile({ replicaSet: (key) => replicaSets.get(key) });

function podsOf(specOf: (app: string) => Partial<PodSpec>): readonly Pod[] {
  return Array.from({ length: podCount }, (_, i) => {
    const app = `app${Math.floor(i / podsOfAWorkload)}`;
    const key = `default/${app}`;
    if (!replicaSets.has(key)) replicaSets.set(key, replicaSetOf(key));
    const pod = testPod(`p${i}`, { cpu: "100m", memory: "64Mi", labels: { app }, spec: specOf(app) });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: app, uid: app, controller: true };
    return { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } };
  });
}

function placeAll(pods: readonly Pod[]): void {
  const cache = new SchedulerCache();
  for (let i = 0; i < nodeCount; i++) {
    const labels = { "topology.kubernetes.io/zone": `zone${i % 3}` };
    cache.setNode(testNode(`n${i}`, { cpu: "16", memory: "64Gi", pods: "110", labels }));
  }
  let startAt = 0;
  for (const pod of pods) {
    const result = decide({ pod, snapshot: cache, state: new Map() }, profile, { random: () => 0.5, startAt });
    if (result.kind !== "node") throw new Error(result.message);
    startAt = (startAt + result.evaluatedNodes) % nodeCount;
    cache.assume(pod, result.nodeName);
  }
}

const plain = podsOf(() => ({}));
const demanding = podsOf((app) => ({
  topologySpreadConstraints: [
    { topologyKey: "topology.kubernetes.io/zone", maxSkew: 1, whenUnsatisfiable: "DoNotSchedule", labelSelector: { matchLabels: { app } } },
  ],
  affinity: {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 100, podAffinityTerm: { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app } } } },
      ],
    },
  },
}));

describe(`${podCount} pods on ${nodeCount} nodes`, () => {
  bench("spread by default", () => placeAll(plain), { iterations: 3, warmupIterations: 1, time: 0 });
  bench("zones and preferred anti-affinity", () => placeAll(demanding), { iterations: 3, warmupIterations: 1, time: 0 });
});

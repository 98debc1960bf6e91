import { describe, expect, it } from "vitest";
import type { Labels } from "../../api/meta/selectors.ts";
import type { ReplicaSet } from "../../api/types/apps-v1.ts";
import type { Node, Pod, PodAffinityTerm, PodSpec, Service, TopologySpreadConstraint } from "../../api/types/core-v1.ts";
import { SchedulerCache } from "../cache.ts";
import type { Plugin } from "../framework.ts";
import { decide } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { createInterPodAffinity } from "./inter-pod-affinity.ts";
import { createPodTopologySpread } from "./pod-topology-spread.ts";
import type { WorkloadLister } from "./spread-constraints.ts";

const zone = "topology.kubernetes.io/zone";
const zoned = (name: string, value: string, spec: Node["spec"] = {}): Node => testNode(name, { labels: { [zone]: value }, spec });
const pod = (name: string, labels: Labels, spec: Partial<PodSpec> = {}): Pod => testPod(name, { labels, spec });
const on = (node: string, p: Pod): Pod => ({ ...p, spec: { ...p.spec, nodeName: node } });
const inNamespace = (namespace: string, p: Pod): Pod => ({
  ...p,
  metadata: { ...p.metadata, namespace, uid: `${namespace}/${p.metadata.uid}` },
});

function place(plugin: Plugin, nodes: readonly Node[], pods: readonly Pod[], incoming: Pod): string {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  for (const other of pods) cache.setPod(other);
  const profile = { schedulerName: "default-scheduler", plugins: [plugin] };
  const result = decide({ pod: incoming, snapshot: cache, state: new Map() }, profile, { random: () => 0.99, startAt: 0 });
  return result.kind === "node" ? result.nodeName : result.message;
}

describe("InterPodAffinity", () => {
  const plugin = createInterPodAffinity({ namespaceLabels: (name) => ({ team: name }) });
  const near = (term: Partial<PodAffinityTerm>): Partial<PodSpec> => ({
    affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: zone, ...term }] } },
  });
  const db = { labelSelector: { matchLabels: { app: "db" } } };
  const nodes = [zoned("a", "x"), zoned("b", "y"), zoned("c", "y")];

  it("follows the pods it needs into their zone", () => {
    expect(["b", "c"]).toContain(place(plugin, nodes, [on("c", pod("q", { app: "db" }))], pod("p", {}, near(db))));
    expect(place(plugin, nodes, [], pod("p", {}, near(db)))).toBe("0/3 nodes are available: 3 node(s) didn't match pod affinity rules.");
  });

  it("looks for pods in its own namespace, in named ones, or in selected ones", () => {
    const elsewhere = [on("a", inNamespace("other", pod("q", { app: "db" })))];
    expect(place(plugin, nodes, elsewhere, pod("p", {}, near(db)))).toMatch("didn't match pod affinity rules");
    expect(place(plugin, nodes, elsewhere, pod("p", {}, near({ ...db, namespaces: ["other"] })))).toBe("a");
    const selecting = (team: string) => near({ ...db, namespaceSelector: { matchLabels: { team } } });
    expect(place(plugin, nodes, elsewhere, pod("p", {}, selecting("other")))).toBe("a");
    expect(place(plugin, nodes, elsewhere, pod("p", {}, selecting("third")))).toMatch("didn't match");
    expect(place(plugin, nodes, elsewhere, pod("p", {}, near({ ...db, namespaceSelector: {} })))).toBe("a");
  });

  it("needs one pod that matches all terms, and every term's topology", () => {
    const both = {
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: zone, ...db },
            { topologyKey: zone, labelSelector: { matchLabels: { tier: "1" } } },
          ],
        },
      },
    };
    const apart = [on("a", pod("q", { app: "db" })), on("a", pod("r", { tier: "1" }))];
    expect(place(plugin, nodes, apart, pod("p", {}, both))).toMatch("didn't match pod affinity rules");
    expect(place(plugin, nodes, [on("a", pod("s", { app: "db", tier: "1" }))], pod("p", {}, both))).toBe("a");
  });

  it("lets the first pod of a group in that wants itself near, but only where there is a zone", () => {
    expect(place(plugin, [testNode("a"), zoned("b", "y")], [], pod("p", { app: "db" }, near(db)))).toBe("b");
  });

  it("respects anti-affinity of either side", () => {
    const away: Partial<PodSpec> = {
      affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: zone, ...db }] } },
    };
    expect(place(plugin, nodes, [on("b", pod("q", { app: "db" }))], pod("p", {}, away))).toBe("a");
    expect(place(plugin, nodes, [on("b", pod("q", {}, away))], pod("p", { app: "db" }))).toBe("a");
    const everywhere = [on("a", pod("q", {}, away)), on("c", pod("r", {}, away))];
    expect(place(plugin, nodes, everywhere, pod("p", { app: "db" }))).toBe(
      "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.",
    );
  });

  it("prefers where pods want it that are already there", () => {
    const wants: Partial<PodSpec> = {
      affinity: {
        podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 5, podAffinityTerm: { topologyKey: zone, ...db } }] },
      },
    };
    expect(place(plugin, nodes, [on("a", pod("q", {}, wants))], pod("p", { app: "db" }))).toBe("a");
  });

  it("wakes a pod only for pods that concern it", () => {
    const hint = plugin.queueingHints?.find((h) => h.event === "AssignedPodAdd");
    const waiting = pod("p", {}, near(db));
    expect(hint?.concerns?.(waiting, undefined, on("a", pod("q", { app: "db" })))).toBe(true);
    expect(hint?.concerns?.(waiting, undefined, on("a", pod("q", { app: "web" })))).toBe(false);
  });
});

describe("PodTopologySpread", () => {
  const nothing: WorkloadLister = {
    services: () => [],
    replicationController: () => undefined,
    replicaSet: () => undefined,
    statefulSet: () => undefined,
  };
  const plugin = createPodTopologySpread(nothing);
  const web = { app: "web" };
  const spread = (more: Partial<TopologySpreadConstraint> = {}): Partial<PodSpec> => ({
    topologySpreadConstraints: [
      { topologyKey: zone, maxSkew: 1, whenUnsatisfiable: "DoNotSchedule", labelSelector: { matchLabels: web }, ...more },
    ],
  });
  const nodes = [zoned("a", "x"), zoned("b", "y")];

  it("keeps domains within maxSkew", () => {
    const placed = [on("a", pod("q", web))];
    expect(place(plugin, nodes, placed, pod("p", web, spread()))).toBe("b");
    const elsewhere = placed.map((p) => inNamespace("other", p));
    expect(place(plugin, [nodes[0] ?? zoned("a", "x")], [...elsewhere, on("a", pod("r", web))], pod("p", web, spread()))).toBe("a");
  });

  it("does not count pods that are going away", () => {
    const going = on("a", pod("q", web));
    const terminating = { ...going, metadata: { ...going.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
    const balanced = [terminating, on("b", pod("r", web))];
    expect(place(plugin, nodes, balanced, pod("p", web, spread()))).toBe("a");
  });

  it("takes missing domains as empty ones until there are minDomains", () => {
    const placed = [on("a", pod("q", web)), on("b", pod("r", web))];
    expect(place(plugin, nodes, placed, pod("p", web, spread({ minDomains: 2 })))).toMatch(/^[ab]$/);
    expect(place(plugin, nodes, placed, pod("p", web, spread({ minDomains: 3 })))).toBe(
      "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.",
    );
  });

  it("leaves out nodes the pod's affinity excludes, unless told to count them", () => {
    const onlyA = { nodeSelector: { "kubernetes.io/hostname": "a" } };
    const placed = [on("a", pod("q", web))];
    expect(place(plugin, nodes, placed, pod("p", web, { ...spread(), ...onlyA }))).toMatch(/^[ab]$/);
    expect(
      place(plugin, [zoned("a", "x"), zoned("b", "y")], placed, pod("p", web, { ...spread({ nodeAffinityPolicy: "Ignore" }), ...onlyA })),
    ).toBe("b");
  });

  it("counts tainted nodes unless told to leave them out", () => {
    const tainted = [zoned("a", "x"), zoned("b", "y", { taints: [{ key: "k", effect: "NoSchedule" }] })];
    const placed = [on("a", pod("q", web))];
    expect(place(plugin, tainted, placed, pod("p", web, spread()))).toBe("b");
    const cache = new SchedulerCache();
    for (const node of tainted) cache.setNode(node);
    for (const other of placed) cache.setPod(other);
    const honouring = pod("p", web, spread({ nodeTaintsPolicy: "Honor" }));
    const filter = plugin.filter?.({ pod: honouring, snapshot: cache, state: new Map() });
    const a = cache.byName("a");
    expect(a && filter?.(a)).toBeUndefined();
  });

  it("compares pods that agree in matchLabelKeys only", () => {
    const placed = [on("a", pod("q", { app: "web", "pod-template-hash": "old" }))];
    const fresh = pod("p", { app: "web", "pod-template-hash": "new" }, spread({ matchLabelKeys: ["pod-template-hash"] }));
    expect(place(plugin, nodes, [...placed, on("b", pod("r", { app: "web", "pod-template-hash": "new" }))], fresh)).toBe("a");
  });

  it("names nodes that lack the label", () => {
    expect(place(plugin, [testNode("a")], [], pod("p", web, spread()))).toBe(
      "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).",
    );
  });

  it("spreads pods of a replica set or service over nodes by default", () => {
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "rs", uid: "u", controller: true };
    const set = { metadata: { name: "rs" }, spec: { selector: { matchLabels: web } } } as unknown as ReplicaSet;
    const service = { metadata: { name: "s" }, spec: { selector: web } } as unknown as Service;
    const incoming = pod("p", web);
    const owned = { ...incoming, metadata: { ...incoming.metadata, ownerReferences: [owner] } };
    const placed = [on("a", pod("q", web))];
    const bySet = createPodTopologySpread({ ...nothing, replicaSet: (key) => (key === "default/rs" ? set : undefined) });
    const byService = createPodTopologySpread({ ...nothing, services: () => [service] });
    expect(place(bySet, nodes, placed, owned)).toBe("b");
    expect(place(byService, [nodes[1] ?? zoned("b", "y"), zoned("a", "x")], [on("b", pod("q", web))], incoming)).toBe("a");
    expect(bySet.score?.({ pod: incoming, snapshot: new SchedulerCache(), state: new Map() }, [])).toBeUndefined();
  });
});

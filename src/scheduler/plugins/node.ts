// Plugins about the node itself. NodeName: the node the pod asks for by name. NodeUnschedulable: cordoned nodes.
// NodeAffinity: nodeSelector and node affinity. TaintToleration: taints. NodePorts: host ports that are taken.
import { compileNodeSelector, compileNodeSelectorTerm, requiredNodeMatcher } from "../../api/semantics/node-affinity.ts";
import { keepsOut, tolerates, untoleratedTaint } from "../../api/semantics/taints.ts";
import type { Node, NodeAffinity, Pod, PreferredSchedulingTerm, Taint } from "../../api/types/core-v1.ts";
import { defaultNormalize, type NodeFilter, type Plugin, type Rejection } from "../framework.ts";
import { podFacts, portsConflict } from "../node-info.ts";

export const nodeName: Plugin = {
  name: "NodeName",
  filter({ pod }) {
    const wanted = pod.spec.nodeName;
    if (!wanted) return undefined;
    const rejection: Rejection = { reasons: ["node(s) didn't match the requested node name"], unresolvable: true };
    return (node) => (node.name === wanted ? undefined : rejection);
  },
  filterSignature: ({ pod }) => pod.spec.nodeName ?? "",
  queueingHints: [{ event: "NodeAdd", concerns: (pod, _before, after) => pod.spec.nodeName === (after as Node).metadata.name }],
};

const tolerationsText = ({ spec }: Pod): string => (spec.tolerations ? JSON.stringify(spec.tolerations) : "");
const unschedulableTaint: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

export const nodeUnschedulable: Plugin = {
  name: "NodeUnschedulable",
  filter({ pod, snapshot: { columns } }) {
    if (pod.spec.tolerations?.some((t) => tolerates(t, unschedulableTaint))) return undefined;
    const rejection: Rejection = { reasons: ["node(s) were unschedulable"], unresolvable: true };
    return (node) => (columns.unschedulable[node.index] === 1 ? rejection : undefined);
  },
  filterSignature: ({ pod }) => tolerationsText(pod),
  queueingHints: [
    { event: "NodeAdd", concerns: (_pod, _before, after) => !(after as Node).spec.unschedulable },
    { event: "NodeTaint", concerns: (_pod, _before, after) => !(after as Node).spec.unschedulable },
  ],
};

const matchesNode = (pod: Pod, node: unknown): boolean => requiredNodeMatcher(pod.spec)?.(node as Node) ?? true;

const notMatching: Rejection = { reasons: ["node(s) didn't match Pod's node affinity/selector"], unresolvable: true };
const notEnforced: Rejection = { reasons: ["node(s) didn't match scheduler-enforced node affinity"], unresolvable: true };

/** `added`: affinity that the profile asks of every pod's node, besides the pod's own. */
export function createNodeAffinity(added: NodeAffinity = {}): Plugin {
  const enforced = added.requiredDuringSchedulingIgnoredDuringExecution;
  const admits = enforced && compileNodeSelector(enforced);
  const alwaysPreferred = compilePreferences(added.preferredDuringSchedulingIgnoredDuringExecution ?? []);
  const admitted = (node: unknown): boolean => admits?.(node as Node) ?? true;
  return {
    ...ownNodeAffinity,
    filter({ pod }) {
      const own = requiredNodeMatcher(pod.spec);
      return own || admits ? affinityFilter(own, admits) : undefined;
    },
    filterSignature({ pod: { spec } }) {
      const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
      return spec.nodeSelector || required ? JSON.stringify([spec.nodeSelector, required]) : "";
    },
    score({ pod }) {
      const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
      if (preferred.length + alwaysPreferred.length === 0) return undefined;
      const terms = [...compilePreferences(preferred), ...alwaysPreferred];
      return (info) => {
        let score = 0;
        for (const { weight, matches } of terms) if (info.node && matches(info.node)) score += weight;
        return score;
      };
    },
    queueingHints: [
      { event: "NodeAdd", concerns: (pod, _before, after) => admitted(after) && matchesNode(pod, after) },
      {
        event: "NodeLabel",
        concerns: (pod, before, after) => admitted(after) && matchesNode(pod, after) && !(admitted(before) && matchesNode(pod, before)),
      },
    ],
  };
}

type Matcher = ReturnType<typeof compileNodeSelector>;

function affinityFilter(own: Matcher | undefined, admits: Matcher | undefined): NodeFilter {
  return ({ node }) => {
    if (!node || (admits && !admits(node))) return node ? notEnforced : notMatching;
    return own && !own(node) ? notMatching : undefined;
  };
}

const compilePreferences = (terms: readonly PreferredSchedulingTerm[]) =>
  terms.map(({ weight, preference }) => ({ weight, matches: compileNodeSelectorTerm(preference) }));

const ownNodeAffinity: Plugin = {
  name: "NodeAffinity",
  preFilter({ pod }) {
    // Terms that all name nodes by metadata.name leave only those nodes to look at.
    const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
    if (!terms?.length) return undefined;
    const nodeNames = new Set<string>();
    for (const term of terms) {
      const named = (term.matchFields ?? []).filter((f) => f.key === "metadata.name" && f.operator === "In");
      const [first, ...others] = named.map((f) => f.values ?? []);
      if (!first) return undefined;
      for (const name of first) if (others.every((values) => values.includes(name))) nodeNames.add(name);
    }
    return nodeNames.size > 0 ? { nodeNames } : { reasons: ["pod affinity terms conflict"], unresolvable: true };
  },
  normalizeScore: (scores) => defaultNormalize(scores, false),
};

export const nodeAffinity: Plugin = createNodeAffinity();

const toleratesNode = (pod: Pod, node: unknown): boolean =>
  untoleratedTaint((node as Node).spec.taints, pod.spec.tolerations, keepsOut) === undefined;

export const taintToleration: Plugin = {
  name: "TaintToleration",
  filter({ pod, snapshot: { columns } }) {
    // One verdict for each distinct list of taints.
    const verdicts: (Rejection | null | undefined)[] = [];
    return (node) => {
      const list = columns.taintList[node.index] ?? 0;
      let verdict = verdicts[list];
      if (verdict === undefined) {
        const taint = untoleratedTaint(columns.taintLists[list], pod.spec.tolerations, keepsOut);
        verdict = taint ? { reasons: ["node(s) had untolerated taint(s)"], unresolvable: true } : null;
        verdicts[list] = verdict;
      }
      return verdict ?? undefined;
    };
  },
  filterSignature: ({ pod }) => tolerationsText(pod),
  score({ pod, snapshot: { columns } }) {
    if (columns.taintLists.every((taints) => !taints.some((t) => t.effect === "PreferNoSchedule"))) return undefined;
    const tolerations = pod.spec.tolerations?.filter((t) => !t.effect || t.effect === "PreferNoSchedule") ?? [];
    return (node) => {
      const taints = columns.taintLists[columns.taintList[node.index] ?? 0] ?? [];
      return taints.filter((taint) => taint.effect === "PreferNoSchedule" && !tolerations.some((t) => tolerates(t, taint))).length;
    };
  },
  normalizeScore: (scores) => defaultNormalize(scores, true),
  queueingHints: [
    { event: "NodeAdd", concerns: (pod, _before, after) => toleratesNode(pod, after) },
    { event: "NodeTaint", concerns: (pod, before, after) => toleratesNode(pod, after) && !toleratesNode(pod, before) },
    { event: "UnscheduledPodUpdate" },
  ],
};

export const nodePorts: Plugin = {
  name: "NodePorts",
  filter({ pod }) {
    const wanted = podFacts(pod).hostPorts;
    if (wanted.length === 0) return undefined;
    const rejection: Rejection = { reasons: ["node(s) didn't have free ports for the requested pod ports"] };
    return (node) => (wanted.some((port) => node.hostPorts.some((taken) => portsConflict(port, taken))) ? rejection : undefined);
  },
  filterSignature({ pod }) {
    const wanted = podFacts(pod).hostPorts;
    return wanted.length === 0 ? "" : JSON.stringify(wanted);
  },
  queueingHints: [
    { event: "NodeAdd" },
    { event: "AssignedPodDelete", concerns: (_pod, before) => podFacts(before as Pod).hostPorts.length > 0 },
  ],
};

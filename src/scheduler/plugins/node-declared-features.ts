// NodeDeclaredFeatures (on by default in v1.36): a pod that needs what older kubelets cannot do goes to nodes that have declared
// the feature in status.declaredFeatures. Which features a pod needs is read off its spec. Features that only matter when a pod
// that has its node is changed are the API server's to look at (NodeDeclaredFeatureValidator).
import type { Node, Pod, PodSpec } from "../../api/types/core-v1.ts";
import type { Plugin, Rejection } from "../framework.ts";

/** By name: whether a pod cannot run without it. */
const features: readonly (readonly [name: string, isNeeded: (spec: PodSpec) => boolean])[] = [
  ["RestartAllContainersOnContainerExits", restartsAllContainers],
  ["UserNamespacesHostNetworkSupport", (spec) => spec.hostNetwork === true && spec.hostUsers === false],
];

function restartsAllContainers({ containers, initContainers = [] }: PodSpec): boolean {
  for (const of of [containers, initContainers])
    for (const { restartPolicyRules } of of) if (restartPolicyRules?.some(({ action }) => action === "RestartAllContainers")) return true;
  return false;
}

const none: readonly string[] = [];

/** Names of features; nearly always none, and then nothing is allocated. */
export function requiredFeatures(spec: PodSpec): readonly string[] {
  let required = none;
  for (const [name, isNeeded] of features) if (isNeeded(spec)) required = [...required, name];
  return required;
}

const lacking: Rejection = { reasons: ["node(s) didn't match Pod's required features"], unresolvable: true };
const declaredBy = (node: Node | undefined): readonly string[] => node?.status?.declaredFeatures ?? none;
const meets = (pod: Pod, node: Node): boolean => {
  const declared = declaredBy(node);
  return requiredFeatures(pod.spec).every((name) => declared.includes(name));
};

export const nodeDeclaredFeatures: Plugin = {
  name: "NodeDeclaredFeatures",
  filter({ pod }) {
    const required = requiredFeatures(pod.spec);
    if (required.length === 0) return undefined;
    return ({ node }) => {
      const declared = declaredBy(node);
      return required.every((name) => declared.includes(name)) ? undefined : lacking;
    };
  },
  filterSignature: ({ pod }) => requiredFeatures(pod.spec).join(),
  queueingHints: [
    { event: "NodeAdd", concerns: (pod, _before, after) => meets(pod, after as Node) },
    { event: "NodeDeclaredFeature", concerns: (pod, _before, after) => meets(pod, after as Node) },
  ],
};

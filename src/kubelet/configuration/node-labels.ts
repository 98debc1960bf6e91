// Which labels a node may give itself (--node-labels): of the kubernetes.io and k8s.io domains only those that a kubelet
// has a say in, as upstream. (The API server's NodeRestriction refuses more of them.)
import { isLabelValue, isQualifiedName } from "../../api/meta/names.ts";

const ownDomains = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const ownLabels = [
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "beta.kubernetes.io/os",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "kubernetes.io/arch",
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "node.kubernetes.io/instance-type",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
];

/** Undefined where all may be given. */
export function nodeLabelProblem(labels: Readonly<Record<string, string>>): string | undefined {
  const unknown = Object.keys(labels).filter((key) => isKubernetes(key) && !isOwn(key));
  if (unknown.length > 0) {
    const allowed = `must begin with an allowed prefix (${ownDomains.join(", ")}) or be in the specifically allowed set (${ownLabels.join(", ")})`;
    return `unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [${unknown.sort().join(" ")}]\n--node-labels in the 'kubernetes.io' namespace ${allowed}`;
  }
  const malformed = Object.entries(labels).flatMap(([key, value]) => [
    ...textOf(key, isQualifiedName(key)),
    ...textOf(value, isLabelValue(value)),
  ]);
  return malformed.length > 0 ? `invalid node labels: ${malformed.join("; ")}` : undefined;
}

const textOf = (written: string, problems: readonly string[]): readonly string[] =>
  problems.length > 0 ? [`'${written}' - ${problems.join(", ")}`] : [];

const domainOf = (key: string): string => (key.includes("/") ? key.slice(0, key.indexOf("/")) : "");

function isKubernetes(key: string): boolean {
  const domain = domainOf(key);
  return ["kubernetes.io", "k8s.io"].some((own) => domain === own || domain.endsWith(`.${own}`));
}

function isOwn(key: string): boolean {
  const domain = domainOf(key);
  return ownLabels.includes(key) || ownDomains.some((own) => domain === own || domain.endsWith(`.${own}`));
}

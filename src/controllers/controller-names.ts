// The names that --controllers knows: those of the controllers there are, upstream's former names for them, and those that
// upstream has but that never run here: what a cloud provider does, and what depends on features that are off in v1.36.
// Asking for one of these is no mistake, it starts nothing, as upstream.
import type { Controller } from "./controller.ts";

/** Former names, by the present ones. */
const formerNames: Readonly<Record<string, string>> = {
  "serviceaccount-token-controller": "serviceaccount-token",
  "endpoints-controller": "endpoint",
  "endpointslice-controller": "endpointslice",
  "endpointslice-mirroring-controller": "endpointslicemirroring",
  "replicationcontroller-controller": "replicationcontroller",
  "pod-garbage-collector-controller": "podgc",
  "resourcequota-controller": "resourcequota",
  "namespace-controller": "namespace",
  "serviceaccount-controller": "serviceaccount",
  "garbage-collector-controller": "garbagecollector",
  "daemonset-controller": "daemonset",
  "job-controller": "job",
  "deployment-controller": "deployment",
  "replicaset-controller": "replicaset",
  "horizontal-pod-autoscaler-controller": "horizontalpodautoscaling",
  "disruption-controller": "disruption",
  "statefulset-controller": "statefulset",
  "cronjob-controller": "cronjob",
  "certificatesigningrequest-signing-controller": "csrsigning",
  "certificatesigningrequest-approving-controller": "csrapproving",
  "certificatesigningrequest-cleaner-controller": "csrcleaner",
  "ttl-controller": "ttl",
  "bootstrap-signer-controller": "bootstrapsigner",
  "token-cleaner-controller": "tokencleaner",
  "node-ipam-controller": "nodeipam",
  "node-lifecycle-controller": "nodelifecycle",
  "persistentvolume-binder-controller": "persistentvolume-binder",
  "persistentvolume-attach-detach-controller": "attachdetach",
  "persistentvolume-expander-controller": "persistentvolume-expander",
  "clusterrole-aggregation-controller": "clusterrole-aggregation",
  "persistentvolumeclaim-protection-controller": "pvc-protection",
  "persistentvolume-protection-controller": "pv-protection",
  "ttl-after-finished-controller": "ttl-after-finished",
  "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
  "ephemeral-volume-controller": "ephemeral-volume",
  "storageversion-garbage-collector-controller": "storage-version-gc",
  "resourceclaim-controller": "resource-claim-controller",
  "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
  "storage-version-migrator-controller": "svm",
  "service-lb-controller": "service",
  "node-route-controller": "route",
  "cloud-node-lifecycle-controller": "cloud-node-lifecycle",
};

/** Upstream's that never run here. */
const neverRun: readonly string[] = [
  "service-lb-controller",
  "node-route-controller",
  "cloud-node-lifecycle-controller",
  "kube-apiserver-serving-clustertrustbundle-publisher-controller",
  "podcertificaterequest-cleaner-controller",
  "podgroup-protection-controller",
  "resourcepoolstatusrequest-controller",
  "selinux-warning-controller",
  "storage-version-migrator-controller",
];

const presentNames: ReadonlyMap<string, string> = new Map(Object.entries(formerNames).map(([present, former]) => [former, present]));

/**
 * Those of `controllers` that a selection asks for: "*" is all that are on by default, "name" adds, "-name" takes away; of
 * two entries about one controller the first counts. Throws for a name that does not exist, with the list of those that do.
 */
export function selectControllers(controllers: readonly Controller[], selection: readonly string[]): readonly Controller[] {
  const known = new Set([...controllers.map((controller) => controller.name), ...neverRun]);
  const entries = selection.filter((item) => item !== "*").map((item) => entryOf(item, known));
  return controllers.filter(({ name, isOffByDefault }) => {
    const entry = entries.find((each) => each.name === name);
    return entry ? entry.isOn : selection.includes("*") && !isOffByDefault;
  });
}

function entryOf(item: string, known: ReadonlySet<string>): { readonly name: string; readonly isOn: boolean } {
  const given = item.replace(/^-/, "");
  const name = presentNames.get(given) ?? given;
  if (!known.has(name)) throw new Error(`"${given}" is not in the list of known controllers: ${[...known].sort().join(", ")}`);
  return { name, isOn: !item.startsWith("-") };
}

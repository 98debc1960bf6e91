// What default roles have besides while feature gates that are off by default are on: nodes read bundles of trust anchors and
// ask for certificates of pods, service accounts read the bundles too; who publishes bundles, cleans requests, groups a job's
// pods and migrates storage versions has its role. The collector of storage versions has its role where they are served
// (upstream: by the gate StorageVersionAPI).
import type { FeatureGates } from "../../api/semantics/feature-gates.ts";
import { defaultControllerRoles } from "./default-controller-roles.ts";

export interface GatedRoles {
  /** Rules of system:node, beside those it always has. */
  readonly nodeRules: readonly string[];
  /** Cluster roles of their own, and the groups they are bound to. */
  readonly clusterRoles: Readonly<Record<string, { readonly rules: readonly string[]; readonly groups: readonly string[] }>>;
  /** Of controllers, as in default-controller-roles.ts, some of which they replace. */
  readonly controllerRoles: Readonly<Record<string, readonly string[]>>;
}

export const noGatedRoles: GatedRoles = { nodeRules: [], clusterRoles: {}, controllerRoles: {} };

const storageVersionCollector = [
  "read | leases | coordination.k8s.io",
  "delete get list patch update watch | storageversions | internal.apiserver.k8s.io",
  "get patch update | storageversions/status | internal.apiserver.k8s.io",
];

const groupPods = "create get list watch | podgroups workloads | scheduling.k8s.io";

const bundlePublisher = [
  "attest | signers | certificates.k8s.io | kubernetes.io/kube-apiserver-serving",
  "create delete list update watch | clustertrustbundles | certificates.k8s.io",
  "create patch update | events | core events.k8s.io",
];

/** It applies each object as it is; of one that is gone that is a creation, which its uid refuses. */
const storageVersionMigrator = [
  "create list patch | * | *",
  "get | customresourcedefinitions | apiextensions.k8s.io",
  "patch | customresourcedefinitions/status | apiextensions.k8s.io",
  "update | storageversionmigrations/status | storagemigration.k8s.io",
];

export function gatedRoles(gates: FeatureGates, { storageVersions = false } = {}): GatedRoles {
  const bundles = gates.enabled("ClusterTrustBundle");
  const certificates = gates.enabled("PodCertificateRequest");
  const readBundles = "read | clustertrustbundles | certificates.k8s.io";
  return {
    nodeRules: [
      ...(bundles ? [readBundles] : []),
      ...(certificates ? ["create get list watch | podcertificaterequests | certificates.k8s.io"] : []),
    ],
    controllerRoles: {
      ...(storageVersions ? { "storage-version-garbage-collector": storageVersionCollector } : {}),
      ...(gates.enabled("WorkloadWithJob") ? { "job-controller": [...(defaultControllerRoles["job-controller"] ?? []), groupPods] } : {}),
      ...(bundles ? { "kube-apiserver-serving-clustertrustbundle-publisher": bundlePublisher } : {}),
      ...(certificates ? { podcertificaterequestcleaner: ["delete read | podcertificaterequests | certificates.k8s.io"] } : {}),
      ...(gates.enabled("StorageVersionMigrator") ? { "storage-version-migrator-controller": storageVersionMigrator } : {}),
    },
    clusterRoles: bundles ? { "system:cluster-trust-bundle-discovery": { rules: [readBundles], groups: ["system:serviceaccounts"] } } : {},
  };
}

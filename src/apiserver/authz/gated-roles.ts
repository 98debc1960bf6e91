// What default roles have besides while feature gates that are off by default are on: nodes read bundles of trust anchors and
// ask for certificates of pods, and service accounts read the bundles too.
import type { FeatureGates } from "../../api/semantics/feature-gates.ts";

export interface GatedRoles {
  /** Rules of system:node, beside those it always has. */
  readonly nodeRules: readonly string[];
  /** Cluster roles of their own, and the groups they are bound to. */
  readonly clusterRoles: Readonly<Record<string, { readonly rules: readonly string[]; readonly groups: readonly string[] }>>;
}

export const noGatedRoles: GatedRoles = { nodeRules: [], clusterRoles: {} };

export function gatedRoles(gates: FeatureGates): GatedRoles {
  const bundles = gates.enabled("ClusterTrustBundle");
  const readBundles = "read | clustertrustbundles | certificates.k8s.io";
  return {
    nodeRules: [
      ...(bundles ? [readBundles] : []),
      ...(gates.enabled("PodCertificateRequest") ? ["create get list watch | podcertificaterequests | certificates.k8s.io"] : []),
    ],
    clusterRoles: bundles ? { "system:cluster-trust-bundle-discovery": { rules: [readBundles], groups: ["system:serviceaccounts"] } } : {},
  };
}

// The feature gates that this API server can be told to turn. What the others of v1.36 do by default is what happens here.
import {
  type FeatureGates,
  featureGatesFlag,
  type GateSupport,
  type GateValues,
  resolveFeatureGates,
} from "../api/semantics/feature-gates.ts";

export const apiServerGates: GateSupport = {
  component: "apiserver",
  switchable: new Set([
    "APIResponseCompression",
    "APIServerIdentity",
    "AuthorizePodWebsocketUpgradeCreatePermission",
    "CBORServingAndStorage",
    "ClusterTrustBundle",
    "ClusterTrustBundleProjection",
    "ConstrainedImpersonation",
    "CoordinatedLeaderElection",
    "DRAWorkloadResourceClaims",
    "ExtendWebSocketsToKubelet",
    "GenericWorkload",
    "ManifestBasedAdmissionControlConfig",
    "PodCertificateRequest",
    "RemoteRequestHeaderUID",
    "ShardedListAndWatch",
    "StorageVersionMigrator",
    "TopologyAwareWorkloadScheduling",
    "UnknownVersionInteroperabilityProxy",
    "WorkloadAwarePreemption",
    "WorkloadWithJob",
  ]),
};

export const apiServerGatesFlag = featureGatesFlag(apiServerGates);

/** Throws ConfigError for what cannot be. */
export const resolveApiServerGates = (given: GateValues): FeatureGates => resolveFeatureGates(given, apiServerGates);

// The feature gates that this kubelet can be told to turn. What the others of v1.36 do by default is what happens here.
import { type FeatureGates, type GateSupport, type GateValues, resolveFeatureGates } from "../../api/semantics/feature-gates.ts";

export type { FeatureGates } from "../../api/semantics/feature-gates.ts";

export const kubeletGates: GateSupport = {
  component: "kubelet",
  switchable: new Set([
    "CPUManagerPolicyAlphaOptions",
    "CPUManagerPolicyBetaOptions",
    "ClusterTrustBundleProjection",
    "ComponentFlagz",
    "ComponentStatusz",
    "ContainerCheckpoint",
    "ContainerStopSignals",
    "CustomCPUCFSQuotaPeriod",
    "DisableCPUQuotaWithExclusiveCPUs",
    // Events are followed wherever the runtime offers them, told to or not.
    "EventedPLEG",
    "ExtendWebSocketsToKubelet",
    "GracefulNodeShutdown",
    "GracefulNodeShutdownBasedOnPodPriority",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingExclusiveCPUs",
    "InPlacePodVerticalScalingExclusiveMemory",
    "KubeletCrashLoopBackOffMax",
    "KubeletEnsureSecretPulledImages",
    "MemoryQoS",
    "NodeDeclaredFeatures",
    "PodCertificateRequest",
    "PodReadyToStartContainersCondition",
    "QOSReserved",
    "ReduceDefaultCrashLoopBackOffDecay",
    "ResourceHealthStatus",
    "RotateKubeletServerCertificate",
    // No option of the topology manager is of these levels now.
    "TopologyManagerPolicyAlphaOptions",
    "TopologyManagerPolicyBetaOptions",
    // Of other systems.
    "WindowsCPUAndMemoryAffinity",
    "WindowsGracefulNodeShutdown",
  ]),
};

/** Throws ConfigError for what cannot be. */
export const resolveKubeletGates = (given: GateValues): FeatureGates => resolveFeatureGates(given, kubeletGates);

export const defaultGates: FeatureGates = resolveKubeletGates({});

// What a kubelet can be told, with upstream's names and defaults.
import { join } from "node:path";
import type { Taint } from "../api/types/core-v1.ts";
import { parseDuration } from "../base/duration.ts";
import { kubernetesVersion } from "../base/version.ts";
import { type FeatureGates, resolveKubeletGates } from "./configuration/feature-gates.ts";
import type { MemoryReservationPolicy } from "./containers/memory-qos.ts";
import { parseThresholds, type Threshold, type ThresholdConfig } from "./eviction/thresholds.ts";
import type { ResourceTexts } from "./node/node-allocatable.ts";
import { systemCriticalPriority } from "./pods/pod-spec.ts";
import type { VerificationPolicy } from "./pulls/pull-verification.ts";
import { type ResourceManagerOptions, type ResourceManagers, resolveResourceManagers } from "./resource-managers/manager-options.ts";

/** How a shutting down node gives its pods time: those of at least this priority. */
export interface ShutdownGracePeriodByPodPriority {
  readonly priority: number;
  readonly shutdownGracePeriodSeconds: number;
}

/**
 * How a node protects itself, with the names, units and defaults of KubeletConfiguration: quantities and durations are texts
 * there and here.
 */
export interface ProtectionOptions extends ThresholdConfig {
  /** Kept from pods beside the eviction thresholds, by resource. Default none. */
  readonly systemReserved?: ResourceTexts;
  readonly kubeReserved?: ResourceTexts;
  /** Seconds a pod is given at most when a soft threshold evicts it. Default 0. */
  readonly evictionMaxPodGracePeriod?: number;
  /** How long a condition stays after its last cause. Default "5m". */
  readonly evictionPressureTransitionPeriod?: string;
  /** Limits of emptyDir volumes and of ephemeral storage are enforced. Default true. */
  readonly localStorageCapacityIsolation?: boolean;
  /** Use of the images' file system, in percent, from which unused images are removed, and down to which. Default 85 and 80. */
  readonly imageGCHighThresholdPercent?: number;
  readonly imageGCLowThresholdPercent?: number;
  /** Younger images are kept. Default "2m". */
  readonly imageMinimumGCAge?: string;
  /** Images unused for so long are removed in any case. Default "0s": never. */
  readonly imageMaximumGCAge?: string;
  /** What a shutdown of the machine waits for pods altogether, and of that for critical ones. Default "0s": not at all. */
  readonly shutdownGracePeriod?: string;
  readonly shutdownGracePeriodCriticalPods?: string;
  /** Instead of those two, finer. */
  readonly shutdownGracePeriodByPodPriority?: readonly ShutdownGracePeriodByPodPriority[];
}

export interface KubeletOptions extends ProtectionOptions, ResourceManagerOptions {
  /** Features turned to something else than v1.36's default. Default none. */
  readonly featureGates?: Readonly<Record<string, boolean>>;
  readonly nodeName: string;
  /** --root-dir: pods' volumes and files. */
  readonly rootDirectory: string;
  /**
   * Whether what the kubelet knows of its pods is kept on disk for the next kubelet of this node. Default true. It is of no use
   * where the runtime forgets everything with the kubelet; then directories are only made when pods need them.
   */
  readonly remembers?: boolean;
  /** Default <rootDirectory>/logs. Not shared with other kubelets: what belongs to no pod of this node is removed. */
  readonly logsDirectory?: string;
  /** kubernetes.io/hostname and the Hostname address. Default the node's name. */
  readonly hostname?: string;
  /** InternalIP addresses, first the primary one. Default: the machine's. */
  readonly nodeIPs?: readonly string[];
  /** Where no addresses are given: of which families the machine's are taken. Default 4 and 6. */
  readonly addressFamilies?: readonly number[];
  /** --node-labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** --register-with-taints. */
  readonly taints?: readonly Taint[];
  /** --register-schedulable=false. */
  readonly unschedulable?: boolean;
  /** --max-pods. Default 110. */
  readonly maxPods?: number;
  /** At most so many pods for each CPU. Default 0: only maxPods counts. */
  readonly podsPerCore?: number;
  /** Processes of one pod; -1 for no limit. Default 16384, which keeps a fork bomb from the rest of the node. */
  readonly podPidsLimit?: number;
  /** Whether the kubelet makes the node's object, or waits for it. Default true. */
  readonly registerNode?: boolean;
  /** Default none. */
  readonly providerID?: string;
  /** How often the node's status is computed. Default 10 s. */
  readonly nodeStatusUpdateFrequencyMs?: number;
  /** How often it is written when nothing has changed. Default 5 min. */
  readonly nodeStatusReportFrequencyMs?: number;
  /** Default 40. */
  readonly nodeLeaseDurationSeconds?: number;
  /** Images in the node's status; -1 for all. Default 50. */
  readonly nodeStatusMaxImages?: number;
  /** The size at which a container's log is moved aside. Default 10 MiB. */
  readonly containerLogMaxBytes?: number;
  /** Files of one container's log. Default 5. */
  readonly containerLogMaxFiles?: number;
  /** Default 10 s. */
  readonly containerLogMonitorIntervalMs?: number;
  /** Whether containers may use swap, where there is any. Default "NoSwap". */
  readonly swapBehavior?: "NoSwap" | "LimitedSwap";
  /** How often the use of volumes is measured. Default 1 min. */
  readonly volumeStatsAggPeriodMs?: number;
  /** The kubelet's HTTPS port as it stands in the node's status. Default 10250. */
  readonly port?: number;
  /** --cluster-dns. Default none: pods get the node's resolver. */
  readonly clusterDns?: readonly string[];
  /** --cluster-domain. Default "cluster.local". */
  readonly clusterDomain?: string;
  /** --resolv-conf. Default "/etc/resolv.conf"; "" for no names at all. */
  readonly resolvConf?: string;
  /** --pod-manifest-path: static pods. Default none. */
  readonly podManifestPath?: string;
  /** How often the directory of static pods is read besides its changes. Default 20 s. */
  readonly fileCheckFrequencyMs?: number;
  /** --manifest-url: static pods from there. Default none. */
  readonly staticPodURL?: string;
  /** --manifest-url-header: name → values. */
  readonly staticPodURLHeader?: Readonly<Record<string, readonly string[]>>;
  /** How often the URL is asked. Default 20 s. */
  readonly httpCheckFrequencyMs?: number;
  /**
   * The longest time between restarts of a container that keeps failing (crashLoopBackOff.maxContainerRestartPeriod). Default 300 s; 60 s with
   * the gate ReduceDefaultCrashLoopBackOffDecay.
   */
  readonly maxContainerRestartPeriodMs?: number;
  /** Traces of pods are handed to a collector (OTLP over gRPC, default localhost:4317), of a million so many. Default none. */
  readonly tracing?: { readonly endpoint?: string | undefined; readonly samplingRatePerMillion: number };
  /** Running out of memory ends one process of a container, not all. Default false with version 2 of control groups, else true. */
  readonly singleProcessOOMKill?: boolean;
  /** Users of a pod with users of its own. Default 65536. */
  readonly userNamespaceIdsPerPod?: number;
  /** Pods have control groups of their own, by their class of service. Default true. */
  readonly cgroupsPerQOS?: boolean;
  /** Control groups of daemons, for enforceNodeAllocatable. Default none. */
  readonly systemReservedCgroup?: string;
  readonly kubeReservedCgroup?: string;
  /** Control groups that the kubelet's own process, and what is in the root of the trees, are moved to. Default none: they stay. */
  readonly kubeletCgroups?: string;
  readonly systemCgroups?: string;
  /** With the gate QOSReserved: how much of what pods request is kept from lower classes of service ("memory": "50%"). Default none. */
  readonly qosReserved?: Readonly<Record<string, string>>;
  /** Whether volumes are attached by the cluster's controller, not by the kubelet. Default true. */
  readonly enableControllerAttachDetach?: boolean;
  /** "external": a cloud's controller says what the node is, before pods may come. Default none. */
  readonly cloudProvider?: string;
  /** Whether limits of CPU are enforced. Default true. */
  readonly cpuCFSQuota?: boolean;
  /** In which periods. Default 100 ms. */
  readonly cpuCFSQuotaPeriodMs?: number;
  /** With the gate MemoryQoS. Default 0.9: containers are slowed down at nine tenths of the way from request to limit. */
  readonly memoryThrottlingFactor?: number;
  /** With the gate MemoryQoS. Default "None": nothing is kept from being reclaimed. */
  readonly memoryReservationPolicy?: MemoryReservationPolicy;
  /** --allowed-unsafe-sysctls: names, or prefixes that end with "*". Default none. */
  readonly allowedUnsafeSysctls?: readonly string[];
  /** Pulls that may begin in a second; 0 is no limit, the default. */
  readonly registryPullQPS?: number;
  /** And at once. Default 10. */
  readonly registryBurst?: number;
  /** Default "NeverVerifyPreloadedImages". */
  readonly imagePullCredentialsVerificationPolicy?: VerificationPolicy;
  /** With the policy NeverVerifyAllowlistedImages: names of images, or prefixes that end in "/*". */
  readonly preloadedImagesVerificationAllowlist?: readonly string[];
  /** --image-credential-provider-config: a file, or a directory of files. Default none. */
  readonly imageCredentialProviderConfig?: string;
  /** --image-credential-provider-bin-dir. */
  readonly imageCredentialProviderBinDir?: string;
  /** --seccomp-default. */
  readonly seccompDefault?: boolean;
  /** Pretend to have these: for simulated nodes. */
  readonly capacity?: { readonly cpus?: number; readonly memoryBytes?: number };
  /** Default 5. */
  readonly maxParallelImagePulls?: number;
  /** Version reported for the node. */
  readonly kubeletVersion?: string;
  /** stop() also stops the pods. Default false: they run on, as upstream's do. */
  readonly stopPodsOnExit?: boolean;
}

/** Read once, from texts. */
export interface Protection {
  /** The limits of all pods together are enforced by control groups. */
  readonly enforcesPods: boolean;
  readonly thresholds: readonly Threshold[];
  readonly evictionMaxPodGraceSeconds: number;
  readonly pressureTransitionMs: number;
  readonly enforceLocalStorage: boolean;
  readonly imageGC: {
    readonly highThresholdPercent: number;
    readonly lowThresholdPercent: number;
    readonly minAgeMs: number;
    /** 0: age alone removes no image. */
    readonly maxAgeMs: number;
  };
  readonly systemReserved: ResourceTexts;
  readonly kubeReserved: ResourceTexts;
  readonly shutdownGracePeriods: readonly ShutdownGracePeriodByPodPriority[];
}

export interface ResolvedOptions
  extends Required<
    Omit<
      KubeletOptions,
      | "nodeIPs"
      | "addressFamilies"
      | "podManifestPath"
      | "staticPodURL"
      | "capacity"
      | "featureGates"
      | "singleProcessOOMKill"
      | "tracing"
      | keyof ProtectionOptions
      | keyof ResourceManagerOptions
    >
  > {
  readonly protection: Protection;
  readonly managers: ResourceManagers;
  readonly gates: FeatureGates;
  readonly nodeIPs?: readonly string[];
  readonly addressFamilies?: readonly number[];
  readonly podManifestPath?: string;
  readonly staticPodURL?: string;
  readonly capacity?: KubeletOptions["capacity"];
  readonly singleProcessOOMKill?: boolean;
  readonly tracing?: KubeletOptions["tracing"];
  /** <root>/pods. */
  readonly podsDirectory: string;
}

function resolveProtection(options: ProtectionOptions, gates: FeatureGates): Protection {
  const { imageGCHighThresholdPercent: high = 85, imageGCLowThresholdPercent: low = 80 } = options;
  for (const [name, percent] of Object.entries({ imageGCHighThresholdPercent: high, imageGCLowThresholdPercent: low }))
    if (percent < 0 || percent > 100) throw new Error(`kubelet options: ${name} must be between 0 and 100, not ${percent}`);
  if (low > high)
    throw new Error(`kubelet options: imageGCLowThresholdPercent (${low}) must not be more than imageGCHighThresholdPercent (${high})`);
  return {
    enforcesPods: (options.enforceNodeAllocatable ?? ["pods"]).includes("pods"),
    thresholds: parseThresholds(options),
    evictionMaxPodGraceSeconds: options.evictionMaxPodGracePeriod ?? 0,
    pressureTransitionMs: durationOf("evictionPressureTransitionPeriod", options.evictionPressureTransitionPeriod ?? "5m"),
    enforceLocalStorage: options.localStorageCapacityIsolation ?? true,
    imageGC: {
      highThresholdPercent: high,
      lowThresholdPercent: low,
      minAgeMs: durationOf("imageMinimumGCAge", options.imageMinimumGCAge ?? "2m"),
      maxAgeMs: durationOf("imageMaximumGCAge", options.imageMaximumGCAge ?? "0s"),
    },
    systemReserved: options.systemReserved ?? {},
    kubeReserved: options.kubeReserved ?? {},
    shutdownGracePeriods: gates.enabled("GracefulNodeShutdown") ? shutdownGracePeriodsOf(options) : [],
  };
}

/** From the lowest priority to the highest; the two simple periods are one for all pods and one for critical ones. */
function shutdownGracePeriodsOf(options: ProtectionOptions): readonly ShutdownGracePeriodByPodPriority[] {
  const fine = options.shutdownGracePeriodByPodPriority ?? [];
  if (fine.length > 0) return [...fine].sort((a, b) => a.priority - b.priority);
  const allMs = durationOf("shutdownGracePeriod", options.shutdownGracePeriod ?? "0s");
  const criticalMs = durationOf("shutdownGracePeriodCriticalPods", options.shutdownGracePeriodCriticalPods ?? "0s");
  if (criticalMs > allMs) throw new Error("kubelet options: shutdownGracePeriodCriticalPods must not be longer than shutdownGracePeriod");
  if (allMs === 0) return [];
  return [
    { priority: 0, shutdownGracePeriodSeconds: Math.floor((allMs - criticalMs) / 1000) },
    { priority: systemCriticalPriority, shutdownGracePeriodSeconds: Math.floor(criticalMs / 1000) },
  ];
}

function durationOf(name: string, text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === undefined || durationMs < 0)
    throw new Error(`kubelet options: ${name} must be a duration like "1m30s", not "${text}"`);
  return durationMs;
}

export function resolveOptions(options: KubeletOptions): ResolvedOptions {
  if (options.nodeName === "") throw new Error("kubelet options: nodeName must not be empty");
  if (!options.rootDirectory.startsWith("/"))
    throw new Error(`kubelet options: rootDirectory must be absolute, not "${options.rootDirectory}"`);
  const podsDirectory = join(options.rootDirectory, "pods");
  const gates = resolveKubeletGates(options.featureGates ?? {});
  return {
    logsDirectory: join(options.rootDirectory, "logs"),
    remembers: true,
    hostname: options.nodeName,
    labels: {},
    taints: [],
    unschedulable: false,
    maxPods: 110,
    podsPerCore: 0,
    podPidsLimit: 16_384,
    registerNode: true,
    providerID: "",
    nodeStatusUpdateFrequencyMs: 10_000,
    nodeStatusReportFrequencyMs: 5 * 60_000,
    nodeLeaseDurationSeconds: 40,
    nodeStatusMaxImages: 50,
    containerLogMaxBytes: 10 * 2 ** 20,
    containerLogMaxFiles: 5,
    containerLogMonitorIntervalMs: 10_000,
    swapBehavior: "NoSwap",
    volumeStatsAggPeriodMs: 60_000,
    port: 10_250,
    clusterDns: [],
    clusterDomain: "cluster.local",
    resolvConf: "/etc/resolv.conf",
    fileCheckFrequencyMs: 20_000,
    staticPodURLHeader: {},
    httpCheckFrequencyMs: 20_000,
    maxContainerRestartPeriodMs: gates.enabled("ReduceDefaultCrashLoopBackOffDecay") ? 60_000 : 300_000,
    userNamespaceIdsPerPod: 65_536,
    cgroupsPerQOS: true,
    systemReservedCgroup: "",
    kubeReservedCgroup: "",
    kubeletCgroups: "",
    systemCgroups: "",
    qosReserved: {},
    enableControllerAttachDetach: true,
    cloudProvider: "",
    cpuCFSQuota: true,
    cpuCFSQuotaPeriodMs: 100,
    memoryThrottlingFactor: 0.9,
    memoryReservationPolicy: "None",
    allowedUnsafeSysctls: [],
    registryPullQPS: 0,
    registryBurst: 10,
    imagePullCredentialsVerificationPolicy: "NeverVerifyPreloadedImages",
    preloadedImagesVerificationAllowlist: [],
    imageCredentialProviderConfig: "",
    imageCredentialProviderBinDir: "",
    seccompDefault: false,
    maxParallelImagePulls: 5,
    kubeletVersion: kubernetesVersion,
    stopPodsOnExit: false,
    ...options,
    protection: resolveProtection(options, gates),
    managers: resolveResourceManagers(options, gates),
    gates,
    podsDirectory,
  };
}

// KubeletConfiguration (kubelet.config.k8s.io/v1beta1) of v1.36: every field with upstream's default, and what this kubelet
// does with it. Defaults that differ from upstream's (docs/deviations.md): which runtime and which directories follow from
// the data directory, images are pulled several at a time, pods have a limit of processes, and a machine with swap or
// version 1 of control groups is a node like any other unless told not to be.
import type { Taint } from "../../api/types/core-v1.ts";
import {
  boolean,
  booleanMap,
  duration,
  durationOrZero,
  type Field,
  integer,
  integerOrZero,
  integers,
  nested,
  number,
  objects,
  optionalBoolean,
  optionalDuration,
  optionalInteger,
  optionalNested,
  type Resolved,
  text,
  textListMap,
  textMap,
  textOrEmpty,
  texts,
  wide,
  withoutEffect,
} from "./field.ts";

export const configurationKind = "KubeletConfiguration";
export const configurationVersion = "kubelet.config.k8s.io/v1beta1";

/** Processes and threads of one pod; a fork bomb ends here. */
export const defaultPodPidsLimit = 16_384;

const authentication = {
  x509: nested({ clientCAFile: text("") }),
  webhook: nested({ enabled: boolean(true), cacheTTL: duration("2m0s") }),
  anonymous: nested({ enabled: boolean(false) }),
};

const authorization = {
  mode: text("Webhook"),
  webhook: nested({ cacheAuthorizedTTL: duration("5m0s"), cacheUnauthorizedTTL: duration("30s") }),
};

const routing = { splitStream: boolean(false), infoBufferSize: text("0") };

/** A duration, or nanoseconds as a number. */
const readFlushFrequency: Field<unknown>["read"] = (fields, name) =>
  typeof fields.value(name) === "string" ? durationOrZero("5s").read(fields, name) : fields.value(name);

const logging = {
  format: text("text"),
  // Nanoseconds as a number, or a duration: nothing is held back here that could be flushed.
  flushFrequency: withoutEffect<unknown>({ ...durationOrZero("5s"), kind: "text", read: readFlushFrequency }),
  verbosity: integer(0),
  vmodule: objects({ filePattern: text(""), verbosity: integer(0) }),
  options: withoutEffect(nested({ text: nested(routing), json: nested(routing) })),
};

const taint = { key: text(""), value: text(""), effect: text(""), timeAdded: text("") };
const taints = objects(taint) as unknown as Field<readonly Taint[]>; // the effect is checked by validation

export const kubeletFields = {
  enableServer: boolean(true),
  staticPodPath: text(""),
  podLogsDir: text(""),
  syncFrequency: withoutEffect(duration("1m0s")),
  fileCheckFrequency: duration("20s"),
  httpCheckFrequency: duration("20s"),
  staticPodURL: text(""),
  staticPodURLHeader: textListMap,
  address: text("0.0.0.0"),
  port: integer(10_250),
  readOnlyPort: integer(0),
  tlsCertFile: text(""),
  tlsPrivateKeyFile: text(""),
  tlsCipherSuites: texts(),
  tlsCurvePreferences: integers,
  tlsMinVersion: text(""),
  rotateCertificates: boolean(false),
  serverTLSBootstrap: boolean(false),
  authentication: nested(authentication),
  authorization: nested(authorization),
  registryPullQPS: integerOrZero(5),
  registryBurst: integer(10),
  imagePullCredentialsVerificationPolicy: text("NeverVerifyPreloadedImages"),
  preloadedImagesVerificationAllowlist: texts(),
  eventRecordQPS: withoutEffect(integerOrZero(50)),
  eventBurst: withoutEffect(integer(100)),
  enableDebuggingHandlers: boolean(true),
  enableContentionProfiling: withoutEffect(boolean(false)),
  healthzPort: integerOrZero(10_248),
  healthzBindAddress: text("127.0.0.1"),
  oomScoreAdj: integerOrZero(-999),
  clusterDomain: text(""),
  clusterDNS: texts(),
  streamingConnectionIdleTimeout: withoutEffect(duration("4h0m0s")),
  nodeStatusUpdateFrequency: duration("10s"),
  nodeStatusReportFrequency: duration("5m0s"),
  nodeLeaseDurationSeconds: integer(40),
  imageMinimumGCAge: duration("2m0s"),
  imageMaximumGCAge: duration("0s"),
  imageGCHighThresholdPercent: integerOrZero(85),
  imageGCLowThresholdPercent: integerOrZero(80),
  volumeStatsAggPeriod: duration("1m0s"),
  kubeletCgroups: text(""),
  systemCgroups: text(""),
  cgroupRoot: text(""),
  cgroupsPerQOS: boolean(true),
  cgroupDriver: text("cgroupfs"),
  cpuManagerPolicy: text("none"),
  singleProcessOOMKill: optionalBoolean,
  cpuManagerPolicyOptions: textMap,
  cpuManagerReconcilePeriod: duration("10s"),
  memoryManagerPolicy: text("None"),
  topologyManagerPolicy: text("none"),
  topologyManagerScope: text("container"),
  topologyManagerPolicyOptions: textMap,
  qosReserved: textMap,
  runtimeRequestTimeout: withoutEffect(duration("2m0s")),
  hairpinMode: withoutEffect(text("promiscuous-bridge")),
  maxPods: integer(110),
  // For a kubelet without an API server; others are told by their node.
  podCIDR: withoutEffect(text("")),
  podPidsLimit: wide(integerOrZero(defaultPodPidsLimit)),
  resolvConf: textOrEmpty("/etc/resolv.conf"),
  runOnce: boolean(false),
  cpuCFSQuota: boolean(true),
  cpuCFSQuotaPeriod: durationOrZero("100ms"),
  nodeStatusMaxImages: integerOrZero(50),
  maxOpenFiles: withoutEffect(wide(integer(1_000_000))),
  contentType: withoutEffect(text("application/vnd.kubernetes.protobuf")),
  kubeAPIQPS: withoutEffect(integerOrZero(50)),
  kubeAPIBurst: withoutEffect(integer(100)),
  serializeImagePulls: optionalBoolean,
  maxParallelImagePulls: optionalInteger,
  evictionHard: textMap,
  evictionSoft: textMap,
  evictionSoftGracePeriod: textMap,
  evictionPressureTransitionPeriod: duration("5m0s"),
  evictionMaxPodGracePeriod: integer(0),
  evictionMinimumReclaim: textMap,
  mergeDefaultEvictionSettings: boolean(false),
  podsPerCore: integer(0),
  enableControllerAttachDetach: boolean(true),
  protectKernelDefaults: boolean(false),
  makeIPTablesUtilChains: withoutEffect(boolean(true)),
  iptablesMasqueradeBit: withoutEffect(integerOrZero(14)),
  iptablesDropBit: withoutEffect(integerOrZero(15)),
  featureGates: booleanMap,
  failSwapOn: boolean(false),
  memorySwap: nested({ swapBehavior: text("") }),
  containerLogMaxSize: text("10Mi"),
  containerLogMaxFiles: integerOrZero(5),
  containerLogMaxWorkers: withoutEffect(integerOrZero(1)),
  containerLogMonitorInterval: durationOrZero("10s"),
  // Changes are seen at once whichever it is.
  configMapAndSecretChangeDetectionStrategy: withoutEffect(text("Watch")),
  systemReserved: textMap,
  kubeReserved: textMap,
  reservedSystemCPUs: text(""),
  showHiddenMetricsForVersion: withoutEffect(text("")),
  systemReservedCgroup: text(""),
  kubeReservedCgroup: text(""),
  enforceNodeAllocatable: texts("pods"),
  allowedUnsafeSysctls: texts(),
  volumePluginDir: withoutEffect(text("/usr/libexec/kubernetes/kubelet-plugins/volume/exec/")),
  providerID: text(""),
  kernelMemcgNotification: withoutEffect(boolean(false)),
  logging: nested(logging),
  enableSystemLogHandler: boolean(true),
  enableSystemLogQuery: boolean(false),
  shutdownGracePeriod: duration("0s"),
  shutdownGracePeriodCriticalPods: duration("0s"),
  shutdownGracePeriodByPodPriority: objects({ priority: integer(0), shutdownGracePeriodSeconds: wide(integer(0)) }),
  crashLoopBackOff: nested({ maxContainerRestartPeriod: optionalDuration }),
  reservedMemory: objects({ numaNode: integer(0), limits: textMap }),
  enableProfilingHandler: withoutEffect(boolean(true)),
  enableDebugFlagsHandler: withoutEffect(boolean(true)),
  seccompDefault: boolean(false),
  memoryThrottlingFactor: number(0.9),
  memoryReservationPolicy: text("None"),
  registerWithTaints: taints,
  registerNode: boolean(true),
  tracing: optionalNested({ endpoint: text(""), samplingRatePerMillion: integerOrZero(0) }),
  localStorageCapacityIsolation: boolean(true),
  containerRuntimeEndpoint: text(""),
  imageServiceEndpoint: text(""),
  failCgroupV1: boolean(false),
  userNamespaces: optionalNested({ idsPerPod: wide(optionalInteger) }),
} as const;

/** The whole configuration in the words of v1beta1, defaults filled in. Durations are in Go's notation ("1m0s"). */
export type KubeletConfiguration = Resolved<typeof kubeletFields>;

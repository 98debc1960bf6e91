// Upstream's kubelet flags that stand for fields of the configuration file: each goes before the file. What a flag takes follows
// from its field: pairs as key=value, thresholds as signal<quantity, lists with commas.
import { parseDuration } from "../../base/duration.ts";
import { boolean, type Flag, type FlagType, flag, integer, list } from "../../base/flags.ts";
import { goDuration } from "../../kubelet/configuration/duration.ts";
import type { Field, FieldKind, FieldTable } from "../../kubelet/configuration/field.ts";
import { kubeletFields } from "../../kubelet/configuration/kubelet-configuration.ts";

/** By flag the path of its field. */
const paths = {
  address: "address",
  "allowed-unsafe-sysctls": "allowedUnsafeSysctls",
  "anonymous-auth": "authentication.anonymous.enabled",
  "authentication-token-webhook": "authentication.webhook.enabled",
  "authentication-token-webhook-cache-ttl": "authentication.webhook.cacheTTL",
  "authorization-mode": "authorization.mode",
  "authorization-webhook-cache-authorized-ttl": "authorization.webhook.cacheAuthorizedTTL",
  "authorization-webhook-cache-unauthorized-ttl": "authorization.webhook.cacheUnauthorizedTTL",
  "cgroup-driver": "cgroupDriver",
  "cgroup-root": "cgroupRoot",
  "cgroups-per-qos": "cgroupsPerQOS",
  "client-ca-file": "authentication.x509.clientCAFile",
  "cluster-dns": "clusterDNS",
  "cluster-domain": "clusterDomain",
  "container-log-max-files": "containerLogMaxFiles",
  "container-log-max-size": "containerLogMaxSize",
  "container-runtime-endpoint": "containerRuntimeEndpoint",
  "contention-profiling": "enableContentionProfiling",
  "cpu-cfs-quota": "cpuCFSQuota",
  "cpu-cfs-quota-period": "cpuCFSQuotaPeriod",
  "cpu-manager-policy": "cpuManagerPolicy",
  "cpu-manager-policy-options": "cpuManagerPolicyOptions",
  "cpu-manager-reconcile-period": "cpuManagerReconcilePeriod",
  "enable-controller-attach-detach": "enableControllerAttachDetach",
  "enable-debugging-handlers": "enableDebuggingHandlers",
  "enable-server": "enableServer",
  "enforce-node-allocatable": "enforceNodeAllocatable",
  "event-burst": "eventBurst",
  "event-qps": "eventRecordQPS",
  "eviction-hard": "evictionHard",
  "eviction-max-pod-grace-period": "evictionMaxPodGracePeriod",
  "eviction-minimum-reclaim": "evictionMinimumReclaim",
  "eviction-pressure-transition-period": "evictionPressureTransitionPeriod",
  "eviction-soft": "evictionSoft",
  "eviction-soft-grace-period": "evictionSoftGracePeriod",
  "fail-cgroupv1": "failCgroupV1",
  "fail-swap-on": "failSwapOn",
  "feature-gates": "featureGates",
  "file-check-frequency": "fileCheckFrequency",
  "hairpin-mode": "hairpinMode",
  "healthz-bind-address": "healthzBindAddress",
  "healthz-port": "healthzPort",
  "http-check-frequency": "httpCheckFrequency",
  "image-gc-high-threshold": "imageGCHighThresholdPercent",
  "image-gc-low-threshold": "imageGCLowThresholdPercent",
  "image-service-endpoint": "imageServiceEndpoint",
  "kernel-memcg-notification": "kernelMemcgNotification",
  "kube-api-burst": "kubeAPIBurst",
  "kube-api-content-type": "contentType",
  "kube-api-qps": "kubeAPIQPS",
  "kube-reserved": "kubeReserved",
  "kube-reserved-cgroup": "kubeReservedCgroup",
  "kubelet-cgroups": "kubeletCgroups",
  "local-storage-capacity-isolation": "localStorageCapacityIsolation",
  "logging-format": "logging.format",
  "make-iptables-util-chains": "makeIPTablesUtilChains",
  "manifest-url": "staticPodURL",
  "max-open-files": "maxOpenFiles",
  "max-pods": "maxPods",
  "memory-manager-policy": "memoryManagerPolicy",
  "minimum-image-ttl-duration": "imageMinimumGCAge",
  "node-status-max-images": "nodeStatusMaxImages",
  "node-status-update-frequency": "nodeStatusUpdateFrequency",
  "oom-score-adj": "oomScoreAdj",
  "pod-cidr": "podCIDR",
  "pod-manifest-path": "staticPodPath",
  "pod-max-pids": "podPidsLimit",
  "pods-per-core": "podsPerCore",
  port: "port",
  "protect-kernel-defaults": "protectKernelDefaults",
  "provider-id": "providerID",
  "qos-reserved": "qosReserved",
  "read-only-port": "readOnlyPort",
  "register-node": "registerNode",
  "registry-burst": "registryBurst",
  "registry-qps": "registryPullQPS",
  "reserved-cpus": "reservedSystemCPUs",
  "resolv-conf": "resolvConf",
  "rotate-certificates": "rotateCertificates",
  "rotate-server-certificates": "serverTLSBootstrap",
  runonce: "runOnce",
  "runtime-request-timeout": "runtimeRequestTimeout",
  "seccomp-default": "seccompDefault",
  "serialize-image-pulls": "serializeImagePulls",
  "streaming-connection-idle-timeout": "streamingConnectionIdleTimeout",
  "sync-frequency": "syncFrequency",
  "system-cgroups": "systemCgroups",
  "system-reserved": "systemReserved",
  "system-reserved-cgroup": "systemReservedCgroup",
  "tls-cert-file": "tlsCertFile",
  "tls-cipher-suites": "tlsCipherSuites",
  "tls-min-version": "tlsMinVersion",
  "tls-private-key-file": "tlsPrivateKeyFile",
  "topology-manager-policy": "topologyManagerPolicy",
  "topology-manager-policy-options": "topologyManagerPolicyOptions",
  "topology-manager-scope": "topologyManagerScope",
  "volume-plugin-dir": "volumePluginDir",
  "volume-stats-agg-period": "volumeStatsAggPeriod",
} as const;

export type ConfigurationFlag = keyof typeof paths;

const pairs = (separator: string, read: (text: string) => unknown): FlagType<unknown> => ({
  placeholder: `key${separator}value,…`,
  parse(written, previous) {
    const entries = written.split(",").filter((pair) => pair.trim() !== "");
    const values = entries.map((pair) => {
      const at = pair.indexOf(separator);
      if (at <= 0) throw new Error(`expected key${separator}value, not ${JSON.stringify(pair)}`);
      return [pair.slice(0, at).trim(), read(pair.slice(at + 1).trim())] as const;
    });
    return { ...(previous as object | undefined), ...Object.fromEntries(values) };
  },
});

function onOrOff(written: string): boolean {
  if (/^(1|t|true)$/i.test(written)) return true;
  if (/^(0|f|false)$/i.test(written)) return false;
  throw new Error(`expected true or false, not ${JSON.stringify(written)}`);
}

const durationText: FlagType<unknown> = {
  placeholder: "duration",
  parse(written) {
    const ms = parseDuration(written);
    if (ms === undefined) throw new Error('expected a duration such as "30s" or "1h15m"');
    return goDuration(ms);
  },
};

const types: Readonly<Record<FieldKind, FlagType<unknown>>> = {
  boolean: boolean as FlagType<unknown>,
  integer: integer() as FlagType<unknown>,
  number: integer() as FlagType<unknown>,
  text: { placeholder: "string", parse: (written) => written },
  duration: durationText,
  texts: list as FlagType<unknown>,
  textMap: pairs("=", (written) => written),
  booleanMap: pairs("=", onOrOff),
  other: { placeholder: "string", parse: (written) => written },
};

const thresholds = new Set<string>(["eviction-hard", "eviction-soft"]);

function flagOf(name: string, path: string): Flag<unknown> {
  const { kind, effect } = fieldAt(path);
  const type = thresholds.has(name) ? pairs("<", (written) => written) : types[kind];
  const help = `field ${path} of the configuration${effect === "none" ? "; without effect here" : ""}`;
  return flag<unknown>(type, undefined, help);
}

function fieldAt(path: string): Field<unknown> {
  const [first = "", ...rest] = path.split(".");
  let field = (kubeletFields as FieldTable)[first];
  for (const name of rest) field = field?.nested?.[name];
  if (!field) throw new Error(`the kubelet's configuration has no field ${path}`);
  return field;
}

export const configurationFlags = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, flagOf(name, path)])) as Readonly<
  Record<ConfigurationFlag, Flag<unknown>>
>; // Object.fromEntries loses the names

/** Values of the flags that were given, by the path of their field. */
export function configurationFlagValues(
  values: Readonly<Record<ConfigurationFlag, unknown>>,
  given: ReadonlySet<string>,
): ReadonlyMap<string, unknown> {
  const entries = (Object.entries(paths) as [ConfigurationFlag, string][]).filter(([name]) => given.has(name));
  return new Map(entries.map(([name, path]) => [path, values[name]]));
}

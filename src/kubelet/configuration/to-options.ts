// From a KubeletConfiguration to the kubelet's own options. Where the two have a field of one name it means the same;
// durations become milliseconds and sizes bytes.
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { MemoryReservationPolicy } from "../containers/memory-qos.ts";
import type { KubeletOptions } from "../options.ts";
import type { VerificationPolicy } from "../pulls/pull-verification.ts";
import { durationMs } from "./field.ts";
import type { KubeletConfiguration } from "./kubelet-configuration.ts";
import { protectionOptionsOf } from "./protection-options.ts";

/** Of upstream's default several pulls at a time are left: image stores have been safe for that for years. */
const defaultParallelPulls = 5;
const defaultResolvConf = "/etc/resolv.conf";
const unlimitedPulls = 1_000;

export function optionsOfConfiguration(c: KubeletConfiguration): Partial<KubeletOptions> {
  const { cpuManagerPolicy, cpuManagerPolicyOptions, reservedSystemCPUs, memoryManagerPolicy, reservedMemory } = c;
  const { topologyManagerPolicy, topologyManagerScope, topologyManagerPolicyOptions } = c;
  const { maxPods, podsPerCore, podPidsLimit, registerNode, providerID, nodeLeaseDurationSeconds, nodeStatusMaxImages } = c;
  return {
    ...{ maxPods, podsPerCore, podPidsLimit, registerNode, providerID, nodeLeaseDurationSeconds, nodeStatusMaxImages },
    taints: c.registerWithTaints.map(({ key, value, effect }) => ({ key, effect, ...(value ? { value } : {}) })),
    // What is not said leaves the choice to whoever starts the node.
    ...(c.clusterDNS.length === 0 ? {} : { clusterDns: c.clusterDNS }),
    ...(c.resolvConf === defaultResolvConf ? {} : { resolvConf: c.resolvConf }),
    ...(c.clusterDomain === "" ? {} : { clusterDomain: c.clusterDomain }),
    ...(c.staticPodPath === "" ? {} : { podManifestPath: c.staticPodPath }),
    ...(c.podLogsDir === "" ? {} : { logsDirectory: c.podLogsDir }),
    ...(c.tracing ? { tracing: { ...c.tracing, endpoint: c.tracing.endpoint || undefined } } : {}),
    ...{ seccompDefault: c.seccompDefault, cgroupsPerQOS: c.cgroupsPerQOS },
    ...(c.singleProcessOOMKill === undefined ? {} : { singleProcessOOMKill: c.singleProcessOOMKill }),
    ...(c.userNamespaces?.idsPerPod === undefined ? {} : { userNamespaceIdsPerPod: c.userNamespaces.idsPerPod }),
    ...{ systemReservedCgroup: c.systemReservedCgroup, kubeReservedCgroup: c.kubeReservedCgroup },
    ...{ kubeletCgroups: c.kubeletCgroups, systemCgroups: c.systemCgroups, qosReserved: c.qosReserved },
    enableControllerAttachDetach: c.enableControllerAttachDetach,
    nodeStatusUpdateFrequencyMs: durationMs(c.nodeStatusUpdateFrequency),
    nodeStatusReportFrequencyMs: durationMs(c.nodeStatusReportFrequency),
    fileCheckFrequencyMs: durationMs(c.fileCheckFrequency),
    ...(c.staticPodURL === "" ? {} : { staticPodURL: c.staticPodURL, staticPodURLHeader: c.staticPodURLHeader }),
    httpCheckFrequencyMs: durationMs(c.httpCheckFrequency),
    ...(c.crashLoopBackOff.maxContainerRestartPeriod === undefined
      ? {}
      : { maxContainerRestartPeriodMs: durationMs(c.crashLoopBackOff.maxContainerRestartPeriod) }),
    ...{ cpuCFSQuota: c.cpuCFSQuota, cpuCFSQuotaPeriodMs: durationMs(c.cpuCFSQuotaPeriod) },
    ...{ memoryThrottlingFactor: c.memoryThrottlingFactor, memoryReservationPolicy: c.memoryReservationPolicy as MemoryReservationPolicy },
    containerLogMaxBytes: parseQuantity(c.containerLogMaxSize).value(),
    containerLogMaxFiles: c.containerLogMaxFiles,
    containerLogMonitorIntervalMs: durationMs(c.containerLogMonitorInterval),
    maxParallelImagePulls: parallelPulls(c),
    ...{ registryPullQPS: c.registryPullQPS, registryBurst: c.registryBurst },
    // Validation has seen that it is one of them.
    imagePullCredentialsVerificationPolicy: c.imagePullCredentialsVerificationPolicy as VerificationPolicy,
    preloadedImagesVerificationAllowlist: c.preloadedImagesVerificationAllowlist,
    swapBehavior: c.memorySwap.swapBehavior === "LimitedSwap" ? "LimitedSwap" : "NoSwap",
    volumeStatsAggPeriodMs: durationMs(c.volumeStatsAggPeriod),
    ...{ cpuManagerPolicy, cpuManagerPolicyOptions, reservedSystemCPUs, memoryManagerPolicy, reservedMemory },
    ...{ topologyManagerPolicy, topologyManagerScope, topologyManagerPolicyOptions },
    featureGates: c.featureGates,
    cpuManagerReconcilePeriodMs: durationMs(c.cpuManagerReconcilePeriod),
    ...protectionOptionsOf(c),
  };
}

function parallelPulls({ serializeImagePulls, maxParallelImagePulls }: KubeletConfiguration): number {
  if (serializeImagePulls === true) return 1;
  if (maxParallelImagePulls !== undefined) return maxParallelImagePulls;
  return serializeImagePulls === false ? unlimitedPulls : defaultParallelPulls;
}

// What a kubelet can be told, with upstream's names and defaults.
import { join } from "node:path";
import type { Taint } from "../api/types/core-v1.ts";
import { kubernetesVersion } from "../base/version.ts";
import type { PressureThresholds } from "./node-pressure.ts";

export interface KubeletOptions {
  readonly nodeName: string;
  /** --root-dir: pods' volumes and files. */
  readonly rootDirectory: string;
  /** Default <rootDirectory>/logs. Not shared with other kubelets: what belongs to no pod of this node is removed. */
  readonly logsDirectory?: string;
  /** kubernetes.io/hostname and the Hostname address. Default the node's name. */
  readonly hostname?: string;
  /** InternalIP addresses, first the primary one. Default: the machine's. */
  readonly nodeIPs?: readonly string[];
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
  /** How often the directory of static pods is read besides its changes. Default 20 s. */
  readonly fileCheckFrequencyMs?: number;
  /** Where static pods are described, besides. Default nowhere. */
  readonly staticPodURL?: string;
  readonly staticPodURLHeader?: Readonly<Record<string, readonly string[]>>;
  /** How often that is asked for. Default 20 s. */
  readonly httpCheckFrequencyMs?: number;
  /** The longest delay between restarts of a container that keeps ending. Default 5 min. */
  readonly maxContainerRestartPeriodMs?: number;
  /** The size at which a container's log is moved aside. Default 10 MiB. */
  readonly containerLogMaxBytes?: number;
  /** Files of one container's log. Default 5. */
  readonly containerLogMaxFiles?: number;
  /** Default 10 s. */
  readonly containerLogMonitorIntervalMs?: number;
  /** Whether containers may use swap, where there is any. Default "NoSwap". */
  readonly swapBehavior?: "NoSwap" | "LimitedSwap";
  /** "pods": all pods together are limited to what is not reserved. Default that. */
  readonly enforceNodeAllocatable?: readonly string[];
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
  /** --seccomp-default. */
  readonly seccompDefault?: boolean;
  /** Kept from pods beside the eviction threshold. Default none. */
  readonly reservedMemoryBytes?: number;
  readonly reservedMilliCpu?: number;
  readonly evictionHard?: PressureThresholds;
  /** Pretend to have these: for simulated nodes. */
  readonly capacity?: { readonly cpus?: number; readonly memoryBytes?: number };
  /** Default 5. */
  readonly maxParallelImagePulls?: number;
  /** Version reported for the node. */
  readonly kubeletVersion?: string;
  /** stop() also stops the pods. Default false: they run on, as upstream's do. */
  readonly stopPodsOnExit?: boolean;
}

export interface ResolvedOptions extends Required<Omit<KubeletOptions, "nodeIPs" | "podManifestPath" | "capacity">> {
  readonly nodeIPs?: readonly string[];
  readonly podManifestPath?: string;
  readonly capacity?: KubeletOptions["capacity"];
  /** <root>/pods. */
  readonly podsDirectory: string;
}

const evictionMemoryBytes = 100 * 2 ** 20;

export function resolveOptions(options: KubeletOptions): ResolvedOptions {
  if (options.nodeName === "") throw new Error("kubelet options: nodeName must not be empty");
  if (!options.rootDirectory.startsWith("/"))
    throw new Error(`kubelet options: rootDirectory must be absolute, not "${options.rootDirectory}"`);
  const podsDirectory = join(options.rootDirectory, "pods");
  return {
    logsDirectory: join(options.rootDirectory, "logs"),
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
    fileCheckFrequencyMs: 20_000,
    staticPodURL: "",
    staticPodURLHeader: {},
    httpCheckFrequencyMs: 20_000,
    maxContainerRestartPeriodMs: 300_000,
    containerLogMaxBytes: 10 * 2 ** 20,
    containerLogMaxFiles: 5,
    containerLogMonitorIntervalMs: 10_000,
    swapBehavior: "NoSwap",
    enforceNodeAllocatable: ["pods"],
    port: 10_250,
    clusterDns: [],
    clusterDomain: "cluster.local",
    resolvConf: "/etc/resolv.conf",
    seccompDefault: false,
    reservedMemoryBytes: 0,
    reservedMilliCpu: 0,
    evictionHard: { memoryBytes: evictionMemoryBytes },
    maxParallelImagePulls: 5,
    kubeletVersion: kubernetesVersion,
    stopPodsOnExit: false,
    ...options,
    podsDirectory,
  };
}

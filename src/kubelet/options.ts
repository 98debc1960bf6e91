// What a kubelet can be told, with upstream's names and defaults.
import { join } from "node:path";
import type { Taint } from "../api/types/core-v1.ts";
import { kubernetesVersion } from "../base/version.ts";
import type { PressureThresholds } from "./node-pressure.ts";
import type { VerificationPolicy } from "./pulls/pull-verification.ts";

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
  /** The longest time between restarts of a container that keeps failing (crashLoopBackOff.maxContainerRestartPeriod). Default 300 s. */
  readonly maxContainerRestartPeriodMs?: number;
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

export interface ResolvedOptions extends Required<Omit<KubeletOptions, "nodeIPs" | "podManifestPath" | "staticPodURL" | "capacity">> {
  readonly nodeIPs?: readonly string[];
  readonly podManifestPath?: string;
  readonly staticPodURL?: string;
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
    port: 10_250,
    clusterDns: [],
    clusterDomain: "cluster.local",
    resolvConf: "/etc/resolv.conf",
    fileCheckFrequencyMs: 20_000,
    staticPodURLHeader: {},
    httpCheckFrequencyMs: 20_000,
    maxContainerRestartPeriodMs: 300_000,
    allowedUnsafeSysctls: [],
    registryPullQPS: 0,
    registryBurst: 10,
    imagePullCredentialsVerificationPolicy: "NeverVerifyPreloadedImages",
    preloadedImagesVerificationAllowlist: [],
    imageCredentialProviderConfig: "",
    imageCredentialProviderBinDir: "",
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

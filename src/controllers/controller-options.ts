// Options of the controllers, with upstream's names, defaults and units.
import type { KeyedCertificate } from "../base/x509/certificate.ts";
import type { AutoscalerOptions } from "./autoscaling/autoscaler-options.ts";
import type { EvictionRates } from "./node-lifecycle/zone-eviction.ts";
import type { ProvisioningSettings } from "./volume-binding/plan-binding.ts";
import type { RecyclerOptions } from "./volume-binding/recycler-pod.ts";

/** Of claims and volumes. */
export interface VolumeOptions {
  /** How often what waits is looked at again. Default 15 s. */
  readonly syncPeriodMs?: number;
  readonly provisioning?: ProvisioningSettings;
  /** Of the pods that empty volumes of the policy Recycle. */
  readonly recycler?: RecyclerOptions;
}

/** Of services' endpoints. Batches: changes of pods and Endpoints are gathered for so long. Default 0. */
export interface EndpointOptions {
  /** Default 100. */
  readonly maxPerSlice?: number;
  /** Default 1,000. */
  readonly maxMirroredPerSubset?: number;
  readonly batchMs?: number;
  readonly sliceBatchMs?: number;
  readonly mirroringBatchMs?: number;
}

export interface ControllerOptions {
  /** PEM bundle published in every namespace as kube-root-ca.crt; without it the publisher does not run. */
  readonly rootCaPem?: string;
  /** Ranges from which nodes get theirs, at most one of each family. Default 10.244.0.0/16; empty: no allocation. */
  readonly clusterCidrs?: readonly string[];
  /** Ranges of services, which no node gets where they lie in one of those. */
  readonly serviceCidrs?: readonly string[];
  /** Default 24. */
  readonly nodeCidrMaskSizeIpv4?: number;
  /** Default 64. */
  readonly nodeCidrMaskSizeIpv6?: number;
  /** A node whose lease has not been renewed for so long is unknown. Default 50 s. */
  readonly nodeMonitorGracePeriodMs?: number;
  /** The same before the node has reported for the first time. Default 60 s. */
  readonly nodeStartupGracePeriodMs?: number;
  /** How often nodes are looked at. Default 5 s. */
  readonly nodeMonitorPeriodMs?: number;
  /** Ended pods that are kept. Default 12,500. */
  readonly terminatedPodGcThreshold?: number;
  /** The authority that signs certificate signing requests; without it none is signed. */
  readonly clusterSigning?: KeyedCertificate;
  /** Other authorities for single signers, by the signer's name. */
  readonly clusterSigningFor?: Readonly<Record<string, KeyedCertificate>>;
  /** The longest that a signed certificate is valid. Default a year. */
  readonly clusterSigningDurationMs?: number;
  /** Of the horizontal pod autoscaler. */
  readonly autoscaler?: Partial<AutoscalerOptions>;
  readonly volumes?: VolumeOptions;
  readonly endpoints?: EndpointOptions;
  /** Whether volumes are detached from nodes that are down for too long. Default true. */
  readonly forceDetachOnTimeout?: boolean;
  /** How often all quotas are counted anew. Default 5 minutes. */
  readonly resourceQuotaSyncPeriodMs?: number;
  /** Keys worked on at a time, by the controller's name. */
  readonly concurrency?: Readonly<Record<string, number>>;
  /** How fast the pods of nodes that are down are evicted. */
  readonly evictionRates?: Partial<EvictionRates>;
  /** Tokens of service accounts that lie in secrets and have not been used for so long are deleted. Default a year. */
  readonly legacyTokenCleanUpPeriodMs?: number;
}

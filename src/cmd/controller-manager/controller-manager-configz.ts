// The KubeControllerManagerConfiguration that /configz shows: what the flags come to, in upstream's fields. Those that nothing
// here looks at have upstream's defaults.
import { formatDuration } from "../../base/duration.ts";
import type { ControllerManagerValues } from "./controller-manager-options.ts";

type Config = Readonly<Record<string, unknown>>;

export function controllerManagerConfiguration(values: ControllerManagerValues): Config {
  return {
    kind: "KubeControllerManagerConfiguration",
    apiVersion: "kubecontrollermanager.config.k8s.io/v1alpha1",
    Generic: genericSettings(values),
    KubeCloudShared: sharedSettings(values),
    AttachDetachController: {
      DisableAttachDetachReconcilerSync: false,
      ReconcilerSyncLoopPeriod: "1m0s",
      disableForceDetachOnTimeout: values["disable-force-detach-on-timeout"],
    },
    ...workloadSettings(values),
    ...clusterSettings(values),
    PersistentVolumeBinderController: volumeSettings(values),
    CSRSigningController: signingSettings(values),
  };
}

function genericSettings(values: ControllerManagerValues): Config {
  return {
    Port: 0,
    Address: "0.0.0.0",
    MinResyncPeriod: "12h0m0s",
    ClientConnection: { kubeconfig: values.kubeconfig ?? "", acceptContentTypes: "", contentType: "application/json", qps: 20, burst: 30 },
    ControllerStartInterval: "0s",
    LeaderElection: {
      leaderElect: values["leader-elect"],
      leaseDuration: formatDuration(values["leader-elect-lease-duration"]),
      renewDeadline: formatDuration(values["leader-elect-renew-deadline"]),
      retryPeriod: formatDuration(values["leader-elect-retry-period"]),
      resourceLock: "leases",
      resourceName: values["leader-elect-resource-name"],
      resourceNamespace: values["leader-elect-resource-namespace"],
    },
    Controllers: values.controllers,
    Debugging: { enableProfiling: false, enableContentionProfiling: false },
    LeaderMigrationEnabled: false,
    LeaderMigration: { leaderName: "", resourceLock: "", controllerLeaders: null },
  };
}

function sharedSettings(values: ControllerManagerValues): Config {
  return {
    CloudProvider: { Name: "", CloudConfigFile: "" },
    ExternalCloudVolumePlugin: "",
    UseServiceAccountCredentials: values["use-service-account-credentials"],
    AllowUntaggedCloud: false,
    RouteReconciliationPeriod: "10s",
    NodeMonitorPeriod: formatDuration(values["node-monitor-period"]),
    ClusterName: "kubernetes",
    ClusterCIDR: values["cluster-cidr"].join(","),
    AllocateNodeCIDRs: values["allocate-node-cidrs"],
    CIDRAllocatorType: "RangeAllocator",
    ConfigureCloudRoutes: true,
    NodeSyncPeriod: "0s",
  };
}

function workloadSettings(values: ControllerManagerValues): Config {
  return {
    DaemonSetController: { ConcurrentDaemonSetSyncs: values["concurrent-daemonset-syncs"] },
    DeploymentController: { ConcurrentDeploymentSyncs: values["concurrent-deployment-syncs"] },
    StatefulSetController: { ConcurrentStatefulSetSyncs: values["concurrent-statefulset-syncs"] },
    DeprecatedController: {},
    HPAController: {
      ConcurrentHorizontalPodAutoscalerSyncs: values["concurrent-horizontal-pod-autoscaler-syncs"],
      HorizontalPodAutoscalerSyncPeriod: formatDuration(values["horizontal-pod-autoscaler-sync-period"]),
      HorizontalPodAutoscalerDownscaleStabilizationWindow: formatDuration(values["horizontal-pod-autoscaler-downscale-stabilization"]),
      HorizontalPodAutoscalerTolerance: values["horizontal-pod-autoscaler-tolerance"],
      HorizontalPodAutoscalerCPUInitializationPeriod: formatDuration(values["horizontal-pod-autoscaler-cpu-initialization-period"]),
      HorizontalPodAutoscalerInitialReadinessDelay: formatDuration(values["horizontal-pod-autoscaler-initial-readiness-delay"]),
    },
    JobController: { ConcurrentJobSyncs: values["concurrent-job-syncs"] },
    CronJobController: { ConcurrentCronJobSyncs: values["concurrent-cron-job-syncs"] },
    PodGCController: { TerminatedPodGCThreshold: values["terminated-pod-gc-threshold"] },
    ReplicaSetController: { ConcurrentRSSyncs: values["concurrent-replicaset-syncs"] },
    ReplicationController: { ConcurrentRCSyncs: values["concurrent-rc-syncs"] },
    TTLAfterFinishedController: { ConcurrentTTLSyncs: values["concurrent-ttl-after-finished-syncs"] },
    DeviceTaintEvictionController: { ConcurrentSyncs: values["concurrent-device-taint-eviction-syncs"] },
    ResourceClaimController: { ConcurrentSyncs: values["concurrent-resourceclaim-syncs"] },
  };
}

function clusterSettings(values: ControllerManagerValues): Config {
  const [service = "", secondService = ""] = values["service-cluster-ip-range"];
  return {
    EndpointController: {
      ConcurrentEndpointSyncs: values["concurrent-endpoint-syncs"],
      EndpointUpdatesBatchPeriod: formatDuration(values["endpoint-updates-batch-period"]),
    },
    EndpointSliceController: {
      ConcurrentServiceEndpointSyncs: values["concurrent-service-endpoint-syncs"],
      MaxEndpointsPerSlice: values["max-endpoints-per-slice"],
      EndpointUpdatesBatchPeriod: formatDuration(values["endpointslice-updates-batch-period"]),
    },
    EndpointSliceMirroringController: {
      MirroringConcurrentServiceEndpointSyncs: values["mirroring-concurrent-service-endpoint-syncs"],
      MirroringMaxEndpointsPerSubset: values["mirroring-max-endpoints-per-subset"],
      MirroringEndpointUpdatesBatchPeriod: formatDuration(values["mirroring-endpointslice-updates-batch-period"]),
    },
    EphemeralVolumeController: { ConcurrentEphemeralVolumeSyncs: values["concurrent-ephemeralvolume-syncs"] },
    GarbageCollectorController: {
      EnableGarbageCollector: true,
      ConcurrentGCSyncs: values["concurrent-gc-syncs"],
      GCIgnoredResources: [
        { Group: "", Resource: "events" },
        { Group: "events.k8s.io", Resource: "events" },
      ],
    },
    LegacySATokenCleaner: { CleanUpPeriod: formatDuration(values["legacy-service-account-token-clean-up-period"]) },
    NamespaceController: { NamespaceSyncPeriod: "5m0s", ConcurrentNamespaceSyncs: values["concurrent-namespace-syncs"] },
    NodeIPAMController: {
      ServiceCIDR: service,
      SecondaryServiceCIDR: secondService,
      NodeCIDRMaskSize: values["node-cidr-mask-size"],
      NodeCIDRMaskSizeIPv4: values["node-cidr-mask-size-ipv4"],
      NodeCIDRMaskSizeIPv6: values["node-cidr-mask-size-ipv6"],
    },
    NodeLifecycleController: {
      NodeEvictionRate: values["node-eviction-rate"],
      SecondaryNodeEvictionRate: values["secondary-node-eviction-rate"],
      NodeStartupGracePeriod: formatDuration(values["node-startup-grace-period"]),
      NodeMonitorGracePeriod: formatDuration(values["node-monitor-grace-period"]),
      PodEvictionTimeout: "0s",
      LargeClusterSizeThreshold: values["large-cluster-size-threshold"],
      UnhealthyZoneThreshold: values["unhealthy-zone-threshold"],
    },
    ResourceQuotaController: {
      ResourceQuotaSyncPeriod: formatDuration(values["resource-quota-sync-period"]),
      ConcurrentResourceQuotaSyncs: values["concurrent-resource-quota-syncs"],
    },
    SAController: {
      ServiceAccountKeyFile: "",
      ConcurrentSATokenSyncs: values["concurrent-serviceaccount-token-syncs"],
      RootCAFile: values["root-ca-file"] ?? "",
    },
    ServiceController: { ConcurrentServiceSyncs: 1 },
    ValidatingAdmissionPolicyStatusController: { ConcurrentPolicySyncs: values["concurrent-validating-admission-policy-status-syncs"] },
  };
}

function volumeSettings(values: ControllerManagerValues): Config {
  return {
    PVClaimBinderSyncPeriod: formatDuration(values["pvclaimbinder-sync-period"]),
    VolumeConfiguration: {
      EnableHostPathProvisioning: values["enable-hostpath-provisioner"],
      EnableDynamicProvisioning: values["enable-dynamic-provisioning"],
      PersistentVolumeRecyclerConfiguration: {
        MaximumRetry: 3,
        MinimumTimeoutNFS: values["pv-recycler-minimum-timeout-nfs"],
        PodTemplateFilePathNFS: values["pv-recycler-pod-template-filepath-nfs"] ?? "",
        IncrementTimeoutNFS: values["pv-recycler-increment-timeout-nfs"],
        PodTemplateFilePathHostPath: values["pv-recycler-pod-template-filepath-hostpath"] ?? "",
        MinimumTimeoutHostPath: values["pv-recycler-minimum-timeout-hostpath"],
        IncrementTimeoutHostPath: values["pv-recycler-timeout-increment-hostpath"],
      },
      FlexVolumePluginDir: "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/",
    },
  };
}

function signingSettings(values: ControllerManagerValues): Config {
  const pair = (name: "kubelet-serving" | "kubelet-client" | "kube-apiserver-client" | "legacy-unknown"): Config => ({
    CertFile: values[`cluster-signing-${name}-cert-file`] ?? "",
    KeyFile: values[`cluster-signing-${name}-key-file`] ?? "",
  });
  return {
    ClusterSigningCertFile: values["cluster-signing-cert-file"] ?? "",
    ClusterSigningKeyFile: values["cluster-signing-key-file"] ?? "",
    KubeletServingSignerConfiguration: pair("kubelet-serving"),
    KubeletClientSignerConfiguration: pair("kubelet-client"),
    KubeAPIServerClientSignerConfiguration: pair("kube-apiserver-client"),
    LegacyUnknownSignerConfiguration: pair("legacy-unknown"),
    ClusterSigningDuration: formatDuration(values["cluster-signing-duration"]),
  };
}

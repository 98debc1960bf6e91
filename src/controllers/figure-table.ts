// The figures of single controllers: upstream's names, labels, buckets and levels of stability.

export interface Described {
  readonly help: string;
  readonly labels?: readonly string[];
}

const reconciliation = "by what was done (scale_up, scale_down, none) and what went wrong (spec, internal, none)";

export const counters = {
  endpoint_slice_controller_changes: { help: "[ALPHA] Number of EndpointSlice changes", labels: ["operation"] },
  endpoint_slice_controller_syncs: { help: "[ALPHA] Number of EndpointSlice syncs", labels: ["result"] },
  endpoint_slice_mirroring_controller_changes: { help: "[ALPHA] Number of EndpointSlice changes", labels: ["operation"] },
  ephemeral_volume_controller_create_total: { help: "[ALPHA] Number of PersistentVolumeClaim creation requests" },
  ephemeral_volume_controller_create_failures_total: { help: "[ALPHA] Number of PersistentVolumeClaim creation requests that failed" },
  garbagecollector_controller_resources_sync_error_total: { help: "[ALPHA] Number of garbage collector resources sync errors" },
  horizontal_pod_autoscaler_controller_metric_computation_total: {
    help: `[BETA] Number of metric computations, ${reconciliation}`,
    labels: ["action", "error", "metric_type"],
  },
  horizontal_pod_autoscaler_controller_reconciliations_total: {
    help: `[BETA] Number of reconciliations of HPA controller, ${reconciliation}`,
    labels: ["action", "error"],
  },
  job_controller_job_finished_indexes_total: { help: "[BETA] The number of finished indexes", labels: ["status", "backoffLimit"] },
  job_controller_job_pods_creation_total: {
    help: "[ALPHA] The number of Pods created by the Job controller, by why and with what success",
    labels: ["reason", "status"],
  },
  job_controller_job_pods_finished_total: {
    help: "[STABLE] The number of finished Pods that are fully tracked",
    labels: ["completion_mode", "result"],
  },
  job_controller_job_syncs_total: { help: "[STABLE] The number of job syncs", labels: ["completion_mode", "result", "action"] },
  job_controller_jobs_by_external_controller_total: {
    help: "[ALPHA] The number of Jobs managed by an external controller",
    labels: ["controller_name"],
  },
  job_controller_jobs_finished_total: { help: "[STABLE] The number of finished jobs", labels: ["completion_mode", "result", "reason"] },
  job_controller_terminated_pods_tracking_finalizer_total: {
    help: "[BETA] The number of terminated pods that have (add) or no longer have (delete) the finalizer by which they are tracked",
    labels: ["event"],
  },
  node_collector_evictions_total: {
    help: "[STABLE] Number of Node evictions that happened since current instance of NodeController started.",
    labels: ["zone"],
  },
  node_ipam_controller_cidrset_cidrs_allocations_total: {
    help: "[ALPHA] Counter measuring total number of CIDR allocations.",
    labels: ["clusterCIDR"],
  },
  node_ipam_controller_cidrset_cidrs_releases_total: {
    help: "[ALPHA] Counter measuring total number of CIDR releases.",
    labels: ["clusterCIDR"],
  },
  pod_gc_collector_force_delete_pods_total: {
    help: "[ALPHA] Number of pods that are being forcefully deleted since the Pod GC Controller started.",
    labels: ["namespace", "reason"],
  },
  pod_gc_collector_force_delete_pod_errors_total: {
    help: "[ALPHA] Number of errors encountered when forcefully deleting the pods since the Pod GC Controller started.",
    labels: ["namespace", "reason"],
  },
  retroactive_storageclass_total: {
    help: "[ALPHA] Total number of retroactive StorageClass assignments to persistent volume claim",
  },
  retroactive_storageclass_errors_total: {
    help: "[ALPHA] Total number of failed retroactive StorageClass assignments to persistent volume claim",
  },
  root_ca_cert_publisher_sync_total: {
    help: "[ALPHA] Number of namespace syncs happened in root ca cert publisher.",
    labels: ["code"],
  },
  taint_eviction_controller_pod_deletions_total: {
    help: "[ALPHA] Total number of Pods deleted by TaintEvictionController since its start.",
  },
} as const satisfies Readonly<Record<string, Described>>;

const growing = (from: number, factor: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => Number((from * factor ** i).toPrecision(12)));
const doubling = (from: number, count: number): readonly number[] => growing(from, 2, count);
const evictionBuckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240];

export const histograms = {
  cronjob_controller_job_creation_skew_duration_seconds: {
    help: "[STABLE] Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
    buckets: doubling(1, 10),
  },
  endpoint_slice_controller_endpoints_added_per_sync: {
    help: "[BETA] Number of endpoints added on each Service sync",
    buckets: doubling(2, 15),
  },
  endpoint_slice_controller_endpoints_removed_per_sync: {
    help: "[BETA] Number of endpoints removed on each Service sync",
    buckets: doubling(2, 15),
  },
  endpoint_slice_mirroring_controller_addresses_skipped_per_sync: {
    help: "[ALPHA] Number of addresses skipped on each Endpoints sync due to being invalid or exceeding MaxEndpointsPerSubset",
    buckets: doubling(2, 15),
  },
  endpoint_slice_mirroring_controller_endpoints_added_per_sync: {
    help: "[ALPHA] Number of endpoints added on each Endpoints sync",
    buckets: doubling(2, 15),
  },
  endpoint_slice_mirroring_controller_endpoints_removed_per_sync: {
    help: "[ALPHA] Number of endpoints removed on each Endpoints sync",
    buckets: doubling(2, 15),
  },
  endpoint_slice_mirroring_controller_endpoints_sync_duration: {
    help: "[ALPHA] Duration of syncEndpoints() in seconds",
    buckets: doubling(0.001, 15),
  },
  horizontal_pod_autoscaler_controller_metric_computation_duration_seconds: {
    help: `[BETA] The time(seconds) that the HPA controller takes to calculate one metric, ${reconciliation}`,
    labels: ["action", "error", "metric_type"],
    buckets: doubling(0.001, 15),
  },
  horizontal_pod_autoscaler_controller_reconciliation_duration_seconds: {
    help: `[BETA] The time(seconds) that the HPA controller takes to reconcile once, ${reconciliation}`,
    labels: ["action", "error"],
    buckets: doubling(0.001, 15),
  },
  job_controller_job_sync_duration_seconds: {
    help: "[STABLE] The time it took to sync a job",
    labels: ["completion_mode", "result", "action"],
    buckets: doubling(0.004, 15),
  },
  node_collector_update_all_nodes_health_duration_seconds: {
    help: "[ALPHA] Duration in seconds for NodeController to update the health of all nodes.",
    buckets: growing(0.01, 4, 8),
  },
  node_collector_update_node_health_duration_seconds: {
    help: "[ALPHA] Duration in seconds for NodeController to update the health of a single node.",
    buckets: growing(0.001, 4, 8),
  },
  node_ipam_controller_cidrset_allocation_tries_per_request: {
    help: "[ALPHA] Number of CIDRs that were taken already, for each that was given out",
    labels: ["clusterCIDR"],
    buckets: growing(1, 5, 5),
  },
  replicaset_controller_sorting_deletion_age_ratio: {
    help: "[ALPHA] The ratio of chosen deleted pod's ages to the current youngest pod's age (at the time). Should be <2.",
    buckets: doubling(0.25, 6),
  },
  root_ca_cert_publisher_sync_duration_seconds: {
    help: "[ALPHA] How long a namespace sync of the root ca cert publisher takes.",
    labels: ["code"],
    buckets: doubling(0.001, 15),
  },
  taint_eviction_controller_pod_deletion_duration_seconds: {
    help: "[ALPHA] Latency, in seconds, between the time when a taint effect has been activated for the Pod and its deletion via TaintEvictionController.",
    buckets: evictionBuckets,
  },
  ttl_after_finished_controller_job_deletion_duration_seconds: {
    help: "[ALPHA] The time it took to delete the job since it became eligible for deletion",
    buckets: doubling(0.1, 14),
  },
} as const satisfies Readonly<Record<string, Described & { readonly buckets: readonly number[] }>>;

const setLabels = ["statefulset_namespace", "statefulset_name", "pod_management_policy"];
const claimLabels = ["namespace", "storage_class", "volume_attributes_class"];

export const gauges = {
  endpoint_slice_controller_desired_endpoint_slices: {
    help: "[BETA] Number of EndpointSlices that would exist with perfect endpoint allocation",
  },
  endpoint_slice_controller_endpoints_desired: { help: "[BETA] Number of endpoints desired" },
  endpoint_slice_controller_num_endpoint_slices: { help: "[BETA] Number of EndpointSlices" },
  endpoint_slice_controller_services_count_by_traffic_distribution: {
    help: "[BETA] Number of Services using some specific trafficDistribution",
    labels: ["traffic_distribution"],
  },
  endpoint_slice_mirroring_controller_endpoints_desired: { help: "[ALPHA] Number of endpoints desired" },
  endpoint_slice_mirroring_controller_num_endpoint_slices: { help: "[ALPHA] Number of EndpointSlices" },
  horizontal_pod_autoscaler_controller_desired_replicas: {
    help: "[ALPHA] Current desired replica count for HPA objects.",
    labels: ["namespace", "hpa_name"],
  },
  horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers: { help: "[ALPHA] Current number of controlled HPA objects." },
  node_collector_unhealthy_nodes_in_zone: { help: "[ALPHA] Gauge measuring number of not Ready Nodes per zones.", labels: ["zone"] },
  node_collector_zone_health: { help: "[ALPHA] Gauge measuring percentage of healthy nodes per zone.", labels: ["zone"] },
  node_collector_zone_size: { help: "[ALPHA] Gauge measuring number of registered Nodes per zones.", labels: ["zone"] },
  node_ipam_controller_cidrset_usage_cidrs: { help: "[ALPHA] Gauge measuring percentage of allocated CIDRs.", labels: ["clusterCIDR"] },
  node_ipam_controller_cirdset_max_cidrs: { help: "[ALPHA] Maximum number of CIDRs that can be allocated.", labels: ["clusterCIDR"] },
  pv_collector_bound_pv_count: { help: "[ALPHA] Gauge measuring number of persistent volume currently bound", labels: ["storage_class"] },
  pv_collector_bound_pvc_count: { help: "[ALPHA] Gauge measuring number of persistent volume claim currently bound", labels: claimLabels },
  pv_collector_total_pv_count: {
    help: "[ALPHA] Gauge measuring total number of persistent volumes",
    labels: ["plugin_name", "volume_mode"],
  },
  pv_collector_unbound_pv_count: {
    help: "[ALPHA] Gauge measuring number of persistent volume currently unbound",
    labels: ["storage_class"],
  },
  pv_collector_unbound_pvc_count: {
    help: "[ALPHA] Gauge measuring number of persistent volume claim currently unbound",
    labels: claimLabels,
  },
  statefulset_controller_statefulset_max_unavailable: {
    help: "[ALPHA] Maximum number of unavailable pods allowed during StatefulSet rolling updates",
    labels: setLabels,
  },
  statefulset_controller_statefulset_unavailable_replicas: {
    help: "[ALPHA] Current number of unavailable pods in StatefulSet",
    labels: setLabels,
  },
} as const satisfies Readonly<Record<string, Described>>;

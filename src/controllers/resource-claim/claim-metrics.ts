// Figures about claims under upstream's names: how many were made from templates, how many there are in which state, and
// pods that were deleted because of taints of their devices.
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import type { Family, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

const deletionBuckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240];

export class ClaimMetrics {
  readonly #creates: Family<Series>;
  readonly #deletions: Series;
  readonly #deletionTimes: HistogramSeries;
  #claims: () => Iterable<ResourceClaim> = () => [];

  constructor(registry: MetricsRegistry) {
    this.#creates = registry.counter(
      "resourceclaim_controller_creates_total",
      "[ALPHA] Number of ResourceClaims creation requests, categorized by creation status and admin access",
      ["status", "admin_access"],
    );
    const gauge = registry.gauge(
      "resourceclaim_controller_resource_claims",
      "[ALPHA] Number of ResourceClaims, categorized by allocation status, admin access, and source.",
      ["allocated", "admin_access", "source"],
    );
    const shown = new Set<string>();
    registry.beforeScrape(() => {
      const counts = new Map([...shown].map((key) => [key, 0]));
      for (const claim of this.#claims()) {
        const key = [String(claim.status?.allocation !== undefined), adminAccess(claim), sourceOf(claim)].join("|");
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      for (const [key, count] of counts) {
        shown.add(key);
        gauge.series(...key.split("|")).set(count);
      }
    });
    this.#deletions = registry
      .counter(
        "device_taint_eviction_controller_pod_deletions_total",
        "[ALPHA] Total number of Pods deleted by DeviceTaintEvictionController since its start.",
      )
      .series();
    this.#deletionTimes = registry
      .histogram(
        "device_taint_eviction_controller_pod_deletion_duration_seconds",
        "[ALPHA] Latency, in seconds, between the time when a device taint effect has been activated and a Pod's deletion via DeviceTaintEvictionController.",
        { buckets: deletionBuckets },
      )
      .series();
  }

  /** Claims that are counted, until the function that is returned is called. */
  show(claims: () => Iterable<ResourceClaim>): () => void {
    this.#claims = claims;
    return () => {
      if (this.#claims === claims) this.#claims = () => [];
    };
  }

  created(claim: Pick<ResourceClaim, "spec">, ok: boolean): void {
    this.#creates.series(ok ? "success" : "failure", adminAccess(claim)).add();
  }

  /** A pod, so long after it had to go. */
  evicted(ms: number): void {
    this.#deletions.add();
    this.#deletionTimes.observe(ms / 1000);
  }
}

const adminAccess = ({ spec }: Pick<ResourceClaim, "spec">): string =>
  String(spec.devices?.requests?.some(({ exactly }) => exactly?.adminAccess === true) ?? false);

function sourceOf({ metadata: { annotations } }: ResourceClaim): string {
  if (annotations?.["resource.kubernetes.io/extended-resource-claim"] === "true") return "extended_resource";
  return annotations?.["resource.kubernetes.io/pod-claim-name"] ? "resource_claim_template" : "";
}

// Figures of how the aggregated discovery document is answered, where servers of one store may tell of each other.
import type { MetricsRegistry } from "../../base/metrics.ts";

/** Counts how aggregated discovery is answered: from the document of all servers, kept or made, or from this server's alone. */
export function countDiscovery(metrics: MetricsRegistry): (answered: "nopeer" | "peers, kept" | "peers, made") => void {
  const counter = (name: string, help: string) => metrics.counter(`aggregator_discovery_${name}`, `[ALPHA] ${help}`).series();
  const series = {
    nopeer: counter("nopeer_requests_total", "Counter of number of times no-peer (non peer-aggregated) discovery was requested"),
    "peers, kept": counter(
      "peer_aggregated_cache_hits_total",
      "Counter of number of times discovery was served from peer-aggregated cache",
    ),
    "peers, made": counter(
      "peer_aggregated_cache_misses_total",
      "Counter of number of times discovery was aggregated across all API servers",
    ),
  };
  return (answered) => series[answered].add();
}

// What the kubelet's server answers about statistics: /stats/summary, /metrics and its parts. A measurement that fails is told by
// the error metrics of those that have one, and by 500 elsewhere.
import { StatusError } from "../../api/meta/status-error.ts";
import type { Logger } from "../../base/log.ts";
import { sampledText } from "../../base/metrics.ts";
import { cadvisorMetrics, type MachineFacts } from "./cadvisor-metrics.ts";
import type { KubeletMetrics } from "./kubelet-metrics.ts";
import type { Measurement } from "./measurement.ts";
import { resourceMetrics } from "./resource-metrics.ts";
import type { KubeletStats } from "./stats-provider.ts";

export interface StatsAnswer {
  readonly contentType: string;
  readonly body: string;
}

/** Undefined for paths that are not about statistics. */
export type StatsEndpoints = (url: URL, method: string) => Promise<StatsAnswer | undefined>;

export interface StatsEndpointsDependencies {
  /** Undefined until the kubelet has started. */
  readonly stats: () => KubeletStats | undefined;
  readonly metrics: KubeletMetrics;
  readonly machine: () => MachineFacts | undefined;
  readonly logger: Logger;
}

const metricsText = "text/plain; version=0.0.4; charset=utf-8";
const paths = new Set(["/stats/summary", "/metrics", "/metrics/resource", "/metrics/cadvisor", "/metrics/probes"]);

export function createStatsEndpoints(deps: StatsEndpointsDependencies): StatsEndpoints {
  const { metrics, machine, logger } = deps;
  const started = (): KubeletStats => {
    const stats = deps.stats();
    if (!stats) throw new StatusError({ code: 503, reason: "ServiceUnavailable", message: "the kubelet is starting" });
    return stats;
  };
  /** Undefined when it failed. */
  const tried = async (measuring: Promise<Measurement> | undefined): Promise<Measurement | undefined> => {
    try {
      return await measuring;
    } catch (error) {
      logger.warn("Measuring the node failed", { error });
      return undefined;
    }
  };
  return async ({ pathname, searchParams }, method) => {
    const path = pathname.length > 1 ? pathname.replace(/\/$/, "") : pathname;
    if (!paths.has(path)) return undefined;
    const isSummary = path === "/stats/summary";
    if (method !== "GET" && !(isSummary && method === "POST"))
      throw new StatusError({ code: 405, reason: "MethodNotAllowed", message: "405: Method Not Allowed" });
    switch (path) {
      case "/metrics":
        return { contentType: metricsText, body: metrics.registry.text() + logMetrics(await tried(deps.stats()?.all())) };
      case "/metrics/probes":
        return { contentType: metricsText, body: metrics.probes.text() };
      case "/metrics/resource":
        return { contentType: metricsText, body: resourceMetrics(await tried(started().usage())) };
      case "/metrics/cadvisor":
        return { contentType: metricsText, body: await cadvisorText(started(), tried, machine()) };
      default:
        return { contentType: "application/json", body: await summaryText(started(), searchParams) };
    }
  };
}

/** What the logs of each container take; nothing where they could not be measured. */
function logMetrics(measured: Measurement | undefined): string {
  const samples = (measured?.pods ?? []).flatMap(({ uid, name: pod, namespace, containers }) =>
    containers.flatMap(({ name: container, logs }) => (logs ? [{ labels: { container, namespace, pod, uid }, value: logs.bytes }] : [])),
  );
  const help = "Bytes that a container's logs take.";
  return sampledText([{ name: "kubelet_container_log_filesystem_used_bytes", type: "gauge", help, samples }]);
}

async function cadvisorText(
  stats: KubeletStats,
  tried: (measuring: Promise<Measurement>) => Promise<Measurement | undefined>,
  machine: MachineFacts | undefined,
): Promise<string> {
  const measured = await tried(stats.all());
  const [details, disks, qos] = await Promise.all([
    measured ? stats.details(measured) : new Map<string, never>(),
    stats.disks(),
    stats.qosGroups(),
  ]);
  return cadvisorMetrics(measured, { machine, details, disks, qos });
}

async function summaryText(stats: KubeletStats, query: URLSearchParams): Promise<string> {
  const only = query.get("only_cpu_and_memory");
  const isTrue = only !== null && ["1", "t", "T", "true", "TRUE", "True"].includes(only);
  return JSON.stringify(isTrue ? await stats.usageSummary() : await stats.summary(), undefined, 1);
}

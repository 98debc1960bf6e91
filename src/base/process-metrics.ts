// What every Prometheus client exports about its process, under the usual names.
import type { Clock } from "./clock.ts";
import type { MetricsRegistry } from "./metrics.ts";
import { kubernetesVersion } from "./version.ts";

export function registerProcessMetrics(metrics: MetricsRegistry, clock: Clock): void {
  const cpu = metrics.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.").series();
  const resident = metrics.gauge("process_resident_memory_bytes", "Resident memory size in bytes.").series();
  const heap = metrics.gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use, in bytes.").series();
  const start = metrics.gauge("process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.").series();
  start.set(Math.round(clock.now() / 1000 - process.uptime()));
  let countedMicros = 0;
  metrics.beforeScrape(() => {
    const { user, system } = process.cpuUsage();
    cpu.add((user + system - countedMicros) / 1e6);
    countedMicros = user + system;
    const memory = process.memoryUsage();
    resident.set(memory.rss);
    heap.set(memory.heapUsed);
  });
}

/** What the process is, as upstream's components say it. */
export function registerBuildInfo(metrics: MetricsRegistry): void {
  const [major = "", minor = ""] = kubernetesVersion.slice(1).split(".");
  metrics
    .gauge("kubernetes_build_info", "What was built, as labels.", ["git_version", "major", "minor", "platform"])
    .series(kubernetesVersion, major, minor, `${process.platform}/${process.arch}`)
    .set(1);
}

// What every Prometheus client exports about its process, under the usual names.
import { readdirSync, readFileSync } from "node:fs";
import type { Clock } from "./clock.ts";
import type { MetricsRegistry, Series } from "./metrics.ts";
import { kubernetesVersion } from "./version.ts";

export function registerProcessMetrics(metrics: MetricsRegistry, clock: Clock): void {
  const cpu = metrics.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.").series();
  const resident = metrics.gauge("process_resident_memory_bytes", "Resident memory size in bytes.").series();
  const heap = metrics.gauge("nodejs_heap_size_used_bytes", "JavaScript heap in use, in bytes.").series();
  const start = metrics.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.").series();
  start.set(Math.round(clock.now() / 1000 - process.uptime()));
  const memory = registerProcessFiles(metrics);
  let countedMicros = 0;
  metrics.beforeScrape(() => {
    const { user, system } = process.cpuUsage();
    cpu.add((user + system - countedMicros) / 1e6);
    countedMicros = user + system;
    const { rss, heapUsed } = process.memoryUsage();
    resident.set(rss);
    heap.set(heapUsed);
    readProcess(memory);
  });
}

interface ProcessGauges {
  readonly open: Settable;
  readonly most: Settable;
  readonly virtual: Settable;
  readonly mostVirtual: Settable;
  readonly received: Settable;
  readonly sent: Settable;
}

interface Settable {
  set(value: number): void;
}

function registerProcessFiles(metrics: MetricsRegistry): ProcessGauges {
  const gauge = (name: string, help: string): Settable => metrics.gauge(name, help).series();
  const counter = (name: string, help: string): Settable => settable(metrics.counter(name, help).series());
  return {
    open: gauge("process_open_fds", "Number of open file descriptors."),
    most: gauge("process_max_fds", "Maximum number of open file descriptors."),
    virtual: gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
    mostVirtual: gauge("process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes."),
    received: counter("process_network_receive_bytes_total", "Number of bytes received by the process over the network."),
    sent: counter("process_network_transmit_bytes_total", "Number of bytes sent by the process over the network."),
  };
}

/** A counter that somebody else keeps. */
function settable(series: Series): Settable {
  let last = 0;
  return {
    set(value) {
      series.add(Math.max(0, value - last));
      last = value;
    },
  };
}

/** As clients of Prometheus write a number of 64 bits that means no limit. */
const unlimited = 2 ** 64;

/** The names of what the kernel counts of IP, and their values. Of the whole network namespace, as such clients have it. */
const networkLines = (netstat: string): readonly (readonly string[])[] =>
  netstat
    .split("\n")
    .filter((line) => line.startsWith("IpExt:"))
    .map((line) => line.split(" "));

/** Read within the scrape: these files are the kernel's, and small. Elsewhere than on Linux there are none. */
function readProcess({ open, most, virtual, mostVirtual, received, sent }: ProcessGauges): void {
  try {
    open.set(readdirSync("/proc/self/fd").length);
    const limits = readFileSync("/proc/self/limits", "utf8");
    most.set(Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 0));
    mostVirtual.set(Number(/^Max address space +(\d+)/m.exec(limits)?.[1] ?? unlimited));
    const [names = [], values = []] = networkLines(readFileSync("/proc/self/net/netstat", "utf8"));
    received.set(Number(values[names.indexOf("InOctets")] ?? 0));
    sent.set(Number(values[names.indexOf("OutOctets")] ?? 0));
    virtual.set(Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0) * 1024);
  } catch {
    // Not this system's way to tell.
  }
}

/** What the process is, as upstream's components say it. */
export function registerBuildInfo(metrics: MetricsRegistry): void {
  const [major = "", minor = ""] = kubernetesVersion.slice(1).split(".");
  const labels = {
    build_date: "1970-01-01T00:00:00Z",
    compiler: "v8",
    git_commit: "",
    git_tree_state: "clean",
    git_version: kubernetesVersion,
    go_version: `node${process.versions.node}`,
    major,
    minor,
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
  metrics
    .gauge(
      "kubernetes_build_info",
      "[BETA] A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
      Object.keys(labels),
    )
    .series(...Object.values(labels))
    .set(1);
}

/** Which version the component behaves as, "1.36"; its own by default. */
export function registerVersionInfo(
  metrics: MetricsRegistry,
  behaviour: { readonly emulation?: string; readonly minCompatibility?: string } = {},
): void {
  const [major = "", minor = ""] = kubernetesVersion.slice(1).split(".");
  const labels = {
    binary: kubernetesVersion.slice(1).replace(/\+.*$/, ""),
    component: "kube",
    emulation: behaviour.emulation ?? `${major}.${minor}`,
    min_compat: behaviour.minCompatibility ?? `${major}.${Number(minor) - 1}`,
  };
  const help =
    "[ALPHA] Provides the compatibility version info of the component. The component label is the name of the component, usually kube, but is relevant for aggregated-apiservers.";
  metrics
    .gauge("version_info", help, Object.keys(labels))
    .series(...Object.values(labels))
    .set(1);
}

// How the node itself came to be, and what its control groups are, under upstream's names. The times of the start are those
// of a node that was registered anew.
import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { PodCgroups } from "../cgroups/pod-cgroups.ts";

export class NodeStartMetrics {
  readonly #registry: MetricsRegistry;
  readonly #clock: Clock;
  readonly #bootTimeMs: () => Promise<number | undefined>;
  readonly #startedMs: number;
  #tryingMs: number | undefined;
  #registeredMs: number | undefined;
  #done = false;

  /** `bootTimeMs`: of the machine, milliseconds since 1970. */
  constructor(registry: MetricsRegistry, clock: Clock, bootTimeMs: () => Promise<number | undefined>) {
    this.#registry = registry;
    this.#clock = clock;
    this.#bootTimeMs = bootTimeMs;
    this.#startedMs = clock.now();
  }

  registering(): void {
    this.#tryingMs ??= this.#clock.now();
  }

  registered(): void {
    this.#registeredMs ??= this.#clock.now();
  }

  async ready(): Promise<void> {
    if (this.#done || this.#tryingMs === undefined || this.#registeredMs === undefined) return;
    this.#done = true;
    const readyMs = this.#clock.now();
    const [trying, registered] = [this.#tryingMs, this.#registeredMs];
    const boot = await this.#bootTimeMs();
    const set = (name: string, help: string, ms: number): void =>
      this.#registry
        .gauge(`kubelet_node_startup_${name}`, help)
        .series()
        .set(ms / 1000);
    if (boot !== undefined) set("pre_kubelet_duration_seconds", "From the machine's start to the kubelet's.", this.#startedMs - boot);
    set("pre_registration_duration_seconds", "From the kubelet's start to its first try to register the node.", trying - this.#startedMs);
    set("registration_duration_seconds", "From the first try to register the node to its being registered.", registered - trying);
    set("post_registration_duration_seconds", "From the node's being registered to its being ready.", readyMs - registered);
    if (boot !== undefined) set("duration_seconds", "From the machine's start to the node's being ready.", readyMs - boot);
  }
}

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** The same, with what is done counted and timed. */
export function countedCgroups(cgroups: PodCgroups, registry: MetricsRegistry, clock: Clock): PodCgroups {
  if (cgroups.version === undefined) return cgroups;
  registry.gauge("kubelet_cgroup_version", "[ALPHA] cgroup version on the hosts.").series().set(cgroups.version);
  const durations = registry.histogram(
    "kubelet_cgroup_manager_duration_seconds",
    "[ALPHA] Duration in seconds for cgroup manager operations. Broken down by method.",
    {
      ...{ labels: ["operation_type"], buckets },
    },
  );
  const timed = async <T>(operation: "create" | "update" | "destroy", work: () => Promise<T>): Promise<T> => {
    const begunMs = clock.monotonic();
    try {
      return await work();
    } finally {
      durations.series(operation).observe((clock.monotonic() - begunMs) / 1000);
    }
  };
  return {
    ...cgroups,
    ensure: (pod, options) => timed("create", () => cgroups.ensure(pod, options)),
    update: (pod, resources) => timed("update", () => cgroups.update(pod, resources)),
    updateClasses: (pods) => timed("update", () => cgroups.updateClasses(pods)),
    remove: (pod) => timed("destroy", () => cgroups.remove(pod)),
  };
}

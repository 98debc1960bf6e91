// Completes a measurement of CPU and memory with everything that lies on disks, with what pods' networks have carried, and with
// what had to wait: file systems, logs, writable layers, volumes, process ids, pressure.
import type { Clock } from "../../base/clock.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { processCount } from "../../linux/machine-usage.ts";
import { containerCgroup } from "./cadvisor-metrics.ts";
import { CpuRates } from "./cpu-rates.ts";
import { type ContainerReading, readContainerStats } from "./cri-stats.ts";
import type { MachineReader } from "./machine.ts";
import { measureFileSystem, measureLogs, measureRuntimeFileSystems } from "./measure-disks.ts";
import type { ContainerMeasurement, Measurement, PodMeasurement, VolumeMeasurement } from "./measurement.ts";
import { SharedResult } from "./shared-result.ts";

export interface DiskMeasurerDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  /** Undefined where the runtime is simulated. */
  readonly machine?: MachineReader;
}

export interface DiskMeasurerOptions {
  readonly rootDirectory: string;
  /** As last measured in the background; undefined before. */
  readonly volumes: (podUid: string) => readonly VolumeMeasurement[] | undefined;
}

/** As CNI's callers name it. */
const podInterface = "eth0";
/** Runtimes count writable layers by themselves from time to time: asking more often tells nothing new. */
const layersMaxAgeMs = 20_000;

export function createDiskMeasurer(
  deps: DiskMeasurerDependencies,
  { rootDirectory, volumes }: DiskMeasurerOptions,
): (measured: Measurement) => Promise<Measurement> {
  const { cri, clock, machine } = deps;
  // The CPU time in the answer is of no interest: no rates are made of it.
  const layers = new SharedResult(clock, () => readContainerStats(cri, new CpuRates()));
  return async ({ timeMs, node, pods }) => {
    // Where there are no control groups the containers' figures came from the runtime, writable layers among them.
    const lacksLayers = machine !== undefined && pods.some((pod) => pod.containers.some((c) => !c.writableLayer));
    const readings = lacksLayers ? await layers.get(layersMaxAgeMs) : new Map<string, ContainerReading>();
    const complete = async (pod: PodMeasurement): Promise<PodMeasurement> => {
      const measured = volumes(pod.uid);
      const [containers, network, pressure] = await Promise.all([
        Promise.all(
          pod.containers.map(async (container) => ({
            ...(await withDisks(container, readings, timeMs)),
            ...(pod.cgroup === undefined ? {} : await pressureOf(machine, containerCgroup(pod, container))),
          })),
        ),
        networkOf(pod, machine, timeMs),
        pod.cgroup === undefined ? {} : pressureOf(machine, pod.cgroup),
      ]);
      return { ...pod, containers, ...network, ...pressure, ...(measured ? { volumes: measured } : {}) };
    };
    const [fileSystem, ofRuntime, { processes, maximum }, pressure, completed] = await Promise.all([
      measureFileSystem(rootDirectory, timeMs),
      measureRuntimeFileSystems(cri),
      processCount(),
      pressureOf(machine),
      Promise.all(pods.map(complete)),
    ]);
    const more = {
      ...pressure,
      ...(fileSystem ? { fileSystem } : {}),
      ...(processes === undefined ? {} : { processes }),
      ...(maximum === undefined ? {} : { maxProcesses: maximum }),
    };
    return { timeMs, pods: completed, node: { ...node, ...ofRuntime, ...more } };
  };
}

async function withDisks(
  container: ContainerMeasurement,
  readings: ReadonlyMap<string, ContainerReading>,
  timeMs: number,
): Promise<ContainerMeasurement> {
  const logs = await measureLogs(container.logPath, timeMs);
  const writableLayer = container.writableLayer ?? readings.get(container.id)?.writableLayer;
  return { ...container, ...(logs ? { logs } : {}), ...(writableLayer ? { writableLayer } : {}) };
}

async function pressureOf(machine: MachineReader | undefined, cgroup?: string): Promise<Pick<PodMeasurement, "pressure">> {
  const pressure = (await machine?.pressure(cgroup)) ?? {};
  return Object.keys(pressure).length === 0 ? {} : { pressure };
}

/** Where the runtime has not told of it. */
async function networkOf(
  pod: PodMeasurement,
  machine: MachineReader | undefined,
  timeMs: number,
): Promise<Pick<PodMeasurement, "network">> {
  if (pod.network || pod.hostNetwork || pod.cgroup === undefined || !machine) return {};
  const interfaces = await machine.networkOf(pod.cgroup);
  return interfaces.length === 0 ? {} : { network: { timeMs, defaultInterface: podInterface, interfaces } };
}

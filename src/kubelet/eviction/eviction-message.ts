// Why a pod was evicted, for people (its status and the event's message) and for programs (the event's annotations).
import { parseQuantity, type Quantity, quantityOf } from "../../api/meta/quantity.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { ContainerStats, PodStats } from "../stats/summary.ts";
import type { Observations } from "./observations.ts";
import { memoryUsage } from "./pod-usage.ts";
import { resourceOfSignal, type Threshold, thresholdQuantity } from "./thresholds.ts";

export interface EvictionReason {
  readonly message: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** `thresholds` are those that are undercut; the first one about the resource is named. */
export function evictionReason(
  resource: ReturnType<typeof resourceOfSignal>,
  pod: Pod,
  stats: PodStats | undefined,
  about: { readonly thresholds: readonly Threshold[]; readonly observations: Observations },
): EvictionReason {
  let message = `The node was low on resource: ${resource}. ${thresholdText(resource, about.thresholds, about.observations)}`;
  if (!stats) return { message, annotations: {} };
  const annotations: Record<string, string> = {};
  const podRequest = resource === "memory" ? pod.spec.resources?.requests?.memory : undefined;
  if (podRequest !== undefined && stats.memory) {
    const usage = quantityOf(memoryUsage(stats), "BinarySI").toString();
    message += consumption("Pod", pod.metadata.name, usage, parseQuantity(podRequest).toString(), resource);
    annotations.offending_pod = pod.metadata.name;
    annotations.offending_pod_usage = usage;
  }
  const offenders = offendingContainers(resource, pod, stats);
  for (const { name, usage, request } of offenders) message += consumption("Container", name, usage, request, resource);
  annotations.offending_containers = offenders.map((o) => o.name).join(",");
  annotations.offending_containers_usage = offenders.map((o) => o.usage).join(",");
  annotations.starved_resource = resource;
  return { message, annotations };
}

function thresholdText(resource: string, thresholds: readonly Threshold[], observations: Observations): string {
  for (const { signal, value } of thresholds) {
    const observed = observations.get(signal);
    if (!observed || resourceOfSignal(signal) !== resource) continue;
    return `Threshold quantity: ${thresholdQuantity(value, observed.capacity)}, available: ${observed.available}. `;
  }
  return "";
}

const consumption = (what: string, name: string, usage: string, request: string, resource: string): string =>
  `${what} ${name} was using ${usage}, request is ${request}, has larger consumption of ${resource}. `;

interface Offender {
  readonly name: string;
  readonly usage: string;
  readonly request: string;
}

/** Ephemeral containers can ask for nothing, so they are not blamed. */
function offendingContainers(resource: string, pod: Pod, stats: PodStats): readonly Offender[] {
  const containers: readonly Container[] = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  return stats.containers.flatMap((measured) => {
    const container = containers.find((c) => c.name === measured.name);
    const usage = container && usageOf(resource, measured);
    if (!usage) return [];
    const request = parseQuantity(container.resources?.requests?.[resource] ?? "0");
    return usage.compare(request) > 0 ? [{ name: container.name, usage: usage.toString(), request: request.toString() }] : [];
  });
}

function usageOf(resource: string, { memory, rootfs, logs }: ContainerStats): Quantity | undefined {
  const bytes = (amount: number): Quantity => quantityOf(amount, "BinarySI");
  if (resource === "memory" && memory?.workingSetBytes !== undefined) return bytes(memory.workingSetBytes);
  if (resource === "ephemeral-storage" && rootfs?.usedBytes !== undefined && logs?.usedBytes !== undefined)
    return bytes(rootfs.usedBytes + logs.usedBytes);
  return undefined;
}

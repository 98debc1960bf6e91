// What a pod asks of its node, as the scheduler, the kubelet's admission and quotas reckon it: the sum of its containers
// and sidecars, or the highest point of its init containers where that is more, and its overhead. Requests of the pod
// itself replace those sums for the resources that may be set there.
import { parseQuantity } from "../meta/quantity.ts";
import type { Container, ContainerStatus, Pod, PodSpec, PodStatus } from "../types/core-v1.ts";

/** Amounts by resource name: cpu in thousandths, everything else in whole units (bytes, pieces), rounded up. */
export type ResourceAmounts = Readonly<Record<string, number>>;

type Quantities = Readonly<Record<string, string | number>> | undefined;

export function amountOf(resource: string, quantity: string | number): number {
  const parsed = parseQuantity(quantity);
  return resource === "cpu" ? parsed.milliValue() : parsed.value();
}

export function amountsOf(quantities: Quantities): Record<string, number> {
  const amounts: Record<string, number> = {};
  for (const name in quantities) amounts[name] = amountOf(name, quantities[name] ?? 0);
  return amounts;
}

export interface PodAmountsOptions {
  /** "requests" (default) or "limits". */
  readonly of?: "requests" | "limits";
  /** Amounts for containers that do not name a resource: what scoring assumes of them. */
  readonly assumed?: ResourceAmounts;
  /** Of a pod that is being resized (see resizingStatus): what it still has, or has been allocated, counts where it is more. */
  readonly status?: PodStatus | undefined;
}

/**
 * The status of a pod whose specification asks for other resources than it may have; undefined for all others, whose
 * specification says it all.
 */
export function resizingStatus({ metadata, status }: Pod): PodStatus | undefined {
  if (!status?.containerStatuses) return undefined;
  const behind = status.observedGeneration !== undefined && status.observedGeneration !== metadata.generation;
  return behind || status.conditions?.some((c) => c.type === "PodResizePending" || c.type === "PodResizeInProgress") ? status : undefined;
}

/** The node can never give the pod what it asks for now. */
export function isResizeInfeasible({ conditions }: PodStatus): boolean {
  return conditions?.some((c) => c.type === "PodResizePending" && c.reason === "Infeasible") === true;
}

/** The most of what is asked for (unless the node never can give it), allocated and had. */
function effective(
  asked: ResourceAmounts,
  status: PodStatus,
  has: Pick<ContainerStatus, "resources" | "allocatedResources">,
): ResourceAmounts {
  const amounts: Record<string, number> = isResizeInfeasible(status) ? {} : { ...asked };
  raise(amounts, amountsOf(has.resources?.requests));
  raise(amounts, amountsOf(has.allocatedResources));
  return amounts;
}

function add(total: Record<string, number>, amounts: ResourceAmounts): void {
  for (const name in amounts) total[name] = (total[name] ?? 0) + (amounts[name] ?? 0);
}

function raise(total: Record<string, number>, amounts: ResourceAmounts): void {
  for (const name in amounts) total[name] = Math.max(total[name] ?? 0, amounts[name] ?? 0);
}

function statusOf({ containerStatuses = [], initContainerStatuses = [] }: PodStatus, name: string): ContainerStatus | undefined {
  return containerStatuses.find((s) => s.name === name) ?? initContainerStatuses.find((s) => s.name === name);
}

/** Resources a pod may set for all its containers together. */
const podLevel = (name: string): boolean => name === "cpu" || name === "memory" || name.startsWith("hugepages-");

export function podAmounts(
  spec: Pick<PodSpec, "containers" | "initContainers" | "overhead" | "resources">,
  options: PodAmountsOptions = {},
): ResourceAmounts {
  const { of = "requests", assumed, status } = options;
  const ofContainer = (container: Container): ResourceAmounts => {
    const asked = amountsOf(container.resources?.[of]);
    const seen = status && of === "requests" ? statusOf(status, container.name) : undefined;
    return { ...assumed, ...(status && seen?.resources ? effective(asked, status, seen) : asked) };
  };
  const total: Record<string, number> = {};
  for (const container of spec.containers) add(total, ofContainer(container));
  // Init containers run one after the other, beside the sidecars started before them.
  const sidecars: Record<string, number> = {};
  const peak: Record<string, number> = {};
  for (const container of spec.initContainers ?? []) {
    const amounts = ofContainer(container);
    if (container.restartPolicy === "Always") {
      add(sidecars, amounts);
      add(total, amounts);
      raise(peak, sidecars);
    } else {
      const during = { ...sidecars };
      add(during, amounts);
      raise(peak, during);
    }
  }
  raise(total, peak);
  const asked = amountsOf(spec.resources?.[of]);
  const own = status?.resources && spec.resources && of === "requests" ? effective(asked, status, status) : asked;
  for (const name in own) if (podLevel(name)) total[name] = own[name] ?? 0;
  // Overhead counts in limits only where there is a limit.
  const overhead = amountsOf(spec.overhead);
  for (const name in overhead) if (of === "requests" || total[name] !== undefined) total[name] = (total[name] ?? 0) + (overhead[name] ?? 0);
  return total;
}

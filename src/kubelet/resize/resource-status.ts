// The resources in statuses: of a running container those the runtime says it has (or, where it does not say, those it was
// last set to), of any other those it was allocated. Amounts that are the same keep the specification's way of writing.
import { milliQuantity, quantityOf } from "../../api/meta/quantity.ts";
import { amountOf, podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Container, ContainerStatus, Pod, PodStatus, ResourceRequirements } from "../../api/types/core-v1.ts";
import type { LinuxContainerResources } from "../../cri/generated/runtime-v1.ts";
import { podCgroupResources } from "../containers/linux-resources.ts";
import type { RuntimeContainer } from "../runtime/runtime-pod.ts";

/** What the runtime says a container has; absent where it says nothing. CPU in thousandths. */
export interface RuntimeResources {
  readonly cpuRequest?: number;
  readonly cpuLimit?: number;
  readonly memoryLimit?: number;
}

/** Below these the kernel's figures are the least it can do, and say nothing. */
const leastShares = 2;
const leastMilliCpuLimit = 10;

export function readResources(linux: LinuxContainerResources | undefined): RuntimeResources {
  if (!linux) return {};
  const { cpuShares, cpuQuota, cpuPeriod, memoryLimitInBytes } = linux;
  return {
    ...(cpuShares >= leastShares ? { cpuRequest: Math.ceil((cpuShares * 1000) / 1024) } : {}),
    ...(cpuQuota > 0 && cpuPeriod > 0 ? { cpuLimit: Math.floor((cpuQuota * 1000) / cpuPeriod) } : {}),
    ...(memoryLimitInBytes > 0 ? { memoryLimit: memoryLimitInBytes } : {}),
  };
}

export function containerResources(
  container: Container,
  running: RuntimeContainer | undefined,
  actuated: ResourceRequirements | undefined,
): Pick<ContainerStatus, "resources" | "allocatedResources"> {
  const { requests } = container.resources ?? {};
  const allocatedResources = requests && Object.keys(requests).length > 0 ? { allocatedResources: requests } : {};
  return { resources: actualResources(container.resources ?? {}, running, actuated), ...allocatedResources };
}

function actualResources(
  allocated: ResourceRequirements,
  running: RuntimeContainer | undefined,
  actuated: ResourceRequirements | undefined,
): ResourceRequirements {
  if (running?.state !== "running") return allocated;
  const { cpuRequest, cpuLimit, memoryLimit } = running.resources ?? {};
  const cpuFloor = { requests: leastShares, limits: leastMilliCpuLimit };
  const list = (kind: "requests" | "limits"): Readonly<Record<string, string | number>> | undefined => {
    const given = allocated[kind];
    if (!given) return undefined;
    const seen = kind === "requests" ? { cpu: cpuRequest } : { cpu: cpuLimit, memory: memoryLimit };
    const result: Record<string, string | number> = { ...given };
    for (const name of ["cpu", "memory"] as const) {
      const wanted = given[name] === undefined ? 0 : amountOf(name, given[name]);
      const actual = (seen as Readonly<Record<string, number | undefined>>)[name];
      if (actual === undefined) {
        const old = actuated?.[kind]?.[name];
        if (old !== undefined && given[name] !== undefined) result[name] = old;
      } else if (actual !== wanted && !(name === "cpu" && actual <= cpuFloor[kind] && wanted <= cpuFloor[kind]))
        result[name] = name === "cpu" ? milliQuantity(actual).toString() : quantityOf(actual, "BinarySI").toString();
    }
    return result;
  };
  const [requests, limits] = [list("requests"), list("limits")];
  return { ...allocated, ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) } as ResourceRequirements;
}

/** Of the whole pod: what it was allocated, and what it has: while it runs, what its containers have together. */
export function podResources(
  pod: Pod,
  statuses: readonly ContainerStatus[],
  running: boolean,
): Pick<PodStatus, "resources" | "allocatedResources"> {
  const allocated = texts(pod, "requests");
  const actual = running ? actualPod(pod, statuses) : pod;
  const limits = texts(actual, "limits");
  const { cpuQuota, memoryBytes } = podCgroupResources(actual);
  // A running pod is limited only where each of its containers is.
  if (running && cpuQuota === undefined) delete limits.cpu;
  if (running && memoryBytes === undefined) delete limits.memory;
  return {
    ...(Object.keys(allocated).length > 0 ? { allocatedResources: allocated } : {}),
    resources: { ...nonEmpty("requests", actual === pod ? allocated : texts(actual, "requests")), ...nonEmpty("limits", limits) },
  };
}

/** The pod with what its containers have; the same one where that is what they were allocated. */
function actualPod(pod: Pod, statuses: readonly ContainerStatus[]): Pod {
  let changed = false;
  const withActual = (container: Container): Container => {
    const { resources } = statuses.find((s) => s.name === container.name) ?? {};
    if (!resources || resources === container.resources) return container;
    changed = true;
    return { ...container, resources };
  };
  const containers = pod.spec.containers.map(withActual);
  const initContainers = pod.spec.initContainers?.map(withActual);
  return changed ? { ...pod, spec: { ...pod.spec, containers, ...(initContainers ? { initContainers } : {}) } } : pod;
}

function nonEmpty(kind: "requests" | "limits", list: Readonly<Record<string, string>>): ResourceRequirements {
  return Object.keys(list).length > 0 ? { [kind]: list } : {};
}

function texts(pod: Pod, of: "requests" | "limits"): Record<string, string> {
  const named = [pod.spec, ...pod.spec.containers, ...(pod.spec.initContainers ?? [])].flatMap((c) =>
    Object.entries(c.resources?.[of] ?? {}),
  );
  const binary = new Set(named.filter(([, value]) => /i$/.test(String(value))).map(([name]) => name));
  return Object.fromEntries(
    Object.entries(podAmounts(pod.spec, { of })).map(([name, amount]) => [
      name,
      (name === "cpu" ? milliQuantity(amount) : quantityOf(amount, binary.has(name) ? "BinarySI" : "DecimalSI")).toString(),
    ]),
  );
}

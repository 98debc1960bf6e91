// Extended resources that devices stand behind, as requests of a claim: one request for each container and resource, named
// by their positions. Containers that only initialize end before the others need their devices, so they are given those of
// the containers that start after them, and together one request for what is still missing.
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Container, ContainerExtendedResourceRequest, Pod } from "../../api/types/core-v1.ts";
import type { DeviceRequest } from "../../api/types/resource-v1.ts";

export interface ExtendedRequests {
  readonly requests: readonly DeviceRequest[];
  /** Which container gets the devices of which request. */
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}

interface Request {
  readonly name: string;
  readonly count: number;
}

interface Mapping {
  readonly containerName: string;
  readonly resourceName: string;
  requestName: string;
}

/** `resources`: those that the node does not provide otherwise, each with the class behind it. */
export function extendedRequests({ spec }: Pod, resources: ReadonlyMap<string, string>): ExtendedRequests {
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const initial = spec.initContainers?.length ?? 0;
  const requests: DeviceRequest[] = [];
  const mappings: ContainerExtendedResourceRequest[] = [];
  for (const resource of [...resources.keys()].sort()) {
    const needed = requestsFor(resource, containers, initial);
    for (const { name, count } of needed.requests) {
      const deviceClassName = resources.get(resource) ?? "";
      requests.push({ name, exactly: { deviceClassName, allocationMode: "ExactCount", count } });
    }
    mappings.push(...needed.mappings);
  }
  return { requests: requests.sort((a, b) => (a.name < b.name ? -1 : 1)), mappings };
}

function requestsFor(resource: string, containers: readonly Container[], initial: number) {
  const isShort = (i: number): boolean => i < initial && containers[i]?.restartPolicy !== "Always";
  const lasting: (Request | undefined)[] = containers.map((container, i) => {
    const count = isShort(i) ? 0 : amountOf(container, resource);
    return count > 0 ? { name: requestName(i, container, resource), count } : undefined;
  });
  const mappingOf = (container: Container, { name }: Request): Mapping => ({
    containerName: container.name,
    resourceName: resource,
    requestName: name,
  });
  const mappings = containers.flatMap((container, i) => (lasting[i] ? [mappingOf(container, lasting[i])] : []));
  const shortMappings: Mapping[] = [];
  const extra: Request[] = [];
  for (const [i, container] of containers.entries()) {
    let missing = isShort(i) ? amountOf(container, resource) : 0;
    for (const reused of lasting.slice(i)) {
      if (missing <= 0) break;
      if (!reused) continue;
      shortMappings.push(mappingOf(container, reused));
      missing -= reused.count;
    }
    if (missing <= 0) continue;
    const own = { name: requestName(i, container, resource), count: missing };
    extra.push(own);
    shortMappings.push(mappingOf(container, own));
  }
  const largest = extra.reduce<Request | undefined>((best, each) => (best && best.count >= each.count ? best : each), undefined);
  const replaced = new Set(extra.map(({ name }) => name));
  for (const mapping of shortMappings) if (largest && replaced.has(mapping.requestName)) mapping.requestName = largest.name;
  const requests = [...(largest ? [largest] : []), ...lasting.filter((each) => each !== undefined)];
  return { requests, mappings: [...mappings, ...shortMappings] };
}

function amountOf({ resources }: Container, resource: string): number {
  const amount = resources?.requests?.[resource];
  return amount === undefined ? 0 : parseQuantity(amount).value();
}

const requestName = (index: number, { resources }: Container, resource: string): string =>
  `container-${index}-request-${Object.keys(resources?.requests ?? {})
    .sort()
    .indexOf(resource)}`;

// Where services/proxy sends a request: to a ready endpoint of the service's port, picked at random. Only pods are sent to, at
// an address they have themselves: whoever may write endpoints could otherwise reach through the API server what they cannot.
import { randomInt } from "node:crypto";
import { notFound, serviceUnavailable } from "../../api/meta/status-error.ts";
import { services } from "../../api/resources.generated.ts";
import type { Pod, Service } from "../../api/types/core-v1.ts";
import type { Endpoint, EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Lister } from "../../client/informer.ts";

export interface ServiceTargetDeps {
  readonly services: Pick<Lister<Service>, "get">;
  readonly endpointSlices: Pick<Lister<EndpointSlice>, "inNamespace">;
  readonly pods: Pick<Lister<Pod>, "get">;
}

export interface ServicePort {
  readonly namespace: string;
  readonly service: string;
  /** The name or the number of a port of the service; "" is the one that has no name. */
  readonly port: string;
}

interface Destination {
  readonly address: string;
  readonly port: number;
}

/** Throws NotFound or ServiceUnavailable. */
export function serviceDestination(deps: ServiceTargetDeps, { namespace, service: name, port }: ServicePort): Destination {
  const service = deps.services.get(`${namespace}/${name}`);
  if (!service) throw notFound(services, name);
  const portName = /^\d+$/.test(port) ? nameOfPort(service, Number(port)) : port;
  const slices = deps.endpointSlices
    .inNamespace(namespace)
    .filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === name);
  // Nobody has said yet where it is, as upstream's Endpoints that are not there.
  if (slices.length === 0) throw notFound(services, name);
  const found = slices.flatMap((slice) => destinationsIn(deps, slice, portName));
  const chosen = found.length > 0 ? found[randomInt(found.length)] : undefined;
  if (!chosen) throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  return chosen;
}

function nameOfPort({ metadata, spec }: Service, number: number): string {
  const port = spec.ports?.find((p) => p.port === number);
  if (!port) throw serviceUnavailable(`no service port ${number} found for service ${JSON.stringify(metadata.name)}`);
  return port.name ?? "";
}

function destinationsIn(deps: ServiceTargetDeps, slice: EndpointSlice, portName: string): Destination[] {
  const port = slice.ports?.find((p) => (p.name ?? "") === portName)?.port;
  if (port === undefined) return [];
  return (slice.endpoints ?? []).flatMap((endpoint) => {
    const [address] = endpoint.addresses;
    return address !== undefined && endpoint.conditions?.ready !== false && isOfPod(deps, slice, endpoint, address)
      ? [{ address, port }]
      : [];
  });
}

function isOfPod({ pods }: ServiceTargetDeps, slice: EndpointSlice, { targetRef }: Endpoint, address: string): boolean {
  const { namespace } = slice.metadata;
  if (targetRef?.kind !== "Pod" || (targetRef.namespace ?? namespace) !== namespace) return false;
  return pods.get(`${namespace}/${targetRef.name}`)?.status?.podIPs?.some(({ ip }) => ip === address) ?? false;
}

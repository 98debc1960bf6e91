// Where services/proxy sends a request: to a ready endpoint of the service's port, picked at random. Only pods are sent to, at
// an address they have themselves: whoever may write endpoints could otherwise reach through the API server what they cannot.
import { randomInt } from "node:crypto";
import { notFound, type StatusError, serviceUnavailable } from "../../api/meta/status-error.ts";
import { services } from "../../api/resources.generated.ts";
import type { EndpointAddress, EndpointSubset, Endpoints, Pod, Service } from "../../api/types/core-v1.ts";
import type { Lister } from "../../client/informer.ts";

export interface ServiceTargetDeps {
  readonly services: Pick<Lister<Service>, "get">;
  readonly endpoints: Pick<Lister<Endpoints>, "get">;
  readonly pods: Pick<Lister<Pod>, "get">;
}

export interface ServicePort {
  readonly namespace: string;
  readonly service: string;
  /** The name or the number of a port of the service; "" is the one that has no name. */
  readonly port: string;
  /** As it stands in the request's path. */
  readonly id: string;
}

interface Destination {
  readonly address: string;
  readonly port: number;
}

/** Throws NotFound or ServiceUnavailable. */
export function serviceDestination(deps: ServiceTargetDeps, { namespace, service: name, port, id }: ServicePort): Destination {
  const key = `${namespace}/${name}`;
  const service = deps.services.get(key);
  // Where nobody keeps endpoints (for a service that selects nothing) upstream names the resource of the request, too.
  const kept = service && deps.endpoints.get(key);
  const portName = service && /^\d+$/.test(port) ? nameOfPort(service, Number(port)) : port;
  if (!kept) throw notFound(services, name);
  const { subsets = [] } = kept;
  if (subsets.length === 0) throw unavailable(name);
  const found = subsets.flatMap((subset) => destinationsIn(deps, namespace, subset, portName));
  const chosen = found.length > 0 ? found[randomInt(found.length)] : undefined;
  if (!chosen) throw unavailable(id);
  return chosen;
}

const unavailable = (what: string): StatusError => serviceUnavailable(`no endpoints available for service ${JSON.stringify(what)}`);

function nameOfPort({ metadata, spec }: Service, number: number): string {
  const port = spec.ports?.find((p) => p.port === number);
  if (!port) throw serviceUnavailable(`no service port ${number} found for service ${JSON.stringify(metadata.name)}`);
  return port.name ?? "";
}

function destinationsIn(
  deps: ServiceTargetDeps,
  namespace: string,
  { addresses = [], ports = [] }: EndpointSubset,
  portName: string,
): Destination[] {
  const port = ports.find(({ name = "" }) => name === portName)?.port;
  if (port === undefined) return [];
  return addresses.filter((address) => isOfPod(deps, namespace, address)).map(({ ip }) => ({ address: ip, port }));
}

function isOfPod({ pods }: ServiceTargetDeps, namespace: string, { ip, targetRef }: EndpointAddress): boolean {
  if (targetRef?.kind !== "Pod" || (targetRef.namespace ?? namespace) !== namespace) return false;
  return pods.get(`${namespace}/${targetRef.name}`)?.status?.podIPs?.some((own) => own.ip === ip) ?? false;
}

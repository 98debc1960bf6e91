// Where calls to a service go: to a ready endpoint of it, so that no service proxy is needed on the API server's machine.
// A service that selects no pods and has no slices is reached by its cluster address, an ExternalName by its name. The texts
// are upstream's; they end up in answers: `failed to call webhook: Post "https://…": service "x" not found`.
import { StatusError, serviceUnavailable } from "../../api/meta/status-error.ts";
import { endpointslices, services } from "../../api/resources.generated.ts";
import type { Service, ServicePort } from "../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import type { ServiceResolver } from "./webhook-client.ts";

const byService = "service";
const sliceKey = (namespace: string, service: string): string => `${namespace}/${service}`;

/** The index of endpoint slices by "namespace/service": one function, as an index may be asked for twice. */
const servicesOfSlice = ({ metadata }: EndpointSlice): readonly string[] => {
  const service = metadata.labels?.["kubernetes.io/service-name"];
  return service === undefined ? [] : [sliceKey(metadata.namespace ?? "", service)];
};

export interface ServiceResolverDependencies {
  readonly reader: AdmissionReader;
  /** Its chance picks among endpoints. */
  readonly clock: Pick<Clock, "random">;
}

type Address = ReturnType<ServiceResolver>;

/** The informers it reads are asked for with the first call: a server without webhooks keeps none for them. */
export function createServiceResolver({ reader, clock }: ServiceResolverDependencies): ServiceResolver {
  return ({ namespace, name, port: number }) => {
    const service = reader.informer(services).get(`${namespace}/${name}`);
    if (!service) throw serviceNotFound(name);
    if (service.spec.type === "ExternalName") return { host: service.spec.externalName ?? "", port: number };
    const port = portOf(service, number);
    const informer = reader.informer(endpointslices);
    informer.addIndex(byService, servicesOfSlice);
    const slices = informer.byIndex(byService, sliceKey(namespace, name));
    const chosen = pickEndpoint(byPreference(slices, service), port, clock);
    if (chosen) return chosen;
    const hasAddress = service.spec.clusterIP !== undefined && service.spec.clusterIP !== "" && service.spec.clusterIP !== "None";
    if (slices.length === 0 && hasAddress && Object.keys(service.spec.selector ?? {}).length === 0)
      return { host: service.spec.clusterIP, port: number };
    throw serviceUnavailable(`no endpoints available for service ${JSON.stringify(name)}`);
  };
}

/** Right after the start a service that is not known yet would be taken for one that does not exist. */
export async function servicesKnown(reader: AdmissionReader, signal?: AbortSignal): Promise<void> {
  for (const informer of [reader.informer(services), reader.informer(endpointslices)])
    if (!informer.hasSynced) await informer.synced(signal);
}

function serviceNotFound(name: string): StatusError {
  // Upstream's lister names the kind of a service here, in the singular.
  return new StatusError({
    code: 404,
    reason: "NotFound",
    message: `service ${JSON.stringify(name)} not found`,
    details: { name, kind: "service" },
  });
}

function portOf({ metadata, spec }: Service, number: number): ServicePort {
  const port = spec.ports?.find((p) => p.port === number);
  if (!port) throw serviceUnavailable(`no service port ${number} found for service ${JSON.stringify(metadata.name)}`);
  return port;
}

/** Slices of the service's first family first. */
function byPreference(slices: readonly EndpointSlice[], { spec }: Service): readonly EndpointSlice[] {
  const [family] = spec.ipFamilies ?? [];
  if (slices.length < 2 || family === undefined) return slices;
  return [...slices.filter((s) => s.addressType === family), ...slices.filter((s) => s.addressType !== family)];
}

/** A ready endpoint, by chance, of the first slice that has one; slices carry the resolved target port. */
function pickEndpoint(slices: readonly EndpointSlice[], port: ServicePort, clock: Pick<Clock, "random">): Address | undefined {
  for (const slice of slices) {
    const number = slice.ports?.find((p) => (p.name ?? "") === (port.name ?? ""))?.port;
    if (number === undefined) continue;
    const ready = (slice.endpoints ?? []).filter((e) => e.conditions?.ready !== false && e.addresses.length > 0);
    const host = ready[Math.floor(clock.random() * ready.length)]?.addresses[0];
    if (host !== undefined) return { host, port: number };
  }
  return undefined;
}

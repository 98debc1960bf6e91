// Whether the service that an APIService names can be called at all, before anybody calls it: pure. Reasons and texts are
// upstream's; they end up in the APIService's condition.
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import type { Service } from "../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../api/types/discovery-v1.ts";

/** What the condition Available is to say. */
export interface Availability {
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
}

export const passed: Availability = { status: "True", reason: "Passed", message: "all checks passed" };
export const local: Availability = { status: "True", reason: "Local", message: "Local APIServices are always available" };

export const unavailable = (reason: string, message: string): Availability => ({ status: "False", reason, message });

const defaultPort = 443;

/** What is wrong; undefined where the service is to be called. */
export function checkService(
  { spec }: APIService,
  service: Service | undefined,
  slices: readonly EndpointSlice[],
): Availability | undefined {
  const { name = "", namespace = "", port = defaultPort } = spec.service ?? {};
  const at = `service/${name} in ${JSON.stringify(namespace)}`;
  if (!service) return unavailable("ServiceNotFound", `${at} is not present`);
  // Others are found by names or by addresses of their own: nothing of that shows here.
  if ((service.spec.type ?? "ClusterIP") !== "ClusterIP") return undefined;
  const found = service.spec.ports?.find((p) => p.port === port);
  if (!found) return unavailable("ServicePortError", `${at} is not listening on port ${port}`);
  if (slices.length === 0) return unavailable("EndpointsNotFound", `cannot find endpointslices for ${at}`);
  const portName = found.name ?? "";
  if (slices.some((slice) => hasEndpoint(slice, portName))) return undefined;
  return unavailable("MissingEndpoints", `endpointslices for ${at} have no addresses with port name ${JSON.stringify(portName)}`);
}

function hasEndpoint({ endpoints, ports }: EndpointSlice, portName: string): boolean {
  const isReady = endpoints?.some(({ conditions }) => conditions?.ready !== false) ?? false;
  return isReady && (ports ?? []).some((port) => (port.name ?? "") === portName && port.port !== undefined);
}

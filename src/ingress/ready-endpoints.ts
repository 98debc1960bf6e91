// The addresses behind a service's port: ready endpoints of its slices, of the service's first family, so that a pod with
// two addresses counts once. Pure.
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** "10.244.0.7:8080". */
  readonly key: string;
}

export function readyEndpoints(service: Service, port: number | string, slices: readonly EndpointSlice[]): readonly Endpoint[] {
  const ofService = service.spec?.ports?.find((p) => (typeof port === "number" ? p.port === port : p.name === port));
  if (!ofService || (ofService.protocol ?? "TCP") !== "TCP") return [];
  const family = service.spec?.ipFamilies?.[0] ?? slices[0]?.addressType;
  const found = new Map<string, Endpoint>();
  for (const { addressType, ports, endpoints } of slices) {
    const number = ports?.find((p) => (p.name ?? "") === (ofService.name ?? ""))?.port;
    if (addressType !== family || number === undefined) continue;
    for (const { addresses, conditions } of endpoints ?? []) {
      const [address] = addresses;
      if (address === undefined || conditions?.ready === false) continue;
      const key = address.includes(":") ? `[${address}]:${number}` : `${address}:${number}`;
      found.set(key, { address, port: number, key });
    }
  }
  return [...found.values()];
}

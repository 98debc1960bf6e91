// Tables of services, endpoints and endpoint slices.
import type { Endpoints, Service, ServicePort } from "../../types/core-v1.ts";
import type { EndpointPort, EndpointSlice } from "../../types/discovery-v1.ts";
import { age, ageColumn, column, labelsText, nameColumn, shortList, wideColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

/** The addresses and host names of a load balancer, sorted and each once. */
export function loadBalancerTexts(ingress: readonly { readonly ip?: string; readonly hostname?: string }[] | undefined): readonly string[] {
  const texts = (ingress ?? []).map(({ ip, hostname }) => ip || hostname || "").filter((text) => text !== "");
  return [...new Set(texts)].sort();
}

function externalIpText({ spec, status }: Service): string {
  const external = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case "ClusterIP":
    case "NodePort":
      return external.length > 0 ? external.join(",") : "<none>";
    case "LoadBalancer": {
      const all = [...loadBalancerTexts(status?.loadBalancer?.ingress), ...external];
      return all.length > 0 ? all.join(",") : "<pending>";
    }
    case "ExternalName":
      return spec.externalName ?? "";
    default:
      return "<unknown>";
  }
}

/** "80:30080/TCP". */
function portText({ port, nodePort = 0, protocol }: ServicePort): string {
  return nodePort > 0 ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`;
}

export const serviceTable: TableConvertor<Service> = {
  columns: [
    nameColumn,
    column("Type", texts.ServiceSpec.type),
    column("Cluster-IP", texts.ServiceSpec.clusterIP),
    column("External-IP", texts.ServiceSpec.externalIPs),
    column("Port(s)", texts.ServiceSpec.ports),
    ageColumn,
    wideColumn("Selector", texts.ServiceSpec.selector),
  ],
  cells: (service, nowMs) => {
    const { metadata, spec } = service;
    return [
      metadata.name,
      spec?.type ?? "",
      spec?.clusterIPs?.[0] ?? "<none>",
      externalIpText(service),
      (spec?.ports ?? []).map(portText).join(",") || "<none>",
      age(service, nowMs),
      labelsText(spec?.selector),
    ];
  },
};

const joinHostPort = (host: string, port: number): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

function endpointsText({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return "<none>";
  const all = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0 ? addresses.map(({ ip }) => ip) : ports.flatMap(({ port }) => addresses.map(({ ip }) => joinHostPort(ip, port))),
  );
  return shortList(all, 3);
}

export const endpointsTable: TableConvertor<Endpoints> = {
  columns: [nameColumn, column("Endpoints", texts.Endpoints.subsets), ageColumn],
  cells: (endpoints, nowMs) => [endpoints.metadata.name, endpointsText(endpoints), age(endpoints, nowMs)],
};

const slicePortText = ({ port, name }: EndpointPort): string => (port === undefined ? (name ?? "*") : String(port));

export const endpointSliceTable: TableConvertor<EndpointSlice> = {
  columns: [
    nameColumn,
    column("AddressType", texts.EndpointSlice.addressType),
    column("Ports", texts.EndpointSlice.ports),
    column("Endpoints", texts.EndpointSlice.endpoints),
    ageColumn,
  ],
  cells: (slice, nowMs) => [
    slice.metadata.name,
    slice.addressType,
    shortList((slice.ports ?? []).map(slicePortText), 3) || "<unset>",
    shortList(
      (slice.endpoints ?? []).flatMap(({ addresses }) => addresses ?? []),
      3,
    ) || "<unset>",
    age(slice, nowMs),
  ],
};

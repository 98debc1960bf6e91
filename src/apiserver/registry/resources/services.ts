// Services, endpoints and endpoint slices. Addresses and node ports of services are given out by the service allocators;
// here is what follows from a service's type alone.
import { defaultEndpoints, defaultEndpointSlice, defaultService } from "../../../api/defaults/network.ts";
import { endpointSliceTable, endpointsTable, serviceTable } from "../../../api/encode/table/services.ts";
import { ipWarnings } from "../../../api/meta/ip.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import { isDNS1123Label } from "../../../api/meta/names.ts";
import { endpoints, endpointslices, services } from "../../../api/resources.generated.ts";
import type { Endpoints, Service } from "../../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../../api/types/discovery-v1.ts";
import { withoutTrailingDash } from "../../../api/validation/object-meta.ts";
import { withStatusOf } from "../plain-resource.ts";
import { describe } from "./describe.ts";
import { serviceWarnings } from "./service-warnings.ts";
import { withoutFieldsOfOldType } from "./service-types.ts";

/** A name outside the cluster has no traffic within it. */
function withoutInternalTraffic(service: Service): Service {
  if (service.spec?.type !== "ExternalName" || service.spec.internalTrafficPolicy === undefined) return service;
  const { internalTrafficPolicy: _, ...spec } = service.spec;
  return { ...service, spec };
}

export const serviceDefinition = describe<Service>(services, {
  defaults: defaultService,
  validateName: (name, prefix) => isDNS1123Label(prefix ? withoutTrailingDash(name) : name),
  countsGeneration: false,
  create: {
    prepare: (service) => withoutInternalTraffic(withStatusOf(service, undefined)),
    warnings: (service) => serviceWarnings(service),
  },
  update: {
    prepare: (service, old) => withoutInternalTraffic(withoutFieldsOfOldType(withStatusOf(service, old), old)),
    warnings: serviceWarnings,
  },
  status: {
    warnings: ({ status }) =>
      (status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "" }, i) => (ip === "" ? [] : ipWarnings(`status.loadBalancer.ingress[${i}]`, ip))),
  },
  allowCreateOnUpdate: true,
  deletionReturnsObject: true,
  selectableFields: { "spec.clusterIP": ({ spec }) => spec?.clusterIP ?? "", "spec.type": ({ spec }) => spec?.type ?? "" },
  table: serviceTable,
});

function endpointsWarnings({ subsets = [] }: Endpoints): string[] {
  return subsets.flatMap((subset, i) =>
    (["addresses", "notReadyAddresses"] as const).flatMap((list) =>
      (subset[list] ?? []).flatMap(({ ip }, j) => ipWarnings(`subsets[${i}].${list}[${j}].ip`, ip)),
    ),
  );
}

export const endpointsDefinition = describe<Endpoints>(endpoints, {
  defaults: defaultEndpoints,
  create: { warnings: endpointsWarnings },
  update: { warnings: endpointsWarnings },
  allowCreateOnUpdate: true,
  table: endpointsTable,
});

const managedByKey = "endpointslice.kubernetes.io/managed-by";
/** Their addresses come from objects that have been warned about already. */
const silentManagers = new Set(["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"]);

function addressWarnings({ metadata, endpoints: list }: EndpointSlice): string[] {
  if (silentManagers.has(metadata.labels?.[managedByKey] ?? "")) return [];
  return (list ?? []).flatMap(({ addresses }, i) =>
    addresses.flatMap((address, j) => ipWarnings(`endpoints[${i}].addresses[${j}]`, address)),
  );
}

/** Labels count here, unlike in other kinds: consumers choose slices by them. */
function withLabelGeneration(slice: EndpointSlice, old: EndpointSlice): EndpointSlice {
  const { metadata: before, ...rest } = old;
  const { metadata, ...wanted } = slice;
  if (semanticallyEqual(rest, wanted) && semanticallyEqual(before.labels, metadata.labels)) return slice;
  return { ...slice, metadata: { ...metadata, generation: (before.generation ?? 0) + 1 } };
}

export const endpointSliceDefinition = describe<EndpointSlice>(endpointslices, {
  defaults: defaultEndpointSlice,
  create: {
    prepare: (slice) => ({ ...slice, metadata: { ...slice.metadata, generation: 1 } }),
    warnings: (slice) => [
      ...(slice.addressType === "FQDN" ? ["spec.addressType: FQDN endpoints are deprecated"] : []),
      ...addressWarnings(slice),
    ],
  },
  update: { prepare: withLabelGeneration, warnings: addressWarnings },
  table: endpointSliceTable,
});

// Services, endpoints and endpoint slices. Addresses and node ports of services are given out by the service allocators;
// here is what follows from a service's type alone.
import { changeEach } from "../../../api/defaults/fill.ts";
import { defaultEndpointSlice, defaultEndpoints, defaultService } from "../../../api/defaults/network.ts";
import { endpointSliceTable, endpointsTable, serviceTable } from "../../../api/encode/table/services.ts";
import { equalAsTyped, semanticallyEqual } from "../../../api/meta/equality.ts";
import { ipWarnings } from "../../../api/meta/ip.ts";
import { isDNS1123Label } from "../../../api/meta/names.ts";
import { endpoints, endpointslices, services } from "../../../api/resources.generated.ts";
import type { Endpoints, Service } from "../../../api/types/core-v1.ts";
import type { EndpointSlice } from "../../../api/types/discovery-v1.ts";
import { validateEndpointSlice, validateEndpoints } from "../../../api/validation/endpoints.ts";
import { withoutTrailingDash } from "../../../api/validation/object-meta.ts";
import { validateService, validateServiceStatus } from "../../../api/validation/service.ts";
import { withStatusOf } from "../plain-resource.ts";
import { withBothAddressFields } from "../service-families.ts";
import { describe, withFirstGeneration } from "./describe.ts";
import { withoutFieldsOfOldType } from "./service-types.ts";
import { serviceWarnings } from "./service-warnings.ts";
import { completedService, withoutInternalTraffic } from "./stored-services.ts";

export const serviceDefinition = describe<Service>(services, {
  defaults: defaultService,
  completed: completedService,
  validateName: (name, prefix) => isDNS1123Label(prefix ? withoutTrailingDash(name) : name),
  countsGeneration: false,
  create: {
    prepare: (service) => withoutInternalTraffic(withStatusOf(service, undefined)),
    validate: (service) => validateService(service),
    warnings: (service) => serviceWarnings(service),
  },
  update: {
    // Who says one address of two fields means both, also where its new type has none.
    prepare: (service, old) => withoutInternalTraffic(withoutFieldsOfOldType(withBothAddressFields(withStatusOf(service, old), old), old)),
    validate: validateService,
    warnings: serviceWarnings,
  },
  status: {
    validate: validateServiceStatus,
    warnings: ({ status }) =>
      (status?.loadBalancer?.ingress ?? []).flatMap(({ ip = "" }, i) =>
        ip === "" ? [] : ipWarnings(`status.loadBalancer.ingress[${i}]`, ip),
      ),
  },
  allowCreateOnUpdate: true,
  deletionReturnsObject: true,
  selectableFields: { "spec.clusterIP": ({ spec }) => spec?.clusterIP ?? "", "spec.type": ({ spec }) => spec?.type ?? "" },
  table: serviceTable,
});

function endpointsWarnings({ metadata, subsets = [] }: Endpoints): string[] {
  // The controller copies addresses of pods, which have been warned about already.
  if (metadata.labels?.["endpoints.kubernetes.io/managed-by"] === "endpoint-controller") return [];
  return subsets.flatMap((subset, i) =>
    (["addresses", "notReadyAddresses"] as const).flatMap((list) =>
      (subset[list] ?? []).flatMap(({ ip }, j) => ipWarnings(`subsets[${i}].${list}[${j}].ip`, ip)),
    ),
  );
}

export const endpointsDefinition = describe<Endpoints>(endpoints, {
  metadataOnUpdate: ["changes", "whole"],
  defaults: defaultEndpoints,
  deprecation: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
  create: { validate: (endpoints) => validateEndpoints(endpoints), warnings: endpointsWarnings },
  update: { validate: validateEndpoints, warnings: endpointsWarnings },
  allowCreateOnUpdate: true,
  table: endpointsTable,
});

const managedByKey = "endpointslice.kubernetes.io/managed-by";
/** Their addresses come from objects that have been warned about already. */
const silentManagers = new Set(["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"]);

function addressWarnings({ metadata, endpoints: list }: EndpointSlice): string[] {
  if (silentManagers.has(metadata.labels?.[managedByKey] ?? "")) return [];
  return (list ?? []).flatMap(({ addresses }, i) =>
    (addresses ?? []).flatMap((address, j) => ipWarnings(`endpoints[${i}].addresses[${j}]`, address)),
  );
}

/** Topology by labels is of an older version of the API; only endpoints that stay as they are keep it. */
function withoutTopology(slice: EndpointSlice, old?: EndpointSlice): EndpointSlice {
  if (old && semanticallyEqual(slice.endpoints, old.endpoints)) return slice;
  return changeEach(slice, "endpoints", (endpoint) => {
    if (endpoint.deprecatedTopology === undefined) return endpoint;
    const { deprecatedTopology: _, ...rest } = endpoint;
    return rest;
  });
}

/** Labels count here, unlike in other kinds: consumers choose slices by them. */
function withLabelGeneration(slice: EndpointSlice, old: EndpointSlice): EndpointSlice {
  const { metadata: before, ...rest } = old;
  const { metadata, ...wanted } = slice;
  if (equalAsTyped(rest, wanted) && semanticallyEqual(before.labels, metadata.labels)) return slice;
  return { ...slice, metadata: { ...metadata, generation: (before.generation ?? 0) + 1 } };
}

export const endpointSliceDefinition = describe<EndpointSlice>(endpointslices, {
  metadataOnUpdate: ["whole"],
  defaults: defaultEndpointSlice,
  create: {
    prepare: (slice) => withFirstGeneration(withoutTopology(slice)),
    validate: (slice) => validateEndpointSlice(slice),
    warnings: (slice) => [
      ...(slice.addressType === "FQDN" ? ["spec.addressType: FQDN endpoints are deprecated"] : []),
      ...addressWarnings(slice),
    ],
  },
  update: {
    prepare: (slice, old) => withoutTopology(withLabelGeneration(slice, old), old),
    validate: validateEndpointSlice,
    warnings: addressWarnings,
  },
  table: endpointSliceTable,
});

// The discovery documents of upstream, made from the list of served resources: APIVersions, APIGroup(List),
// APIResourceList, and the aggregated APIGroupDiscoveryList (apidiscovery.k8s.io/v2).
import { createHash } from "node:crypto";
import { apiVersionOf, type GroupVersionKind, groupVersionPath, type ResourceType, type SubresourceType } from "../../api/resource-type.ts";

/** An APIResourceDiscovery of the aggregated document. */
export type DiscoveredResource = Readonly<Record<string, unknown>> & {
  readonly resource: string;
  readonly verbs?: readonly string[];
  readonly subresources?: readonly DiscoveredSubresource[];
};

export type DiscoveredSubresource = Readonly<Record<string, unknown>> & { readonly subresource?: string };

/** An APIVersionDiscovery. */
export interface DiscoveredVersion {
  readonly version: string;
  readonly resources?: readonly DiscoveredResource[];
  readonly freshness?: string;
}

/** An APIGroupDiscovery; the core group has no name. */
export interface DiscoveredGroup {
  readonly metadata: { readonly name?: string };
  readonly versions: readonly DiscoveredVersion[];
}

/** A group version of an extension server. */
export interface RemoteVersion {
  /** In the form of the aggregated document, as the server says it. */
  readonly resources: readonly DiscoveredResource[];
  /** Stale: the server could not be asked; what it serves may be more or less. */
  readonly freshness: "Current" | "Stale";
}

export interface ServedVersion {
  readonly version: string;
  readonly resources: readonly ResourceType[];
  /** Another server's; `resources` is empty then. */
  readonly remote?: RemoteVersion;
  /** It has an APIService, and nobody serves it. */
  readonly isNamedOnly?: boolean;
}

/** The versions of one group, the preferred one first, with their resources by name. */
export interface ServedGroup {
  readonly name: string;
  readonly versions: readonly ServedVersion[];
  /** Of groups in order of priority; groups without one stay as they are. */
  readonly priority?: number;
}

/** What extension servers add to the groups of this server. */
export interface AggregatedGroups {
  /** Another value when merge() would give something else. */
  readonly generation: number;
  merge(groups: readonly ServedGroup[]): readonly ServedGroup[];
}

/** Groups in the order in which the resources name them first; the core group is "". */
export function groupsOf(resources: readonly ResourceType[]): ServedGroup[] {
  const groups = new Map<string, Map<string, ResourceType[]>>();
  for (const type of resources) {
    const versions = groups.get(type.group) ?? new Map<string, ResourceType[]>();
    groups.set(type.group, versions);
    const list = versions.get(type.version) ?? [];
    versions.set(type.version, list);
    list.push(type);
  }
  return [...groups].map(([name, versions]) => ({
    name,
    versions: [...versions].map(([version, list]) => ({ version, resources: list.sort((a, b) => (a.resource < b.resource ? -1 : 1)) })),
  }));
}

export function apiVersions(core: ServedGroup | undefined, serverAddress: string): object {
  return {
    kind: "APIVersions",
    versions: core?.versions.map((v) => v.version) ?? [],
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }],
  };
}

/** The groups in the order of APIGroupList: upstream breaks ties by the names of APIServices there ("v1.apps"). */
export function inListOrder(groups: readonly ServedGroup[]): readonly ServedGroup[] {
  const firstName = ({ name, versions }: ServedGroup): string =>
    versions.reduce((first, { version }) => (`${version}.${name}` < first ? `${version}.${name}` : first), "\uffff");
  return [...groups].sort((a, b) => {
    const byPriority = (b.priority ?? 0) - (a.priority ?? 0);
    if (byPriority !== 0 || a.priority === undefined) return byPriority;
    return firstName(a) < firstName(b) ? -1 : 1;
  });
}

export function apiGroup(group: ServedGroup): object {
  const versions = group.versions.map(({ version }) => ({ groupVersion: `${group.name}/${version}`, version }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}

export function apiResourceList(group: string, version: string, resources: readonly ResourceType[]): object {
  return {
    kind: "APIResourceList",
    ...(group === "" ? {} : { apiVersion: "v1" }),
    groupVersion: apiVersionOf({ group, version }),
    resources: resources.flatMap((type) => [apiResource(type), ...sortedSubresources(type).map((sub) => apiSubresource(type, sub))]),
  };
}

function apiResource(type: ResourceType): object {
  return {
    name: type.resource,
    singularName: type.singular,
    namespaced: type.namespaced,
    kind: type.kind,
    verbs: type.verbs,
    ...(type.shortNames?.length ? { shortNames: type.shortNames } : {}),
    ...(type.categories?.length ? { categories: type.categories } : {}),
    ...(type.verbs.includes("watch") ? { storageVersionHash: storageVersionHash(type) } : {}),
  };
}

function apiSubresource(type: ResourceType, sub: SubresourceType): object {
  const foreign = sub.kind.group !== type.group || sub.kind.version !== type.version;
  return {
    name: `${type.resource}/${sub.name}`,
    singularName: "",
    namespaced: type.namespaced,
    ...(foreign ? { group: sub.kind.group, version: sub.kind.version } : {}),
    kind: sub.kind.kind,
    verbs: sub.verbs,
  };
}

/** By name; those of custom resources are given in upstream's order, status first. */
const sortedSubresources = ({ schema, subresources }: ResourceType): readonly SubresourceType[] =>
  schema === undefined ? subresources : [...subresources].sort((a, b) => (a.name < b.name ? -1 : 1));

/** Kinds that upstream stores as another version or group than it serves them in. */
const storedAs: Readonly<Record<string, string>> = {
  "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy": "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy",
  "admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding": "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicyBinding",
  "apiextensions.k8s.io/v1/CustomResourceDefinition": "apiextensions.k8s.io/v1beta1/CustomResourceDefinition",
  "events.k8s.io/v1/Event": "/v1/Event",
  "autoscaling/v1/HorizontalPodAutoscaler": "autoscaling/v2/HorizontalPodAutoscaler",
  "certificates.k8s.io/v1alpha1/ClusterTrustBundle": "certificates.k8s.io/v1beta1/ClusterTrustBundle",
  "coordination.k8s.io/v1alpha2/LeaseCandidate": "coordination.k8s.io/v1beta1/LeaseCandidate",
  "resource.k8s.io/v1beta2/DeviceTaintRule": "resource.k8s.io/v1alpha3/DeviceTaintRule",
  "admissionregistration.k8s.io/v1alpha1/MutatingAdmissionPolicy": "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy",
  "admissionregistration.k8s.io/v1alpha1/MutatingAdmissionPolicyBinding":
    "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicyBinding",
  ...storedAsV1("networking.k8s.io/v1beta1", ["IPAddress", "ServiceCIDR"]),
  ...storedAsV1("storage.k8s.io/v1beta1", ["VolumeAttributesClass"]),
  ...storedAsV1("resource.k8s.io/v1beta1", ["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"]),
  ...storedAsV1("resource.k8s.io/v1beta2", ["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"]),
};

function storedAsV1(apiVersion: string, kinds: readonly string[]): Readonly<Record<string, string>> {
  const [group] = apiVersion.split("/");
  return Object.fromEntries(kinds.map((kind) => [`${apiVersion}/${kind}`, `${group}/v1/${kind}`]));
}

/** Changes when the kind objects are stored as changes: clients that migrate storage compare it. */
function storageVersionHash(type: ResourceType): string {
  const kind = `${type.group}/${type.storageVersion ?? type.version}/${type.kind}`;
  return createHash("sha256")
    .update(storedAs[kind] ?? kind)
    .digest()
    .subarray(0, 8)
    .toString("base64");
}

/** The aggregated document of some groups. */
export function aggregatedDiscovery(items: readonly DiscoveredGroup[]): object {
  return { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items };
}

/** What the aggregated document says of some groups. */
export function discoveredGroups(groups: readonly ServedGroup[]): readonly DiscoveredGroup[] {
  return groups.flatMap((group) => {
    const versions = group.versions.filter(({ isNamedOnly }) => !isNamedOnly).map(aggregatedVersion);
    return versions.length === 0 ? [] : [{ metadata: group.name === "" ? {} : { name: group.name }, versions }];
  });
}

function aggregatedVersion({ version, resources, remote }: ServedVersion): DiscoveredVersion {
  if (!remote) return { version, resources: resources.map(aggregatedResource), freshness: "Current" };
  return { version, ...(remote.resources.length > 0 ? { resources: remote.resources } : {}), freshness: remote.freshness };
}

function aggregatedResource(type: ResourceType): DiscoveredResource {
  return {
    resource: type.resource,
    responseKind: aggregatedKind(type, type),
    scope: type.namespaced ? "Namespaced" : "Cluster",
    singularResource: type.singular,
    verbs: type.verbs,
    ...(type.shortNames?.length ? { shortNames: type.shortNames } : {}),
    ...(type.categories?.length ? { categories: type.categories } : {}),
    ...(type.subresources.length > 0
      ? {
          subresources: sortedSubresources(type).map((sub) => ({
            subresource: sub.name,
            responseKind: aggregatedKind(type, sub.kind),
            verbs: sub.verbs,
          })),
        }
      : {}),
  };
}

/** Of built-in resources, group and version are left empty where they are the resource's own. */
function aggregatedKind(type: ResourceType, { group, version, kind }: GroupVersionKind): object {
  const isOwn = group === type.group && version === type.version;
  return isOwn && type.schema !== undefined ? { group: "", version: "", kind } : { group, version, kind };
}

/** "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1": what "/" lists of discovery. */
export function discoveryPaths(groups: readonly ServedGroup[]): string[] {
  const paths = ["/api", "/apis", "/apis/"];
  for (const group of groups) {
    if (group.name !== "") paths.push(`/apis/${group.name}`);
    for (const { version } of group.versions) paths.push(groupVersionPath({ group: group.name, version }));
  }
  return paths;
}

// What a server serves, by its own word: built-in resources, custom ones and those of aggregated servers. Asks for the
// aggregated documents (two requests for everything); each resource is given in the version that its group prefers.
import type { ResourceType, SubresourceType } from "../api/resource-type.ts";
import { builtInResources } from "../api/resources.generated.ts";
import type { CallOptions, Client } from "./client.ts";

export interface Discovered {
  readonly resources: readonly ResourceType[];
  /** Group versions whose server could not be reached: what they serve is unknown, not absent. */
  readonly stale: readonly string[];
}

interface DiscoveredKind {
  readonly group?: string;
  readonly version?: string;
  readonly kind?: string;
}

interface DiscoveredResource {
  readonly resource: string;
  readonly singularResource?: string;
  readonly responseKind?: DiscoveredKind;
  readonly scope: "Namespaced" | "Cluster";
  readonly verbs?: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly subresources?: readonly {
    readonly subresource: string;
    readonly responseKind?: DiscoveredKind;
    readonly verbs?: readonly string[];
  }[];
}

interface GroupDiscovery {
  readonly metadata: { readonly name?: string };
  readonly versions: readonly {
    readonly version: string;
    readonly freshness?: string;
    readonly resources?: readonly DiscoveredResource[];
  }[];
}

const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** Throws what the client throws, and where the server knows no aggregated discovery (older than v1.30). */
export async function discoverResources(client: Client, options: CallOptions = {}): Promise<Discovered> {
  const documents = await Promise.all(["/api", "/apis"].map((path) => client.raw("GET", path, { ...options, accept })));
  const groups = documents.flatMap(groupsOf);
  const stale = groups.flatMap((group) =>
    group.versions.filter(({ freshness }) => freshness === "Stale").map(({ version }) => groupVersion(group, version)),
  );
  return { resources: groups.flatMap(preferredResources), stale };
}

function groupsOf(document: unknown): readonly GroupDiscovery[] {
  const { kind, items } = document as { readonly kind?: string; readonly items?: readonly GroupDiscovery[] };
  if (kind !== "APIGroupDiscoveryList")
    throw new Error(`discovery: expected an APIGroupDiscoveryList, the server sent ${kind ?? "something else"}`);
  return items ?? [];
}

function groupVersion(group: GroupDiscovery, version: string): string {
  return group.metadata.name ? `${group.metadata.name}/${version}` : version;
}

/** Versions come in order of preference: the first that has a resource gives it. */
function preferredResources(group: GroupDiscovery): readonly ResourceType[] {
  const byName = new Map<string, ResourceType>();
  for (const { version, resources = [] } of group.versions) {
    for (const resource of resources) {
      if (!byName.has(resource.resource)) byName.set(resource.resource, resourceType(group.metadata.name ?? "", version, resource));
    }
  }
  return [...byName.values()];
}

const builtIns: ReadonlyMap<string, ResourceType> = new Map(
  builtInResources.map((type) => [`${type.group}/${type.version}/${type.resource}`, type]),
);

/** Built-in resources are given as their constants, so that their informers are shared with everyone. */
function resourceType(group: string, version: string, discovered: DiscoveredResource): ResourceType {
  const builtIn = builtIns.get(`${group}/${version}/${discovered.resource}`);
  if (builtIn) return builtIn;
  const { resource, singularResource = "", responseKind, scope, verbs = [], shortNames, categories, subresources = [] } = discovered;
  return {
    group,
    version,
    resource,
    singular: singularResource,
    kind: responseKind?.kind ?? "",
    namespaced: scope === "Namespaced",
    verbs,
    ...(shortNames ? { shortNames } : {}),
    ...(categories ? { categories } : {}),
    subresources: subresources.map(
      (sub): SubresourceType => ({
        name: sub.subresource,
        kind: {
          group: sub.responseKind?.group ?? group,
          version: sub.responseKind?.version ?? version,
          kind: sub.responseKind?.kind ?? "",
        },
        verbs: sub.verbs ?? [],
      }),
    ),
  };
}

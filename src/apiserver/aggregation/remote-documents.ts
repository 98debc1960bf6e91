// The discovery documents of extension servers: what they say in the aggregated form, and the older list of one group version
// turned into it. What does not have the form is refused: other clients would have to read it.

import type { DiscoveredGroup, DiscoveredResource, DiscoveredVersion } from "../discovery/documents.ts";

/** By "group/version". */
export type RemoteResources = ReadonlyMap<string, readonly DiscoveredResource[]>;

type Json = Readonly<Record<string, unknown>>;

const maxGroupVersions = 1000;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

function listOf(value: unknown, what: string): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every(isObject)) throw new Error(`discovery: ${what} is no list of objects`);
  return value;
}

/** An APIGroupDiscoveryList. Throws where it is none. */
export function readGroupDiscoveryList(text: string): RemoteResources {
  const found = new Map<string, readonly DiscoveredResource[]>();
  for (const { metadata, versions } of readDiscoveredGroups(text, { maxGroupVersions }))
    for (const { version, resources = [] } of versions) found.set(`${metadata.name ?? ""}/${version}`, resources);
  return found;
}

/** The groups of an APIGroupDiscoveryList, as it has them. Throws where it is none, and where it has more than so many versions. */
export function readDiscoveredGroups(text: string, limits: { readonly maxGroupVersions: number }): readonly DiscoveredGroup[] {
  const document: unknown = JSON.parse(text);
  if (!isObject(document) || document.kind !== "APIGroupDiscoveryList") throw new Error("discovery: expected an APIGroupDiscoveryList");
  let count = 0;
  const readVersion = ({ version, resources, freshness }: Json): DiscoveredVersion => {
    if (++count > limits.maxGroupVersions) throw new Error(`discovery: more than ${limits.maxGroupVersions} group versions`);
    const read = listOf(resources, "resources").map(readResource);
    return { version: String(version), resources: read, ...(typeof freshness === "string" ? { freshness } : {}) };
  };
  return listOf(document.items, "items").map(({ metadata, versions }) => {
    const group = isObject(metadata) && typeof metadata.name === "string" ? metadata.name : "";
    return { metadata: group === "" ? {} : { name: group }, versions: listOf(versions, "versions").map(readVersion) };
  });
}

function readResource(resource: Json): DiscoveredResource {
  if (typeof resource.resource !== "string") throw new Error("discovery: a resource has no name");
  const subresources = listOf(resource.subresources, "subresources").map(withResponseKind);
  return {
    ...withResponseKind(resource),
    ...(subresources.length > 0 ? { subresources } : {}),
    resource: resource.resource,
  };
}

/** Old clients cannot do without it. */
const withResponseKind = (resource: Json): Json =>
  isObject(resource.responseKind) ? resource : { ...resource, responseKind: { group: "", version: "", kind: "" } };

/** An APIResourceList, in which subresources stand beside their resources. Throws where it is none. */
export function readResourceList(text: string): readonly DiscoveredResource[] {
  const document: unknown = JSON.parse(text);
  if (!isObject(document) || document.kind !== "APIResourceList") throw new Error("discovery: expected an APIResourceList");
  const found = new Map<string, DiscoveredResource & { subresources?: readonly Json[] }>();
  const ofName = (name: string, listed: Json): DiscoveredResource & { subresources?: readonly Json[] } => {
    const known = found.get(name);
    if (known) return known;
    const made = { resource: name, scope: listed.namespaced === true ? "Namespaced" : "Cluster", ...withResponseKind({}) };
    found.set(name, made);
    return made;
  };
  for (const listed of listOf(document.resources, "resources")) {
    const [name = "", ...rest] = String(listed.name ?? "").split("/");
    if (name === "") throw new Error("discovery: a resource has no name");
    const parent = ofName(name, listed);
    if (rest.length === 0) found.set(name, { ...parent, ...plainResource(listed) });
    else {
      const subresource = { subresource: rest.join("/"), responseKind: kindOf(listed), verbs: listed.verbs ?? [] };
      found.set(name, { ...parent, subresources: [...(parent.subresources ?? []), subresource] });
    }
  }
  return [...found.values()];
}

const kindOf = ({ group = "", version = "", kind = "" }: Json): Json => ({ group, version, kind });

function plainResource(listed: Json): Json {
  const { namespaced, singularName = "", verbs = [], shortNames, categories } = listed;
  return {
    responseKind: kindOf(listed),
    scope: namespaced === true ? "Namespaced" : "Cluster",
    singularResource: singularName,
    verbs,
    ...(Array.isArray(shortNames) && shortNames.length > 0 ? { shortNames } : {}),
    ...(Array.isArray(categories) && categories.length > 0 ? { categories } : {}),
  };
}

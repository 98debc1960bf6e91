// The discovery documents of extension servers: what they say in the aggregated form, and the older list of one group version
// turned into it. What does not have the form is refused: other clients would have to read it.

/** An APIResourceDiscovery as it is sent on. */
export type RemoteResource = Readonly<Record<string, unknown>> & { readonly resource: string };

/** By "group/version". */
export type RemoteResources = ReadonlyMap<string, readonly RemoteResource[]>;

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
  const document: unknown = JSON.parse(text);
  if (!isObject(document) || document.kind !== "APIGroupDiscoveryList") throw new Error("discovery: expected an APIGroupDiscoveryList");
  const found = new Map<string, readonly RemoteResource[]>();
  for (const { metadata, versions } of listOf(document.items, "items")) {
    const group = isObject(metadata) && typeof metadata.name === "string" ? metadata.name : "";
    for (const { version, resources } of listOf(versions, "versions")) {
      if (found.size >= maxGroupVersions) throw new Error(`discovery: more than ${maxGroupVersions} group versions`);
      found.set(`${group}/${String(version)}`, listOf(resources, "resources").map(readResource));
    }
  }
  return found;
}

function readResource(resource: Json): RemoteResource {
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
export function readResourceList(text: string): readonly RemoteResource[] {
  const document: unknown = JSON.parse(text);
  if (!isObject(document) || document.kind !== "APIResourceList") throw new Error("discovery: expected an APIResourceList");
  const found = new Map<string, RemoteResource & { subresources?: readonly Json[] }>();
  const ofName = (name: string, listed: Json): RemoteResource & { subresources?: readonly Json[] } => {
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

// Serves discovery: which groups, versions and resources there are. Documents are made when first asked for, and again
// when the list of resources has changed (a custom resource definition came or went).
import { createHash } from "node:crypto";
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import { encodeJson, encodeYaml } from "../http/encode.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import { negotiateOutput } from "../http/negotiate.ts";
import { pageNotFound } from "../http/plain-text.ts";
import type { ApiResponse, Handler } from "../request.ts";
import { methodNotServed, resourceNotServed } from "../server.ts";
import {
  type AggregatedGroups,
  aggregatedDiscovery,
  apiGroup,
  apiResourceList,
  apiVersions,
  type DiscoveredGroup,
  discoveredGroups,
  discoveryPaths,
  groupsOf,
  inListOrder,
  type ServedGroup,
} from "./documents.ts";

export interface DiscoveryOptions {
  /** What is served now; another array when it has changed. */
  readonly resources: () => readonly ResourceType[];
  /** "192.168.1.10:6443", told to clients that ask which address to use. */
  readonly serverAddress: () => string;
  /** What extension servers add. */
  readonly aggregated?: AggregatedGroups;
  /** Told when the documents of all groups are put together anew. */
  readonly onMerge?: () => void;
  /** Where the server has peers whose groups stand in its aggregated document, too. */
  readonly peers?: PeerGroups | undefined;
  /** Told of each request for the aggregated document that says who is to be in it. */
  readonly onProfile?: (answered: "nopeer" | "peers, kept" | "peers, made") => void;
}

/** What other servers of the same store serve besides. */
export interface PeerGroups {
  /** Another value when merge() would give something else. */
  readonly generation: number;
  merge(own: readonly DiscoveredGroup[]): readonly DiscoveredGroup[];
}

const aggregated = { kind: "APIGroupDiscoveryList", group: "apidiscovery.k8s.io", version: "v2" };
const aggregatedType = `application/json;g=${aggregated.group};v=${aggregated.version};as=${aggregated.kind}`;
const isAggregated = (as: GroupVersionKind): boolean =>
  as.kind === aggregated.kind && as.group === aggregated.group && as.version === aggregated.version;

interface MergedDocument {
  readonly of: Documents;
  readonly generation: number;
  readonly document: EncodedDocument;
}

interface Documents {
  readonly made: readonly ResourceType[];
  readonly generation: number | undefined;
  readonly groups: readonly ServedGroup[];
  /** Encoded documents by path, and the aggregated ones by "aggregated" and path. */
  readonly encoded: Map<string, EncodedDocument>;
}

interface EncodedDocument {
  readonly object: object;
  readonly bytes: Uint8Array;
  readonly etag: string;
}

const isNamed = ({ name }: ServedGroup): boolean => name !== "";

function encodedDocument(object: object): EncodedDocument {
  const bytes = encodeJson(object);
  return { object, bytes, etag: createHash("sha512").update(bytes).digest("hex").toUpperCase() };
}

const isCustom = ({ schema }: ResourceType): boolean => schema === undefined;

export function createDiscovery(options: DiscoveryOptions): EndpointSource {
  let current: Documents | undefined;
  const documents = (): Documents => {
    const resources = options.resources();
    const generation = options.aggregated?.generation;
    if (current?.made !== resources || current.generation !== generation) {
      const local = groupsOf(resources);
      const groups = options.aggregated?.merge(local) ?? local;
      options.onMerge?.();
      current = { made: resources, generation, groups, encoded: new Map() };
    }
    return current;
  };
  const encoded = (key: string, make: (groups: readonly ServedGroup[]) => object): EncodedDocument => {
    const { groups, encoded: known } = documents();
    const found = known.get(key);
    if (found) return found;
    const document = encodedDocument(make(groups));
    known.set(key, document);
    return document;
  };
  let merged: MergedDocument | undefined;
  /** Of all groups but the core one: peers serve that too, and under another path. */
  const withPeers = (peers: PeerGroups): EncodedDocument => {
    const of = documents();
    const { generation } = peers;
    const isKept = merged?.of === of && merged.generation === generation;
    options.onProfile?.(isKept ? "peers, kept" : "peers, made");
    if (!merged || !isKept) {
      const own = discoveredGroups(of.groups.filter(isNamed));
      merged = { of, generation, document: encodedDocument(aggregatedDiscovery(peers.merge(own))) };
    }
    return merged.document;
  };
  const aggregatedOf = (path: string, profile: string, covers: (group: ServedGroup) => boolean): EncodedDocument => {
    if (profile === "nopeer") options.onProfile?.("nopeer");
    else if (options.peers && path === "/apis") return withPeers(options.peers);
    return encoded(`aggregated ${path}`, (groups) => aggregatedDiscovery(discoveredGroups(groups.filter(covers))));
  };

  /** /api and /apis: the plain list, or everything at once for those who ask for it. */
  const root =
    (path: string, plain: (groups: readonly ServedGroup[]) => object, covers: (group: ServedGroup) => boolean): Handler =>
    async ({ request }) => {
      if (path === "/api" && request.method !== "GET") throw methodNotServed();
      const { as, encoding, pretty, profile } = negotiateOutput(request, {
        allows: isAggregated,
        encodes: (asked, target) => !target || asked !== "protobuf",
        cbor: false,
        routed: path === "/api",
      });
      if (!as) return objectOf(encoded(path, plain));
      return aggregatedAnswer(aggregatedOf(path, profile, covers), { yaml: encoding === "yaml", pretty }, request.headers["if-none-match"]);
    };

  const handlers: Readonly<Record<string, Handler>> = {
    "/api": root(
      "/api",
      (groups) =>
        apiVersions(
          groups.find((g) => g.name === ""),
          options.serverAddress(),
        ),
      (g) => g.name === "",
    ),
    "/apis": root(
      "/apis",
      (groups) => ({ kind: "APIGroupList", apiVersion: "v1", groups: inListOrder(groups.filter(isNamed)).map(apiGroup) }),
      isNamed,
    ),
  };

  const groupHandler =
    (name: string): Handler =>
    async ({ request }) => {
      const group = documents().groups.find((g) => g.name === name);
      if (!group) return pageNotFound;
      negotiateOutput(request, { cbor: false, routed: false });
      return objectOf(encoded(`/apis/${name}`, () => ({ kind: "APIGroup", apiVersion: "v1", ...apiGroup(group) })));
    };

  const versionHandler =
    (groupName: string, version: string): Handler =>
    async (context) => {
      const { request, info } = context;
      const group = documents().groups.find((g) => g.name === groupName);
      if (!group) return pageNotFound;
      const served = group.versions.find((v) => v.version === version);
      // Versions of custom resources, and other servers', are served behind the router: it knows neither which there are, nor
      // by which methods.
      const routed = group.versions.some(({ resources }) => resources.some((type) => !isCustom(type)));
      if (!served && routed) throw resourceNotServed();
      if (!served || served.isNamedOnly) return pageNotFound;
      const custom = served.resources.some(isCustom);
      if (!custom && request.method !== "GET") throw methodNotServed();
      negotiateOutput(request, { cbor: !custom, routed: !custom });
      context.speaksCbor = !custom;
      return objectOf(encoded(info.path, () => apiResourceList(groupName, version, served.resources)));
    };

  return {
    paths: () => discoveryPaths(documents().groups),
    find(path) {
      if (!path.startsWith("/api")) return undefined;
      if (Object.hasOwn(handlers, path)) return handlers[path];
      const [, prefix, first = "", second, ...rest] = path.split("/");
      if (rest.length > 0 || (prefix === "apis" && first === "")) return undefined;
      if (prefix === "api" && second === undefined) return versionHandler("", first);
      if (prefix !== "apis") return undefined;
      return second === undefined ? groupHandler(first) : versionHandler(first, second);
    },
  };
}

function objectOf({ object, bytes }: EncodedDocument): Extract<ApiResponse, { kind: "object" }> {
  // Without its line end, which every answer gets.
  return { kind: "object", status: 200, object, encoded: () => ({ head: "", tail: bytes.subarray(0, -1) }) };
}

/** Clients keep the document and ask with its ETag whether it still holds. */
async function aggregatedAnswer(
  document: EncodedDocument,
  { yaml, pretty }: { readonly yaml: boolean; readonly pretty: boolean },
  ifNoneMatch: string | undefined,
): Promise<ApiResponse> {
  const etag = `"${document.etag}"`;
  const headers = { ETag: etag, Vary: "Accept", "Cache-Control": "public" };
  if (ifNoneMatch === etag) return { kind: "bytes", status: 304, contentType: "", bytes: new Uint8Array(), headers };
  if (yaml) return { kind: "bytes", status: 200, contentType: "application/yaml", bytes: await encodeYaml(document.object), headers };
  return {
    kind: "bytes",
    status: 200,
    contentType: aggregatedType,
    bytes: pretty ? encodeJson(document.object, true) : document.bytes,
    headers,
  };
}

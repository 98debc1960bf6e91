// Serves discovery: which groups, versions and resources there are, in the forms that clients ask for.
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import { encodeJson, encodeYaml } from "../http/encode.ts";
import type { EndpointSource } from "../http/endpoints.ts";
import { negotiateOutput } from "../http/negotiate.ts";
import { pageNotFound } from "../http/plain-text.ts";
import type { ApiResponse, Handler } from "../request.ts";
import { methodNotServed, resourceNotServed } from "../server.ts";
import { apiGroup, apiResourceList, apiVersions, discoveryPaths, inListOrder, type ServedGroup } from "./documents.ts";
import { type DocumentSources, type EncodedDocument, isNamed, KeptDocuments } from "./kept-documents.ts";

export interface DiscoveryOptions extends DocumentSources {
  /** "192.168.1.10:6443", told to clients that ask which address to use. */
  readonly serverAddress: () => string;
}

const aggregated = { kind: "APIGroupDiscoveryList", group: "apidiscovery.k8s.io", version: "v2" };
const aggregatedType = `application/json;g=${aggregated.group};v=${aggregated.version};as=${aggregated.kind}`;
const isAggregated = (as: GroupVersionKind): boolean =>
  as.kind === aggregated.kind && as.group === aggregated.group && as.version === aggregated.version;

const isCustom = ({ schema }: ResourceType): boolean => schema === undefined;

export function createDiscovery(options: DiscoveryOptions): EndpointSource {
  const documents = new KeptDocuments(options);

  /** /api and /apis: the plain list, or everything at once for those who ask for it. */
  const root =
    (path: "/api" | "/apis", plain: (groups: readonly ServedGroup[]) => object, covers: (group: ServedGroup) => boolean): Handler =>
    async ({ request }) => {
      if (path === "/api" && request.method !== "GET") throw methodNotServed();
      const { as, encoding, pretty, profile } = negotiateOutput(request, {
        allows: isAggregated,
        encodes: (asked, target) => !target || asked !== "protobuf",
        cbor: false,
        routed: path === "/api",
      });
      if (!as) return objectOf(documents.document(path, plain));
      return aggregatedAnswer(
        documents.aggregated(path, profile, covers),
        { yaml: encoding === "yaml", pretty },
        request.headers["if-none-match"],
      );
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
      const group = documents.groups.find((g) => g.name === name);
      if (!group) return pageNotFound;
      negotiateOutput(request, { cbor: false, routed: false });
      return objectOf(documents.document(`/apis/${name}`, () => ({ kind: "APIGroup", apiVersion: "v1", ...apiGroup(group) })));
    };

  const versionHandler =
    (groupName: string, version: string): Handler =>
    async (context) => {
      const { request, info } = context;
      const group = documents.groups.find((g) => g.name === groupName);
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
      return objectOf(documents.document(info.path, () => apiResourceList(groupName, version, served.resources)));
    };

  return {
    paths: () => discoveryPaths(documents.groups),
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

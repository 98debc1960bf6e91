// Operations on paths that are no resources: the lists of versions and groups, and the version.
import type { ServedGroup } from "../discovery/documents.ts";
import { operationSuffix } from "./names.ts";
import type { Operation, OperationPath } from "./operations.ts";

function read(path: string, operation: Pick<Operation, "id" | "tag" | "answer" | "description" | "textTypes">): OperationPath {
  return { path, parameters: [], operations: [{ ...operation, method: "get", parameters: [], codes: [200] }] };
}

export const versionPath: OperationPath = read("/version/", {
  id: "getCodeVersion",
  tag: "version",
  description: "get the version information for this server",
  answer: "version.Info",
});

/** What the issuer of service-account tokens publishes about itself. */
export const openIdPaths: readonly OperationPath[] = [
  read("/.well-known/openid-configuration/", {
    id: "getServiceAccountIssuerOpenIDConfiguration",
    tag: "WellKnown",
    description: "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
    textTypes: ["application/json"],
  }),
  read("/openid/v1/jwks/", {
    id: "getServiceAccountIssuerOpenIDKeyset",
    tag: "openid",
    description: "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
    textTypes: ["application/jwk-set+json"],
  }),
];

/** /api/, /apis/ and /apis/<group>/. */
export function indexPaths(groups: readonly ServedGroup[]): OperationPath[] {
  const named = groups.filter((g) => g.name !== "");
  return [
    read("/api/", { id: "getCoreAPIVersions", tag: "core", description: "get available API versions", answer: "meta-v1.APIVersions" }),
    read("/apis/", { id: "getAPIVersions", tag: "apis", description: "get available API versions", answer: "meta-v1.APIGroupList" }),
    ...named.map(({ name }) => {
      const tag = operationSuffix(name, "");
      const id = `get${tag}APIGroup`;
      return read(`/apis/${name}/`, {
        id,
        tag: tag.charAt(0).toLowerCase() + tag.slice(1),
        description: "get information of a group",
        answer: "meta-v1.APIGroup",
      });
    }),
  ];
}

// What the metrics API says it serves: discovery, aggregated and plain, health and version.
import { kubernetesVersion } from "../base/version.ts";
import type { MetricsAnswer } from "./metrics-api.ts";
import { openApiDocument } from "./openapi.ts";

const group = "metrics.k8s.io";
const version = "v1beta1";
const groupVersion = `${group}/${version}`;
const verbs = ["get", "list"];
const aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

const groupDocument = {
  name: group,
  versions: [{ groupVersion, version }],
  preferredVersion: { groupVersion, version },
};

const served = [
  { name: "nodes", kind: "NodeMetrics", namespaced: false },
  { name: "pods", kind: "PodMetrics", namespaced: true },
] as const;

const resourceList = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion,
  resources: served.map((resource) => ({ ...resource, singularName: "", verbs })),
};

const aggregated = {
  kind: "APIGroupDiscoveryList",
  apiVersion: "apidiscovery.k8s.io/v2",
  metadata: {},
  items: [
    {
      metadata: { name: group, creationTimestamp: null },
      versions: [
        {
          version,
          freshness: "Current",
          resources: served.map(({ name, kind, namespaced }) => ({
            resource: name,
            responseKind: { group, version, kind },
            scope: namespaced ? "Namespaced" : "Cluster",
            singularResource: "",
            verbs,
          })),
        },
      ],
    },
  ],
};

/** Undefined for paths that are no documents. */
export function discoveryDocument(path: string, accept: string): MetricsAnswer | undefined {
  switch (path.replace(/\/$/, "")) {
    case "/healthz":
    case "/livez":
    case "/readyz":
      return { body: "ok", contentType: "text/plain; charset=utf-8" };
    case "/openapi/v3":
    case `/openapi/v3/apis/${groupVersion}`:
      return { body: openApiDocument(path) };
    case "/version":
      return { body: { gitVersion: kubernetesVersion } };
    case "/apis":
      return accept.includes("as=APIGroupDiscoveryList")
        ? { body: aggregated, contentType: aggregatedType }
        : { body: { kind: "APIGroupList", apiVersion: "v1", groups: [groupDocument] } };
    case `/apis/${group}`:
      return { body: { kind: "APIGroup", apiVersion: "v1", ...groupDocument } };
    case `/apis/${groupVersion}`:
      return { body: resourceList };
    default:
      return undefined;
  }
}

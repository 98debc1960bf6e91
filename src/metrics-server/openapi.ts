// The metrics API in OpenAPI v3, for `kubectl explain` and clients that are generated: its two kinds, their lists and paths.
import { createHash } from "node:crypto";

const group = "metrics.k8s.io";
const version = "v1beta1";
const prefix = "io.k8s.metrics.pkg.apis.metrics.v1beta1.";

type Schema = Readonly<Record<string, unknown>>;

const text = (description: string): Schema => ({ type: "string", description });
const reference = (name: string, description: string): Schema => ({
  description,
  allOf: [{ $ref: `#/components/schemas/${name}` }],
  default: {},
});
const usage: Schema = {
  type: "object",
  description: "What was used: cpu in cores, memory in bytes that are in use.",
  additionalProperties: { $ref: "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity" },
};

const typeFields = {
  apiVersion: text("The version of this form of the object."),
  kind: text("The kind of the object."),
};
const measured = {
  ...typeFields,
  metadata: reference("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "Standard object's metadata."),
  timestamp: reference("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "The end of the time in which the use was measured."),
  window: reference("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "How long that time was."),
};

function kind(name: string, description: string, properties: Schema, required: readonly string[]): Readonly<Record<string, Schema>> {
  const about = (of: string) => ({ "x-kubernetes-group-version-kind": [{ group, version, kind: of }] });
  const items = { type: "array", description: `List of ${name}.`, items: { $ref: `#/components/schemas/${prefix}${name}` } };
  const metadata = reference("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta", "Standard list metadata.");
  return {
    [`${prefix}${name}`]: { type: "object", description, required, properties, ...about(name) },
    [`${prefix}${name}List`]: {
      ...{ type: "object", description: `A list of ${name}.`, required: ["items"] },
      properties: { ...typeFields, metadata, items },
      ...about(`${name}List`),
    },
  };
}

const schemas = {
  ...kind("NodeMetrics", "What a node uses.", { ...measured, usage }, ["timestamp", "window", "usage"]),
  ...kind(
    "PodMetrics",
    "What the containers of a pod use.",
    {
      ...measured,
      containers: {
        type: "array",
        description: "What each container uses, measured in the same time.",
        items: { $ref: `#/components/schemas/${prefix}ContainerMetrics` },
        "x-kubernetes-list-type": "atomic",
      },
    },
    ["timestamp", "window", "containers"],
  ),
  [`${prefix}ContainerMetrics`]: {
    type: "object",
    description: "What a container uses.",
    required: ["name", "usage"],
    properties: { name: text("Name of the container, as in the pod's specification."), usage },
  },
  "io.k8s.apimachinery.pkg.api.resource.Quantity": {
    description: "A number with a unit.",
    oneOf: [{ type: "string" }, { type: "number" }],
  },
  "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": { type: "string", description: 'A duration such as "15s".' },
  "io.k8s.apimachinery.pkg.apis.meta.v1.Time": { type: "string", format: "date-time", description: "A time." },
  "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {
    type: "object",
    description: "Metadata of an object.",
    properties: {
      name: text("Name of the object."),
      namespace: text("Namespace of the object."),
      creationTimestamp: { $ref: "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Time" },
      labels: { type: "object", description: "Labels of the node or pod.", additionalProperties: { type: "string" } },
    },
  },
  "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta": {
    type: "object",
    description: "Metadata of a list.",
    properties: { resourceVersion: text("Version of the list."), continue: text("Where to go on.") },
  },
};

function operation(action: "get" | "list", of: string, parameters: readonly string[]): Schema {
  const $ref = `#/components/schemas/${prefix}${of}${action === "list" ? "List" : ""}`;
  return {
    get: {
      description: `${action} ${of}`,
      responses: { "200": { description: "OK", content: { "application/json": { schema: { $ref } } } } },
      "x-kubernetes-action": action,
      "x-kubernetes-group-version-kind": { group, version, kind: of },
    },
    // An empty list would be lost by clients that decode the document and encode it again.
    ...(parameters.length === 0 ? {} : { parameters: parameters.map(pathParameter) }),
  };
}

const pathParameter = (name: string): Schema => ({ name, in: "path", required: true, schema: { type: "string", uniqueItems: true } });

const root = `/apis/${group}/${version}`;
const document = {
  openapi: "3.0.0",
  info: { title: "Metrics", version },
  paths: {
    [`${root}/nodes`]: operation("list", "NodeMetrics", []),
    [`${root}/nodes/{name}`]: operation("get", "NodeMetrics", ["name"]),
    [`${root}/pods`]: operation("list", "PodMetrics", []),
    [`${root}/namespaces/{namespace}/pods`]: operation("list", "PodMetrics", ["namespace"]),
    [`${root}/namespaces/{namespace}/pods/{name}`]: operation("get", "PodMetrics", ["namespace", "name"]),
  },
  components: { schemas },
};

const path = `/openapi/v3${root}`;

/** The index and its only document; undefined for other paths. */
export function openApiDocument(asked: string): unknown {
  if (asked === path) return document;
  if (asked !== "/openapi/v3") return undefined;
  const hash = createHash("sha256").update(JSON.stringify(document)).digest("hex").toUpperCase();
  return { paths: { [root.slice(1)]: { serverRelativeURL: `${path}?hash=${hash}` } } };
}

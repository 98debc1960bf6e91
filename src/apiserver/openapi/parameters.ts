// Query and path parameters of operations, with upstream's names and types; the same for both OpenAPI versions. Their
// descriptions are found by the operation that they are of.

export interface Parameter {
  readonly name: string;
  readonly in: "query" | "path";
  readonly type: "string" | "integer" | "boolean";
  /** Under which its description is: "list", "pods/exec". */
  readonly operation?: string;
  /** Where it has none there. */
  readonly description?: string;
}

type Type = Parameter["type"];

const query = (operation: string, name: string, type: Type = "string"): Parameter => ({ name, in: "query", type, operation });

const dryRun = query("create", "dryRun");
const fieldManager = query("create", "fieldManager");
const fieldValidation = query("create", "fieldValidation");
const resourceVersion = query("list", "resourceVersion");

const limits: readonly Parameter[] = [
  query("list", "continue"),
  query("list", "fieldSelector"),
  query("list", "labelSelector"),
  query("list", "limit", "integer"),
  resourceVersion,
  query("list", "resourceVersionMatch"),
  query("list", "sendInitialEvents", "boolean"),
  query("list", "shardSelector"),
  query("list", "timeoutSeconds", "integer"),
];

const byName = (a: Parameter, b: Parameter): number => ((a.name === b.name ? a.in < b.in : a.name < b.name) ? -1 : 1);

const deletion: readonly Parameter[] = [
  dryRun,
  query("delete", "gracePeriodSeconds", "integer"),
  query("delete", "ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
  query("delete", "orphanDependents", "boolean"),
  query("delete", "propagationPolicy"),
];

export const parameters = {
  list: [query("list", "allowWatchBookmarks", "boolean"), query("list", "watch", "boolean"), ...limits].sort(byName),
  /** Of custom resources: built-in ones do not tell of it. */
  get: [resourceVersion],
  create: [dryRun, fieldManager, fieldValidation],
  update: [dryRun, fieldManager, fieldValidation],
  patch: [dryRun, query("patch", "fieldManager"), fieldValidation, query("patch", "force", "boolean")],
  delete: deletion,
  deleteCollection: [...deletion, ...limits].sort(byName),
} as const satisfies Record<string, readonly Parameter[]>;

const streamed = (operation: string): readonly Parameter[] => [
  query(operation, "container"),
  query(operation, "stdin", "boolean"),
  query(operation, "stdout", "boolean"),
  query(operation, "stderr", "boolean"),
  query(operation, "tty", "boolean"),
];

/** Of subresources that connect to a node or a container, and of logs. */
export const connectParameters: Readonly<Record<string, readonly Parameter[]>> = {
  "pods/attach": streamed("pods/attach"),
  "pods/exec": [query("pods/exec", "command"), ...streamed("pods/exec")],
  "pods/portforward": [query("pods/portforward", "ports", "integer")],
  "pods/proxy": [query("pods/proxy", "path")],
  "services/proxy": [query("services/proxy", "path")],
  "nodes/proxy": [query("nodes/proxy", "path")],
  "pods/log": [
    query("pods/log", "container"),
    query("pods/log", "follow", "boolean"),
    query("pods/log", "insecureSkipTLSVerifyBackend", "boolean"),
    query("pods/log", "limitBytes", "integer"),
    query("pods/log", "previous", "boolean"),
    query("pods/log", "sinceSeconds", "integer"),
    query("pods/log", "stream"),
    query("pods/log", "tailLines", "integer"),
    query("pods/log", "timestamps", "boolean"),
  ],
};
export const pretty: Parameter = query("list", "pretty");
export const namespaceParameter: Parameter = {
  name: "namespace",
  in: "path",
  type: "string",
  description: "object name and auth scope, such as for teams and projects",
};
export const nameParameter = (kind: string): Parameter => ({
  name: "name",
  in: "path",
  type: "string",
  description: `name of the ${kind}`,
});
export const pathParameter: Parameter = { name: "path", in: "path", type: "string", description: "path to the resource" };

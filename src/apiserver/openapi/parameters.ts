// Query and path parameters of operations, with upstream's names and types; the same for both OpenAPI versions.

export interface Parameter {
  readonly name: string;
  readonly in: "query" | "path";
  readonly type: "string" | "integer" | "boolean";
  readonly description: string;
}

const query = (name: string, type: Parameter["type"], description: string): Parameter => ({ name, in: "query", type, description });

const dryRun = query("dryRun", "string", "All: every step is taken except that nothing is stored.");
const fieldManager = query("fieldManager", "string", "The name of whoever makes the change, recorded in managedFields.");
const fieldValidation = query(
  "fieldValidation",
  "string",
  "What to do about unknown and duplicate fields: Ignore, Warn (the default) or Strict.",
);

const listParameters: readonly Parameter[] = [
  query("continue", "string", "Goes on with a list that was cut off by limit, by the token in its metadata."),
  query("fieldSelector", "string", "Restricts the objects by their fields. Defaults to everything."),
  query("labelSelector", "string", "Restricts the objects by their labels. Defaults to everything."),
  query("limit", "integer", "The most objects to return; metadata.continue then leads to the rest."),
  query("resourceVersion", "string", "The resource version to read from; see resourceVersionMatch."),
  query("resourceVersionMatch", "string", "How resourceVersion applies: Exact or NotOlderThan."),
  query("sendInitialEvents", "boolean", "Begins a watch with the objects there are, ended by a bookmark."),
  query("shardSelector", "string", "Restricts the objects to a shard of them."),
  query("timeoutSeconds", "integer", "How long the call may take, whether or not anything happens."),
];

const byName = (a: Parameter, b: Parameter): number => ((a.name === b.name ? a.in < b.in : a.name < b.name) ? -1 : 1);

const deleteParameters: readonly Parameter[] = [
  dryRun,
  query("gracePeriodSeconds", "integer", "How long the object is given to end by itself; 0 means at once."),
  query(
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "boolean",
    "Deletes an object that cannot be read from storage, without any of the usual checks.",
  ),
  query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
  query("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
];

export const parameters = {
  list: [
    query("allowWatchBookmarks", "boolean", "Sends events of type BOOKMARK now and then, to tell how far a watch has come."),
    query("watch", "boolean", "Watches for changes and sends them as they happen."),
    ...listParameters,
  ].sort(byName),
  create: [dryRun, fieldManager, fieldValidation],
  update: [dryRun, fieldManager, fieldValidation],
  patch: [dryRun, fieldManager, fieldValidation, query("force", "boolean", "Apply takes over fields that other managers own.")],
  delete: deleteParameters,
  deleteCollection: [...deleteParameters, ...listParameters].sort(byName),
} as const satisfies Record<string, readonly Parameter[]>;
const container = query("container", "string", "The container; may be left out where the pod has only one.");
const streamed: readonly Parameter[] = [
  container,
  query("stdin", "boolean", "Whether standard input is sent. Defaults to false."),
  query("stdout", "boolean", "Whether standard output is received."),
  query("stderr", "boolean", "Whether standard error is received."),
  query("tty", "boolean", "Whether the streams are those of a terminal. Defaults to false."),
];
const proxied: readonly Parameter[] = [query("path", "string", "The part of the URL that is sent on.")];

/** Of subresources that connect to a node or a container, and of logs. */
export const connectParameters: Readonly<Record<string, readonly Parameter[]>> = {
  "pods/attach": streamed,
  "pods/exec": [query("command", "string", "The command, an argument each; no shell reads it."), ...streamed],
  "pods/portforward": [query("ports", "integer", "The ports to forward, where WebSockets are used.")],
  "pods/proxy": proxied,
  "services/proxy": proxied,
  "nodes/proxy": proxied,
  "pods/log": [
    container,
    query("follow", "boolean", "Goes on with what is written later. Defaults to false."),
    query("insecureSkipTLSVerifyBackend", "boolean", "The node's certificate is not verified: the log may be anybody's."),
    query("limitBytes", "integer", "The most bytes to read."),
    query("previous", "boolean", "The log of the container that ended before. Defaults to false."),
    query("sinceSeconds", "integer", "How old the lines may be."),
    query("stream", "string", "Which stream: All, Stdout or Stderr."),
    query("tailLines", "integer", "How many lines from the end to begin with."),
    query("timestamps", "boolean", "Begins every line with its time. Defaults to false."),
  ],
};
export const pretty: Parameter = query(
  "pretty",
  "string",
  "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget).",
);
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

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

const byName = (a: Parameter, b: Parameter): number => (a.name < b.name ? -1 : 1);

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

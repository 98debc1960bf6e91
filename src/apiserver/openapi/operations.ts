// Which operations a resource has, independent of the OpenAPI version: paths, methods, ids, parameters, what goes in and
// what comes out. Clients read from them which parameters a server knows (kubectl: fieldValidation) and which kinds can be
// patched how.

import { apiVersionOf, type GroupVersionKind, groupVersionPath, type ResourceType, type SubresourceType } from "../../api/resource-type.ts";
import { schemaOfKind } from "../../api/schema/schema.ts";
import { capital, customTypeName, operationSuffix, tagOf } from "./names.ts";
import { connectParameters, nameParameter, namespaceParameter, type Parameter, parameters, pathParameter, pretty } from "./parameters.ts";

export interface Operation {
  readonly method: "get" | "post" | "put" | "patch" | "delete" | "head" | "options";
  readonly id: string;
  readonly description: string;
  readonly tag: string;
  /** x-kubernetes-action; absent for operations that are not on objects. */
  readonly action?: string;
  readonly kind?: GroupVersionKind;
  readonly parameters: readonly Parameter[];
  /** Schema name of the body; "patch" for a patch. */
  readonly body?: { readonly type: string; readonly required: boolean; readonly patch?: boolean };
  /** Schema name of the answer; absent for plain text ("connect" operations). */
  readonly answer?: string;
  /** Media types of an answer that is text. Default: any. */
  readonly textTypes?: readonly string[];
  /** What it takes and gives may be in CBOR. Default false. */
  readonly cbor?: boolean;
  readonly codes: readonly number[];
  /** The answer may be a watch. */
  readonly streams?: boolean;
  /** Of a custom resource. */
  readonly custom?: boolean;
}

export interface OperationPath {
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly operations: readonly Operation[];
}

const deleteOptions = "meta-v1.DeleteOptions";
const status = "meta-v1.Status";

/** All paths of a group's version. */
export function pathsOf(group: string, version: string, resources: readonly ResourceType[]): OperationPath[] {
  const base = groupVersionPath({ group, version });
  const index: Operation = {
    method: "get",
    id: `get${operationSuffix(group, version)}APIResources`,
    description: "get available resources",
    tag: tagOf(group, version),
    parameters: [],
    answer: "meta-v1.APIResourceList",
    codes: [200],
  };
  const objects = resources.flatMap((type) => [...resourcePaths(base, type), ...watchPaths(base, type)]);
  return [{ path: `${base}/`, parameters: [], operations: [index] }, ...objects.map(withShared)];
}

/** All paths of a custom resource. */
export function customPathsOf(type: ResourceType): OperationPath[] {
  const base = groupVersionPath(type);
  return resourcePaths(base, type).map((path) => withShared({ ...path, operations: path.operations.map(asCustom) }));
}

/** What upstream tells otherwise of custom resources. */
function asCustom(operation: Operation): Operation {
  const { streams: _1, body, ...kept } = operation;
  const custom: Operation = {
    ...kept,
    ...(body ? { body } : {}),
    description: operation.description.replace("list or watch objects", "list objects"),
    custom: true,
  };
  if (kept.action === "get") return { ...custom, parameters: parameters.get };
  if (kept.action === "patch") return { ...custom, codes: [200] };
  if (kept.action !== "deletecollection") return custom;
  const { body: _2, ...rest } = custom;
  return { ...rest, parameters: parameters.list };
}

/** A path whose operations have parameters in common says so itself, all of them by name. */
function withShared({ path, parameters: own, operations }: OperationPath): OperationPath {
  const [first, ...others] = operations;
  const shared = (first?.parameters ?? []).filter((p) => others.every((o) => o.parameters.includes(p)));
  return {
    path,
    parameters: [...own, ...shared].sort(byName),
    operations: operations.map((o) => ({ ...o, parameters: o.parameters.filter((p) => !shared.includes(p)) })),
  };
}

interface Naming {
  readonly type: ResourceType;
  /** "CoreV1Namespaced" or "CoreV1". */
  readonly middle: string;
  readonly tag: string;
  readonly own: GroupVersionKind;
  readonly schema: string | undefined;
}

function resourcePaths(base: string, type: ResourceType): OperationPath[] {
  const suffix = operationSuffix(type.group, type.version);
  const own = { group: type.group, version: type.version, kind: type.kind };
  const naming: Naming = {
    type,
    middle: `${suffix}${type.namespaced ? "Namespaced" : ""}`,
    tag: tagOf(type.group, type.version),
    own,
    schema: isCustom(type) ? customTypeName(own) : (schemaNameOf(own) ?? type.schema),
  };
  const scope = type.namespaced ? [namespaceParameter] : [];
  const collection = `${base}${type.namespaced ? "/namespaces/{namespace}" : ""}/${type.resource}`;
  const paths: OperationPath[] = [{ path: collection, parameters: [...scope, pretty], operations: collectionOperations(naming) }];
  const named = namedOperations(naming);
  if (named.length > 0)
    paths.push({ path: `${collection}/{name}`, parameters: [nameParameter(type.kind), ...scope, pretty], operations: named });
  for (const sub of type.subresources) paths.push(...subresourcePaths(`${collection}/{name}/${sub.name}`, naming, sub, scope));
  if (type.namespaced && type.verbs.includes("list")) {
    const list = { ...listOperation(naming), id: `list${suffix}${type.kind}ForAllNamespaces`, parameters: [] };
    paths.push({ path: `${base}/${type.resource}`, parameters: [...parameters.list, pretty].sort(byName), operations: [list] });
  }
  return paths.filter((p) => p.operations.length > 0);
}

/** The deprecated paths of watches. */
function watchPaths(base: string, { group, version, kind, resource, namespaced, verbs }: ResourceType): OperationPath[] {
  if (!verbs.includes("watch")) return [];
  const suffix = operationSuffix(group, version);
  const watch = (path: string, id: string, own: readonly Parameter[]): OperationPath => {
    const one = path.endsWith("/{name}");
    const description = one
      ? `watch changes to an object of kind ${kind}. deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter.`
      : `watch individual changes to a list of ${kind}. deprecated: use the 'watch' parameter with a list operation instead.`;
    const operation: Operation = {
      method: "get",
      id: `watch${suffix}${id}`,
      description,
      tag: tagOf(group, version),
      action: one ? "watch" : "watchlist",
      kind: { group, version, kind },
      parameters: parameters.list,
      answer: "meta-v1.WatchEvent",
      codes: [200],
      streams: true,
    };
    return { path: `${base}/watch/${path}`, parameters: [...own, pretty], operations: [operation] };
  };
  const scope = namespaced ? [namespaceParameter] : [];
  const collection = namespaced ? `namespaces/{namespace}/${resource}` : resource;
  const name = `${namespaced ? "Namespaced" : ""}${kind}`;
  return [
    ...(namespaced ? [watch(resource, `${kind}ListForAllNamespaces`, [])] : []),
    watch(collection, `${name}List`, scope),
    watch(`${collection}/{name}`, name, [nameParameter(kind), ...scope]),
  ];
}

const isCustom = ({ schema }: ResourceType): boolean => schema === undefined;

const byName = (a: Parameter, b: Parameter): number => ((a.name === b.name ? a.in < b.in : a.name < b.name) ? -1 : 1);

function schemaNameOf(kind: GroupVersionKind): string | undefined {
  return schemaOfKind(apiVersionOf(kind), kind.kind)?.name;
}

function listOperation({ type, middle, tag, own, schema }: Naming): Operation {
  const listKind = { ...own, kind: type.listKind ?? `${type.kind}List` };
  const answer = isCustom(type) ? customTypeName(listKind) : (schemaNameOf(listKind) ?? schema);
  return {
    method: "get",
    id: `list${middle}${type.kind}`,
    description: `${type.verbs.includes("watch") ? "list or watch" : "list"} objects of kind ${type.kind}`,
    tag,
    action: "list",
    kind: own,
    parameters: parameters.list,
    ...(answer ? { answer } : {}),
    codes: [200],
    streams: true,
  };
}

function collectionOperations(naming: Naming): Operation[] {
  const { type, middle, tag, own, schema } = naming;
  const operations: Operation[] = [];
  if (type.verbs.includes("list")) operations.push(listOperation(naming));
  if (type.verbs.includes("create") && schema)
    operations.push({
      method: "post",
      id: `create${middle}${type.kind}`,
      description: `create ${article(type.kind)}`,
      tag,
      action: "post",
      kind: own,
      parameters: parameters.create,
      body: { type: schema, required: true },
      answer: schema,
      codes: [200, 201, 202],
    });
  if (type.verbs.includes("deletecollection"))
    operations.push({
      method: "delete",
      id: `delete${middle.replace(/(Namespaced)?$/, (namespaced) => `Collection${namespaced}`)}${type.kind}`,
      description: `delete collection of ${type.kind}`,
      tag,
      action: "deletecollection",
      kind: own,
      parameters: parameters.deleteCollection,
      body: { type: deleteOptions, required: false },
      answer: status,
      codes: [200],
    });
  return operations;
}

/** Built-in kinds whose deletion is answered with the object, where the others have a Status. */
const answersWithObject: ReadonlySet<string> = new Set(
  (
    "/persistentvolumeclaims /persistentvolumes /pods /podtemplates /resourcequotas /serviceaccounts /services " +
    "resource.k8s.io/deviceclasses resource.k8s.io/resourceclaims resource.k8s.io/resourceclaimtemplates resource.k8s.io/resourceslices " +
    "resource.k8s.io/devicetaintrules resource.k8s.io/resourcepoolstatusrequests " +
    "storage.k8s.io/csidrivers storage.k8s.io/csinodes storage.k8s.io/storageclasses storage.k8s.io/volumeattachments " +
    "storage.k8s.io/volumeattributesclasses"
  ).split(" "),
);

interface ObjectSubject {
  readonly middle: string;
  readonly tag: string;
  /** "Pod", "PodStatus", "DeploymentScale": the end of operation ids. */
  readonly name: string;
  /** "the specified Pod", "status of the specified Pod". */
  readonly described: string;
  readonly kind: GroupVersionKind;
  readonly schema: string;
}

function namedOperations({ type, middle, tag, own, schema }: Naming): Operation[] {
  if (!schema) return [];
  const subject: ObjectSubject = { middle, tag, name: type.kind, described: `the specified ${type.kind}`, kind: own, schema };
  const operations = writeOperations(subject, type.verbs);
  if (type.verbs.includes("delete"))
    operations.push({
      method: "delete",
      id: `delete${middle}${type.kind}`,
      description: `delete ${article(type.kind)}`,
      tag,
      action: "delete",
      kind: own,
      parameters: parameters.delete,
      body: { type: deleteOptions, required: false },
      answer: answersWithObject.has(`${type.group}/${type.resource}`) ? schema : status,
      codes: [200, 202],
    });
  return operations;
}

/** get, put and patch of an object or of a subresource that is one. */
function writeOperations({ middle, tag, name, described, kind, schema }: ObjectSubject, verbs: readonly string[]): Operation[] {
  const common = { tag, kind, answer: schema };
  const operations: Operation[] = [];
  if (verbs.includes("get"))
    operations.push({
      ...common,
      method: "get",
      id: `read${middle}${name}`,
      description: `read ${described}`,
      action: "get",
      parameters: [],
      codes: [200],
    });
  if (verbs.includes("update"))
    operations.push({
      ...common,
      method: "put",
      id: `replace${middle}${name}`,
      description: `replace ${described}`,
      action: "put",
      parameters: parameters.update,
      body: { type: schema, required: true },
      codes: [200, 201],
    });
  if (verbs.includes("patch"))
    operations.push({
      ...common,
      method: "patch",
      id: `patch${middle}${name}`,
      description: `partially update ${described}`,
      action: "patch",
      parameters: parameters.patch,
      body: { type: "meta-v1.Patch", required: true, patch: true },
      codes: [200, 201],
    });
  return operations;
}

const connectMethods = ["get", "post", "put", "patch", "delete", "head", "options"] as const;
const connects = new Set(["exec", "attach", "portforward", "proxy"]);

function subresourcePaths(path: string, naming: Naming, sub: SubresourceType, scope: readonly Parameter[]): OperationPath[] {
  const { type, middle, tag } = naming;
  const name = `${type.kind}${capital(sub.name)}`;
  const ofConnection = connectParameters[`${type.resource}/${sub.name}`] ?? [];
  const shared = [nameParameter(sub.kind.kind), ...scope, ...ofConnection];
  if (connects.has(sub.name)) {
    const methods = sub.name === "proxy" ? connectMethods : (["get", "post"] as const);
    const operations = (withPath: boolean): Operation[] =>
      methods.map((method) => ({
        method,
        id: `connect${middle.replace(/(Namespaced)?$/, (namespaced) => capital(method) + namespaced)}${name}${withPath ? "WithPath" : ""}`,
        description: `connect ${method.toUpperCase()} requests to ${sub.name} of ${type.kind}`,
        tag,
        action: "connect",
        kind: sub.kind,
        parameters: [],
        codes: [200],
      }));
    const plain = { path, parameters: shared, operations: operations(false) };
    return sub.name === "proxy"
      ? [plain, { path: `${path}/{path}`, parameters: [...shared, pathParameter], operations: operations(true) }]
      : [plain];
  }
  const ofItsOwn = isCustom(type) && sub.name === "status";
  const schema = ofItsOwn ? naming.schema : schemaNameOf(sub.kind);
  if (!schema) return [];
  // Operations of custom resources are all told to be of their own kind.
  const kind = isCustom(type) ? naming.own : sub.kind;
  const subject: ObjectSubject = { middle, tag, name, described: `${sub.name} of the specified ${type.kind}`, kind, schema };
  const operations = writeOperations(subject, sub.verbs).map((o) => (sub.name === "log" ? withoutAnswer(o) : o));
  if (sub.verbs.includes("create"))
    operations.push({
      method: "post",
      id: `create${middle}${name}`,
      description: `create ${sub.name} of ${article(type.kind)}`,
      tag,
      action: "post",
      kind: sub.kind,
      parameters: parameters.create,
      body: { type: schema, required: true },
      answer: schema,
      codes: [200, 201, 202],
    });
  const own = sub.name === "log" ? ofConnection : [];
  return [{ path, parameters: [nameParameter(kind.kind), ...scope, pretty, ...own], operations }];
}

/** A log is text, whatever is asked for. */
function withoutAnswer({ answer: _answer, ...operation }: Operation): Operation {
  return { ...operation, textTypes: ["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"] };
}

/** "a Pod", "an Eviction", "Endpoints". */
function article(kind: string): string {
  if (/[^s]s$/.test(kind)) return kind;
  return `${/^[AEIOU]/.test(kind) ? "an" : "a"} ${kind}`;
}

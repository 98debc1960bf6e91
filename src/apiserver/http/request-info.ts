// The first stage's result: what a request is about, read off its method and path as upstream's RequestInfo does.
// "/api/v1/namespaces/default/pods/web/log" with GET is verb "get" of resource "pods", subresource "log".
import { badRequest } from "../../api/meta/status-error.ts";

export interface RequestInfo {
  /** Whether the path is below /api/<version> or /apis/<group>/<version>. */
  readonly isResourceRequest: boolean;
  readonly path: string;
  /** get, list, watch, create, update, patch, delete, deletecollection, proxy; for other paths the lower-case method. */
  readonly verb: string;
  /** "api" or "apis"; "" for other paths. */
  readonly apiPrefix: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** Path parts from the resource on. */
  readonly parts: readonly string[];
  readonly fieldSelector: string;
  readonly labelSelector: string;
}

const verbOfMethod: Readonly<Record<string, string>> = {
  POST: "create",
  GET: "get",
  HEAD: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Parts after /namespaces/<name>/ that belong to the namespace itself. */
const namespaceSubresources = new Set(["status", "finalize"]);
const verbsWithSelectors = new Set(["list", "watch", "deletecollection"]);
const noParts: readonly string[] = [];

/** A path that ends before it has said what it is about. */
export class UndeterminedPath extends Error {}

/** Creates name nothing, so that they come again, and their queries say nothing of what they are about. Emptied when full. */
const knownCreates = new Map<string, RequestInfo>();
const maxKnownCreates = 1024;
const maxKnownLength = 512;

/** `path` is percent-encoded, as received. Throws BadRequest for a path that cannot be decoded, UndeterminedPath for one cut short. */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const known = method === "POST" ? knownCreates.get(path) : undefined;
  if (known) return known;
  const info = readRequestInfo(method, path, query);
  if (info.verb === "create" && info.name === "" && path.length <= maxKnownLength) {
    if (knownCreates.size >= maxKnownCreates) knownCreates.clear();
    knownCreates.set(path, info);
  }
  return info;
}

function readRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const decoded = path.includes("%") ? decodePath(path) : path;
  const parts = splitPath(decoded);
  const prefix = parts[0];
  const start = prefix === "api" ? 2 : prefix === "apis" ? 3 : 0;
  if (start === 0 || parts.length <= start) return plainRequest(method, decoded, prefix, parts);

  const group = start === 3 ? (parts[1] ?? "") : "";
  let rest = parts.slice(start);
  let verb = verbOfMethod[method] ?? "";
  const prefixVerb = rest[0] === "watch" || rest[0] === "proxy" ? rest[0] : undefined;
  if (prefixVerb !== undefined) {
    if (rest.length < 2) throw new UndeterminedPath(`unable to determine kind and namespace from url, ${path}`);
    verb = prefixVerb;
    rest = rest.slice(1);
  }
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 1) {
    namespace = rest[1] ?? "";
    if (rest.length > 2 && !namespaceSubresources.has(rest[2] ?? "")) rest = rest.slice(2);
  }
  let name = rest[1] ?? "";
  if (name === "" && verb === "get") {
    verb = asksToWatch(query) ? "watch" : "list";
    name = nameInFieldSelector(query.get("fieldSelector"));
  } else if (name === "" && verb === "delete") verb = "deletecollection";
  const selectors = prefixVerb === undefined && verbsWithSelectors.has(verb);
  return {
    isResourceRequest: true,
    path: decoded,
    verb,
    apiPrefix: prefix ?? "",
    apiGroup: group,
    apiVersion: parts[start - 1] ?? "",
    namespace,
    resource: rest[0] ?? "",
    subresource: prefixVerb === "proxy" ? "" : (rest[2] ?? ""),
    name,
    parts: rest,
    fieldSelector: selectors ? (query.get("fieldSelector") ?? "") : "",
    labelSelector: selectors ? (query.get("labelSelector") ?? "") : "",
  };
}

/** What is answered by streams or held open: watches, logs that follow, exec, profiles and the like. No deadline applies to it. */
export function isLongRunning(info: RequestInfo): boolean {
  if (info.verb === "watch" || info.verb === "proxy") return true;
  if (!info.isResourceRequest) return info.path.startsWith("/debug/pprof/");
  return longRunningSubresources.has(info.subresource);
}

const longRunningSubresources = new Set(["attach", "exec", "proxy", "log", "portforward"]);

function plainRequest(method: string, path: string, prefix: string | undefined, parts: readonly string[]): RequestInfo {
  // Upstream keeps the prefix of paths that are deep enough to have been looked at, group paths included.
  const known = (prefix === "api" || prefix === "apis") && parts.length >= 3;
  return {
    isResourceRequest: false,
    path,
    verb: method.toLowerCase(),
    apiPrefix: known ? prefix : "",
    apiGroup: "",
    apiVersion: "",
    namespace: "",
    resource: "",
    subresource: "",
    name: "",
    parts: noParts,
    fieldSelector: "",
    labelSelector: "",
  };
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    throw badRequest(`invalid URL escape in ${JSON.stringify(path)}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function splitPath(path: string): string[] {
  let from = 0;
  let to = path.length;
  while (from < to && path.charCodeAt(from) === 47) from++;
  while (to > from && path.charCodeAt(to - 1) === 47) to--;
  return from === to ? [] : path.slice(from, to).split("/");
}

function asksToWatch(query: URLSearchParams): boolean {
  const value = query.get("watch");
  return value !== null && value.toLowerCase() !== "false" && value !== "0";
}

/** A list by `metadata.name=x` alone is about that object: rules for a resource name then apply to it. */
function nameInFieldSelector(selector: string | null): string {
  for (const term of selector?.split(",") ?? []) {
    const name = /^metadata\.name==?([^=!,]+)$/.exec(term.trim())?.[1];
    if (name !== undefined && name !== "." && name !== ".." && !/[/%]/.test(name)) return name;
  }
  return "";
}

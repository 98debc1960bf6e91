// Requests that code answers instead of storage: virtual resources that are created and not kept (token reviews, access
// reviews, service account tokens), and subresources that connect to a node. Admission sees both.

import { defaultTokenRequest } from "../../api/defaults/authentication.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { apiVersionOf, type GroupVersionKind, type ResourceType } from "../../api/resource-type.ts";
import { serviceaccounts } from "../../api/resources.generated.ts";
import { splitProxyPath } from "../connect/proxy-links.ts";
import { negotiateOutput } from "../http/negotiate.ts";
import type { ApiRequest, ApiResponse, Handler, RequestContext } from "../request.ts";
import { readObject } from "./body.ts";
import { type OwnershipRules, recordUpdate } from "./field-management.ts";
import type { CreateHandler } from "./handler-types.ts";
import { inNamespace, withoutSystemFields } from "./object-meta.ts";
import { parseBoolean, parseWriteOptions } from "./request-options.ts";
import type { ResourceStore } from "./resource-store.ts";
import { admissionRequest, type WriteEnvironment } from "./write-environment.ts";
import { writeRequest } from "./write-verbs.ts";

/** Decodes, admits and hands the object to its creator. */
export async function createVirtual(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  creator: CreateHandler,
): Promise<ApiResponse> {
  const { info } = context;
  const { type } = store;
  negotiateOutput(context.request); // what is not kept is shown as it is, never as a table: 406 comes before anything is done
  const options = parseWriteOptions("CreateOptions", context.request.query);
  const kind = type.subresources.find((s) => s.name === info.subresource)?.kind ?? type;
  const schema = kind === type ? type.schema : undefined;
  const sent = await readObject(context, { group: kind.group, version: kind.version, kind: kind.kind, schema }, options.fieldValidation);
  const namespace = type.namespaced ? info.namespace : "";
  const request = writeRequest(context, options, { namespace, name: info.name, subresource: info.subresource });
  // A request for a token may name the account's uid; of other objects what the server sets is dropped.
  const placed = kind === type ? withoutSystemFields(inNamespace(sent, namespace)) : inNamespace(defaultTokenRequest(sent), namespace);
  // What is not kept has managed fields all the same: its answer shows them.
  const object = recordUpdate(kind === type ? store.definition : tokenRequest, undefined, placed, { ...request, nowMs: env.clock.now() });
  // Admission is told the name that is sent where the path has none.
  const subject = { operation: "CREATE", type, name: info.name || object.metadata.name || "", kind } as const;
  const admitted = (await env.admission.mutate(admissionRequest(request, { ...subject, object }))) ?? object;
  await env.admission.validate(admissionRequest(request, { ...subject, object: admitted }));
  const created = await creator({
    type,
    subresource: info.subresource,
    namespace,
    name: info.name,
    object: admitted,
    dryRun: options.dryRun,
    context,
  });
  return { kind: "object", status: 201, object: created };
}

/** What a service account's token subresource takes: the only one whose kind is not that of its resource, and is answered. */
const tokenRequest: OwnershipRules = {
  type: {
    ...serviceaccounts,
    group: "authentication.k8s.io",
    kind: "TokenRequest",
    schema: "authentication-v1.TokenRequest",
    subresources: [],
  } as ResourceType<KubernetesObject>,
};

export interface Connection {
  readonly connector: Handler;
  /** Of the options: PodExecOptions. */
  readonly kind: GroupVersionKind;
}

/** Admits a CONNECT and hands the request over. */
export async function connect(
  env: WriteEnvironment,
  store: ResourceStore,
  context: RequestContext,
  { connector, kind }: Connection,
): Promise<ApiResponse> {
  const { info } = context;
  const namespace = store.type.namespaced ? info.namespace : "";
  const request = { context, namespace, name: info.name, subresource: info.subresource, dryRun: false, options: {}, manager: "" };
  const object = connectOptions(context, kind);
  // Logs are read, not connected to.
  if (info.subresource !== "log") {
    const subject = { operation: "CONNECT", type: store.type, name: info.name, object, kind } as const;
    const admitted = (await env.admission.mutate(admissionRequest(request, subject))) ?? object;
    await env.admission.validate(admissionRequest(request, { ...subject, object: admitted }));
    if (admitted !== object) return connector(withOptions(context, admitted));
  }
  return connector(context);
}

/** The request with the options that admission has made of it. */
function withOptions(context: RequestContext, options: KubernetesObject): RequestContext {
  const { request, info } = context;
  const { path, ...fields } = options as unknown as ConnectOptions;
  if (info.subresource === "proxy") {
    const { prefix } = splitProxyPath(request.path, info.namespace !== "");
    return { ...context, request: changed(request, { path: prefix + (path ?? "") }) };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields))
    if (!typeFields.has(name)) for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) query.append(name, String(one));
  return { ...context, request: changed(request, { query }) };
}

/** What a request has by its class is not copied with its fields. */
function changed(request: ApiRequest, change: Partial<ApiRequest>): ApiRequest {
  return { ...request, headerLines: (name) => request.headerLines(name), signal: request.signal, ...change };
}

/** PodExecOptions and the like: fields of the query, without metadata. */
interface ConnectOptions {
  readonly path?: string;
  readonly [field: string]: unknown;
}

const typeFields = new Set(["kind", "apiVersion", "metadata"]);
function optionOf(name: string, values: readonly string[]): unknown {
  if (name === "ports") return values.flatMap((value) => value.split(",").map(Number));
  if (name === "command") return values;
  return booleans.has(name) ? parseBoolean(values[0] ?? "") : values[0];
}

const booleans = new Set(["stdin", "stdout", "stderr", "tty"]);

/** What of the query makes up the options object that admission plugins look at. */
function connectOptions({ request, info }: RequestContext, kind: GroupVersionKind): KubernetesObject {
  const options: Record<string, unknown> = { kind: kind.kind, apiVersion: apiVersionOf(kind) };
  if (info.subresource === "proxy") {
    const { rest } = splitProxyPath(request.path, info.namespace !== "");
    if (rest !== "") options["path"] = rest;
  } else
    for (const name of new Set(request.query.keys())) {
      if (typeFields.has(name)) continue;
      const values = request.query.getAll(name);
      options[name] = optionOf(name, values);
    }
  return options as unknown as KubernetesObject; // options have no metadata
}

// The typed client over any transport: builds paths and queries, and turns answers of 400 and above into StatusError.
// Objects sent and received are shared references over the in-process transport, so neither side changes them.
import type { KubernetesObject, New } from "../api/meta/object.ts";
import { StatusError, type StatusReason } from "../api/meta/status-error.ts";
import { apiVersionOf, type ResourceType, resourcePath } from "../api/resource-type.ts";
import type { Status } from "../api/types/meta-v1.ts";
import type {
  CallOptions,
  Client,
  ListOptions,
  NamedTarget,
  ObjectList,
  PatchType,
  Target,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./client.ts";
import type { RawWatchEvent, Transport, TransportRequest } from "./transport.ts";

const patchContentTypes: Readonly<Record<PatchType, string>> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
};

export function createClient(transport: Transport): Client {
  const call = async (request: TransportRequest): Promise<unknown> => {
    const response = await transport.request(request);
    if (response.status >= 400) throw statusErrorOf(response.status, response.body, `${request.method} ${request.path}`);
    return response.body;
  };

  /** A write whose answer is an object of the same type. */
  const write = <T extends KubernetesObject>(
    method: TransportRequest["method"],
    type: ResourceType<T>,
    at: NamedTarget | Target,
    body: unknown,
    options: WriteOptions = {},
    more: Partial<TransportRequest> = {},
  ): Promise<T> => {
    const path = resourcePath(type, { ...at, subresource: options.subresource });
    return call({ method, path, body, ...callOptions(options), query: writeQuery(options), ...more }) as Promise<T>;
  };

  return {
    get: <T extends KubernetesObject>(type: ResourceType<T>, at: NamedTarget, options: CallOptions & { resourceVersion?: string } = {}) =>
      call({
        method: "GET",
        path: objectPath(type, at),
        ...callOptions(options),
        query: { resourceVersion: options.resourceVersion },
      }) as Promise<T>,

    async list<T extends KubernetesObject>(type: ResourceType<T>, options: ListOptions = {}) {
      const path = resourcePath(type, { namespace: options.namespace });
      const body = await call({ method: "GET", path, ...callOptions(options), query: listQuery(options) });
      return completeList(type, body as ObjectList<T>);
    },

    async watch<T extends KubernetesObject>(type: ResourceType<T>, options: WatchOptions = {}) {
      const batches = await transport.watch({
        method: "GET",
        path: resourcePath(type, { namespace: options.namespace }),
        query: watchQuery(options),
        signal: options.signal,
      });
      return watchEvents<T>(batches);
    },

    create<T extends KubernetesObject>(type: ResourceType<T>, object: New<T>, options?: WriteOptions) {
      const { namespace } = object.metadata;
      const body = object.kind && object.apiVersion ? object : { ...object, apiVersion: apiVersionOf(type), kind: type.kind };
      return write("POST", type, inNamespace(type, namespace), body, options);
    },

    update: (type, object, options) => write("PUT", type, targetOf(type, object), object, options),

    updateStatus: (type, object, options) => write("PUT", type, targetOf(type, object), object, { ...options, subresource: "status" }),

    patch: (type, at, patch, options) =>
      write("PATCH", type, checkedTarget(type, at), patch, options, {
        contentType: patchContentTypes[options.type],
        query: { ...writeQuery(options), force: options.force ? "true" : undefined },
      }),

    delete: (type, at, options = {}) =>
      call({ method: "DELETE", path: objectPath(type, at), ...callOptions(options), ...(options.body ? { body: options.body } : {}) }),

    async deleteCollection(type, options = {}) {
      const path = resourcePath(type, inNamespace(type, options.namespace));
      const body = options.body ? { body: options.body } : {};
      await call({ method: "DELETE", path, ...callOptions(options), query: listQuery(options), ...body });
    },

    createSubresource: <R>(type: ResourceType, at: NamedTarget & { subresource: string }, body: unknown, options: WriteOptions = {}) =>
      call({ method: "POST", path: objectPath(type, at), body, ...callOptions(options), query: writeQuery(options) }) as Promise<R>,

    getSubresource: <R>(type: ResourceType, at: NamedTarget & { subresource: string }, options: CallOptions = {}) =>
      call({ method: "GET", path: objectPath(type, at), ...callOptions(options) }) as Promise<R>,

    raw(method, path, options = {}) {
      const [pathOnly = path, search] = path.split("?", 2);
      const { body, contentType, accept } = options;
      return call({
        method,
        path: pathOnly,
        ...callOptions(options),
        ...(search === undefined ? {} : { query: Object.fromEntries(new URLSearchParams(search)) }),
        ...(body === undefined ? {} : { body }),
        ...(contentType === undefined ? {} : { contentType }),
        ...(accept === undefined ? {} : { accept }),
      });
    },
  };
}

/** The error an answer of 400 or above means: its Status, or one made from what was sent instead. */
export function statusErrorOf(httpStatus: number, body: unknown, what: string): StatusError {
  if (isStatusBody(body)) return new StatusError({ code: httpStatus, ...body });
  const text = typeof body === "string" && body.trim() !== "" ? body.trim().slice(0, 1000) : `the server answered ${httpStatus}`;
  return new StatusError({ code: httpStatus, reason: reasonOf(httpStatus), message: `${what}: ${text}` });
}

function isStatusBody(body: unknown): body is Status {
  return typeof body === "object" && body !== null && (body as { readonly kind?: unknown }).kind === "Status";
}

const reasons: Readonly<Record<number, StatusReason>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  409: "Conflict",
  410: "Gone",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

function reasonOf(httpStatus: number): StatusReason {
  return reasons[httpStatus] ?? "";
}

function callOptions(options: CallOptions): Pick<TransportRequest, "signal" | "timeoutMs"> {
  return {
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  };
}

function writeQuery(options: WriteOptions): NonNullable<TransportRequest["query"]> {
  return {
    dryRun: options.dryRun ? "All" : undefined,
    fieldManager: options.fieldManager,
    fieldValidation: options.fieldValidation,
  };
}

function listQuery(options: ListOptions): NonNullable<TransportRequest["query"]> {
  return {
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    resourceVersion: options.resourceVersion,
    resourceVersionMatch: options.resourceVersionMatch,
    limit: options.limit === undefined ? undefined : String(options.limit),
    continue: options.continue,
  };
}

function watchQuery(options: WatchOptions): NonNullable<TransportRequest["query"]> {
  return {
    watch: "true",
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    resourceVersion: options.resourceVersion,
    allowWatchBookmarks: options.allowWatchBookmarks ? "true" : undefined,
    timeoutSeconds: options.timeoutSeconds === undefined ? undefined : String(options.timeoutSeconds),
  };
}

function targetOf(type: ResourceType, object: KubernetesObject): NamedTarget {
  const { namespace, name } = object.metadata;
  return checkedTarget(type, namespace === undefined ? { name } : { namespace, name });
}

function checkedTarget<A extends NamedTarget>(type: ResourceType, at: A): A {
  // An empty name would address the whole collection: a DELETE of it is the worst that could happen by mistake.
  if (at.name === "") throw new TypeError(`a name is required to address one of ${type.resource}`);
  inNamespace(type, at.namespace);
  return at;
}

function inNamespace(type: ResourceType, namespace: string | undefined): Target {
  if (type.namespaced && !namespace) throw new TypeError(`a namespace is required to write ${type.resource}`);
  return namespace ? { namespace } : {};
}

function objectPath(type: ResourceType, at: NamedTarget & { readonly subresource?: string }): string {
  return resourcePath(type, checkedTarget(type, at));
}

/** Lists of built-in kinds carry apiVersion and kind once, for all items: put them back where they are missing. */
function completeList<T extends KubernetesObject>(type: ResourceType<T>, list: ObjectList<T>): ObjectList<T> {
  // A null list is how Go writes an empty one.
  const items = list.items ?? [];
  const first = items[0];
  if (!first || (first.kind && first.apiVersion)) return list.items ? list : { ...list, items };
  const apiVersion = apiVersionOf(type);
  return { ...list, items: items.map((item) => ({ ...item, apiVersion, kind: type.kind })) };
}

async function* watchEvents<T>(batches: AsyncIterable<readonly RawWatchEvent[]>): AsyncGenerator<readonly WatchEvent<T>[]> {
  for await (const batch of batches) {
    const failed = batch.findIndex((event) => event.type === "ERROR");
    if (failed < 0) {
      yield batch as readonly WatchEvent<T>[];
      continue;
    }
    if (failed > 0) yield batch.slice(0, failed) as readonly WatchEvent<T>[];
    const status = batch[failed]?.object;
    throw statusErrorOf(isStatusBody(status) ? (status.code ?? 500) : 500, status, "watch");
  }
}

// Requests as spans, under upstream's names: the request with its route, the stages it passes, each begun where the one before
// hands on, and what is done with the resource. A trace that the client has begun goes on only where the client is one of the
// cluster's own (system:masters, system:monitoring); of others the span begins a trace and is tied to theirs.
import { type ActiveSpan, parseTraceparent, type SpanAttributes, type Tracer } from "../../base/tracing.ts";
import { type ApiResponse, type Handler, loggedAuditId, type RequestContext, type Stage } from "../request.ts";

export interface RequestSpans {
  /** After authentication. */
  readonly request: Stage;
  /** The stage as a span that is over when it hands on. */
  stage(name: string, stage: Stage): Stage;
  /** The end of the way: what is done with resources. */
  resources(handler: Handler): Handler;
}

const trusted = new Set(["system:masters", "system:monitoring"]);

export function createRequestSpans(tracer: Tracer): RequestSpans {
  return {
    async request(context, next) {
      const caller = parseTraceparent(context.request.headers.traceparent);
      const isTrusted = context.user.groups.some((group) => trusted.has(group));
      const span = tracer.root(requestName(context), {
        kind: "server",
        attributes: requestAttributes(context),
        ...(isTrusted ? { parent: caller } : caller ? { links: [caller] } : {}),
      });
      if (!span) return next(context);
      try {
        const response = await span.run(() => next(context));
        endWhenAnswered(span, context, response);
        return response;
      } catch (error) {
        // Thrown is what clients are told with a Status.
        const { code = 500 } = error as { readonly code?: number };
        span.end({ "http.response.status_code": code }, code >= 500 ? "" : undefined);
        throw error;
      }
    },
    stage: (name, stage) => (context, next) => {
      const span = tracer.step(name);
      if (!span) return stage(context, next);
      const onward: Handler = (passed) => {
        span.end();
        return next(passed);
      };
      return span.run(() => stage(context, onward)).finally(() => span.end());
    },
    resources: (handler) => (context) => {
      const name = verbNames[context.info.verb];
      return name === undefined ? handler(context) : tracer.within(name, { attributes: verbAttributes(context) }, () => handler(context));
    },
  };
}

const verbNames: Readonly<Record<string, string>> = {
  ...{ get: "Get", list: "List", create: "Create", update: "Update", patch: "Patch" },
  ...{ delete: "Delete", deletecollection: "Delete" },
};

/** A request is over when its answer has been written; that of a client in the process when it is there. */
function endWhenAnswered(span: ActiveSpan, context: RequestContext, response: ApiResponse): void {
  const status = "status" in response ? response.status : response.kind === "watch" ? 200 : 101;
  const attributes = {
    ...(context.bodyBytes ? { "http.request.body.size": context.bodyBytes } : {}),
    ...(response.kind === "bytes" ? { "http.response.body.size": response.bytes.length } : {}),
    "http.response.status_code": status,
  };
  const end = (): void => span.end(attributes, status >= 500 ? "" : undefined);
  if (context.request.trustedUser) end();
  else context.onceAnswered = end;
}

/** "GET /api/v1/namespaces/{:namespace}/pods/{:name}": nothing in it that tells one object from another. */
function requestName({ info, request: { method } }: RequestContext): string {
  if (!info.isResourceRequest) return method;
  const parts = [
    ...(info.apiGroup === "" ? ["api"] : ["apis", info.apiGroup]),
    info.apiVersion,
    ...(info.namespace === "" ? [] : ["namespaces", "{:namespace}"]),
    info.resource,
    ...(info.name === "" ? [] : ["{:name}"]),
    ...(info.subresource === "" ? [] : [info.subresource]),
  ];
  return `${method} /${parts.join("/")}`;
}

function requestAttributes({ request, auditId }: RequestContext): SpanAttributes {
  const { method, path, query, headers, remoteAddress } = request;
  const authority = headers.host ?? headers[":authority"] ?? "";
  const [, host = "", port] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(authority) ?? [];
  return {
    "server.address": host,
    "http.request.method": method,
    "url.scheme": "https",
    ...(port === undefined ? {} : { "server.port": Number(port) }),
    ...(remoteAddress === "" ? {} : { "network.peer.address": remoteAddress, "client.address": remoteAddress }),
    ...(headers["user-agent"] ? { "user_agent.original": headers["user-agent"] } : {}),
    "url.path": path,
    "network.protocol.version": headers[":authority"] === undefined ? "1.1" : "2.0",
    "http.target": query.size > 0 ? `${path}?${query.toString()}` : path,
    "audit-id": loggedAuditId(auditId ?? ""),
  };
}

function verbAttributes({ info, request, auditId }: RequestContext): SpanAttributes {
  const { path, headers, remoteAddress, method } = request;
  return {
    accept: headers.accept ?? "",
    "audit-id": loggedAuditId(auditId ?? ""),
    client: remoteAddress,
    "api-group": info.apiGroup,
    "api-version": info.apiVersion,
    name: info.name,
    subresource: info.subresource,
    namespace: info.namespace,
    protocol: headers[":authority"] === undefined ? "HTTP/1.1" : "HTTP/2.0",
    resource: info.resource,
    scope: info.name !== "" || info.verb === "create" ? "resource" : info.namespace !== "" ? "namespace" : "cluster",
    url: path,
    "user-agent": headers["user-agent"] ?? "",
    verb: info.verb === "list" || info.verb === "watch" ? info.verb.toUpperCase() : method,
  };
}

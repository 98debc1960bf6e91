// pods/proxy, services/proxy and nodes/proxy: the request is sent on to a pod, to a service's endpoint, or to a node's
// kubelet, and the answer comes back as it is. Upgrades (WebSockets of web applications) pass through too.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { badRequest, serviceUnavailable } from "../../api/meta/status-error.ts";
import { passThrough, upgradeHeaders } from "../../rpc/upgrade.ts";
import type { Connects } from "../registry/handler-types.ts";
import type { ApiRequest, ApiResponse, Handler, RequestContext } from "../request.ts";
import { type ConnectDependencies, kubeletUrlOfNode, podOf } from "./node-endpoint.ts";
import { type ServiceTargetDeps, serviceDestination } from "./service-target.ts";

const timeoutMs = 60_000;
const maxBodyBytes = 64 * 1024 * 1024;
/** Headers that belong to one connection, or that the API server itself consumes. */
const notForwarded =
  /^(connection|upgrade|keep-alive|transfer-encoding|te|trailer|proxy-.*|authorization|impersonate-.*|x-remote-(user|uid|group|extra-.*)|content-length|:.*)$/;

export type ProxyDependencies = ConnectDependencies & ServiceTargetDeps;

export function proxyConnects(deps: ProxyDependencies): Connects {
  return {
    "/pods/proxy": proxyTo(deps, podTarget),
    "/services/proxy": proxyTo(deps, serviceTarget),
    "/nodes/proxy": proxyTo(deps, (d, _namespace, name) => kubeletUrlOfNode(d, name)),
  };
}

/** "scheme:name:port" as it stands in proxy paths; only the name is required. */
function splitName(text: string): { readonly scheme: string; readonly name: string; readonly port: string } {
  const parts = text.split(":");
  if (parts.length === 1) return { scheme: "http", name: text, port: "" };
  if (parts.length === 2) return { scheme: "http", name: parts[0] ?? "", port: parts[1] ?? "" };
  if (parts.length === 3 && ["http", "https", ""].includes(parts[0] ?? ""))
    return { scheme: parts[0] || "http", name: parts[1] ?? "", port: parts[2] ?? "" };
  throw badRequest(`invalid proxy request ${JSON.stringify(text)}: expected [scheme:]name[:port]`);
}

function podTarget(deps: ProxyDependencies, namespace: string, id: string): string {
  const { scheme, name, port } = splitName(id);
  const pod = podOf(deps, namespace, name);
  const address = pod.status?.podIP;
  if (!address) throw badRequest("address not allowed");
  const chosen = port || String(pod.spec.containers.flatMap((c) => c.ports ?? [])[0]?.containerPort ?? "");
  return `${scheme}://${host(address)}${chosen === "" ? "" : `:${chosen}`}`;
}

function serviceTarget(deps: ProxyDependencies, namespace: string, id: string): string {
  const { scheme, name, port } = splitName(id);
  const { address, port: number } = serviceDestination(deps, { namespace, service: name, port });
  return `${scheme}://${host(address)}:${number}`;
}

const host = (address: string): string => (address.includes(":") ? `[${address}]` : address);

function proxyTo(deps: ProxyDependencies, target: (deps: ProxyDependencies, namespace: string, name: string) => string): Handler {
  return async (context) => {
    const { info, request } = context;
    const base = target(deps, info.namespace, info.name);
    // parts: resource, name, "proxy", then the rest of the path.
    const rest = request.path.slice(request.path.indexOf("/proxy") + "/proxy".length);
    const query = request.query.toString();
    const url = new URL(`${base}${rest === "" ? "/" : rest}${query === "" ? "" : `?${query}`}`);
    const tls = info.resource === "nodes" ? deps.kubeletTls : {};
    if (request.upgrade) {
      const headers = { ...upgradeHeaders(request.headers), host: url.host };
      return { kind: "upgrade", serve: (upgrade) => void passThrough(upgrade, url, { method: request.method, headers, tls, timeoutMs }) };
    }
    return forward(url, tls, context);
  };
}

async function forward(url: URL, tls: ConnectDependencies["kubeletTls"], context: RequestContext): Promise<ApiResponse> {
  const { request } = context;
  const body = await bodyOf(request);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) if (value !== undefined && !notForwarded.test(name)) headers[name] = value;
  const secure = url.protocol === "https:";
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = (secure ? httpsRequest : httpRequest)(url, {
      method: request.method,
      headers: { ...headers, host: url.host, "content-length": String(body.length) },
      agent: false,
      timeout: timeoutMs,
      signal: request.signal,
      ...(secure ? { ...tls, rejectUnauthorized: tls.ca !== undefined } : {}),
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    outgoing.on("response", resolve);
    outgoing.on("error", (error) => reject(serviceUnavailable(`error trying to reach service: ${error.message}`)));
    outgoing.end(body);
  });
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined && !notForwarded.test(name) && name !== "content-type")
      passed[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    kind: "stream",
    status: response.statusCode ?? 502,
    contentType: response.headers["content-type"] ?? "text/plain",
    chunks: response,
    asIs: true,
    headers: passed,
  };
}

async function bodyOf(request: ApiRequest): Promise<Uint8Array> {
  if (request.body.kind === "none") return new Uint8Array();
  if (request.body.kind === "bytes") return request.body.read(maxBodyBytes);
  return Buffer.from(JSON.stringify(request.body.value));
}

// pods/proxy, services/proxy and nodes/proxy: the request is sent on to a pod, to a service's endpoint, or to a node's
// kubelet, and the answer comes back as it is. Upgrades (WebSockets of web applications) pass through too.
import type { IncomingMessage } from "node:http";
import { parseIP } from "../../api/meta/ip.ts";
import { badRequest, type StatusError, serviceUnavailable } from "../../api/meta/status-error.ts";
import { isLinkLocal } from "../../api/validation/addresses.ts";
import { type Dial, requestTo } from "../../rpc/dial.ts";
import { passThrough, upgradeHeaders } from "../../rpc/upgrade.ts";
import { forwardedBody, sendBody } from "../http/forwarded-body.ts";
import type { Connects } from "../registry/handler-types.ts";
import type { ApiResponse, Handler, RequestContext } from "../request.ts";
import { connectionProblem } from "../webhook/webhook-error.ts";
import { type ConnectDependencies, kubeletPlace, podOf } from "./node-endpoint.ts";
import { type LinkContext, rewriteHtml, rewriteLink, splitProxyPath } from "./proxy-links.ts";
import { type ServiceTargetDeps, serviceDestination } from "./service-target.ts";

const timeoutMs = 60_000;
/** Headers that belong to one connection, or that the API server itself consumes. */
const notForwarded =
  /^(connection|upgrade|keep-alive|transfer-encoding|te|trailer|proxy-.*|authorization|impersonate-.*|x-remote-(user|uid|group|extra-.*)|content-length|:.*)$/;

export type ProxyDependencies = ConnectDependencies & ServiceTargetDeps;

export function proxyConnects(deps: ProxyDependencies): Connects {
  return {
    "/pods/proxy": proxyTo(deps, podTarget),
    "/services/proxy": proxyTo(deps, serviceTarget),
    "/nodes/proxy": proxyTo(deps, nodeTarget),
  };
}

/** "scheme:name:port" as it stands in proxy paths; only the name is required. */
function splitName(
  text: string,
  resource: "node" | "pod" | "service",
): { readonly scheme: string; readonly name: string; readonly port: string } {
  const parts = text.split(":");
  if (parts.length === 1) return { scheme: "http", name: text, port: "" };
  if (parts.length === 2) return { scheme: "http", name: parts[0] ?? "", port: parts[1] ?? "" };
  if (parts.length === 3 && ["http", "https", ""].includes(parts[0] ?? ""))
    return { scheme: parts[0] || "http", name: parts[1] ?? "", port: parts[2] ?? "" };
  throw badRequest(`invalid ${resource} request ${JSON.stringify(text)}`);
}

/** Where a request goes: "https://10.0.0.1:10250", and whether that is a kubelet, which is shown the server's own certificate. */
interface Target {
  readonly base: string;
  readonly isKubelet?: true;
}

/** The node's kubelet, also by the number of its port, or what else listens on the node. */
function nodeTarget(deps: ProxyDependencies, _namespace: string, id: string): Target {
  const { scheme, name, port } = splitName(id, "node");
  const kubelet = kubeletPlace(deps, name);
  if (port === "" || port === String(kubelet.port)) return { base: `https://${kubelet.host}:${kubelet.port}`, isKubelet: true };
  return { base: `${scheme}://${kubelet.host}:${dialledPort(port)}` };
}

function podTarget(deps: ProxyDependencies, namespace: string, id: string): Target {
  const { scheme, name, port } = splitName(id, "pod");
  const pod = podOf(deps, namespace, name);
  const address = pod.status?.podIP;
  if (!address || !isReachable(address)) throw badRequest("address not allowed");
  const chosen = port || String(pod.spec.containers.flatMap((c) => c.ports ?? [])[0]?.containerPort ?? "");
  return { base: `${scheme}://${host(address)}${chosen === "" ? "" : `:${dialledPort(chosen)}`}` };
}

/** Of the client's choice, and behind an address in a URL: what is no number could make another host of it ("80@elsewhere"). */
function dialledPort(port: string): string {
  if (!/^\d+$/.test(port)) throw unreachable(`dial tcp: lookup tcp/${port}: unknown port`);
  if (Number(port) > 65_535) throw unreachable(`dial tcp: address ${port}: invalid port`);
  return port;
}

const unreachable = (why: string): StatusError => serviceUnavailable(`error trying to reach service: ${why}`);

/** No pod has an address that only means something on this machine's link: what lies there (metadata of a cloud) is none. */
function isReachable(address: string): boolean {
  const ip = parseIP(address);
  return ip !== undefined && !isLinkLocal(ip) && ip.bytes.some((byte) => byte !== 0);
}

function serviceTarget(deps: ProxyDependencies, namespace: string, id: string): Target {
  const { scheme, name, port } = splitName(id, "service");
  const { address, port: number } = serviceDestination(deps, { namespace, service: name, port, id });
  return { base: `${scheme}://${host(address)}:${number}` };
}

const host = (address: string): string => (address.includes(":") ? `[${address}]` : address);

function proxyTo(deps: ProxyDependencies, target: (deps: ProxyDependencies, namespace: string, name: string) => Target): Handler {
  return async (context) => {
    const { info, request } = context;
    const { base, isKubelet } = target(deps, info.namespace, info.name);
    const { prefix, rest } = splitProxyPath(request.path, info.namespace !== "");
    // As it was sent: it is for whom it reaches to read.
    const query = rawQuery(request.uri ?? "");
    const url = new URL(`${base}${rest === "" ? "/" : rest}${query === "" ? "" : `?${query}`}`);
    const isNode = info.resource === "nodes";
    const tls = isKubelet ? deps.kubeletTls : {};
    if (request.upgrade) {
      const headers = { ...upgradeHeaders(request.headers), host: url.host };
      const options = { method: request.method, headers, tls, timeoutMs, dial: deps.dial, agents: deps.agents };
      return { kind: "upgrade", serve: (upgrade) => void passThrough(upgrade, url, options) };
    }
    // Relative links of a page mean something only with the slash.
    if (rest === "" && (request.method === "GET" || request.method === "HEAD")) return movedTo(`${request.path}/${query && `?${query}`}`);
    const links = isNode ? undefined : { prefix, hosts: [url.host, request.headers.host ?? ""] };
    return forward(url, { tls, links, dial: deps.dial, agents: deps.agents }, context);
  };
}

function rawQuery(uri: string): string {
  const mark = uri.indexOf("?");
  return mark < 0 ? "" : uri.slice(mark + 1);
}

const movedTo = (location: string): ApiResponse => ({
  ...{ kind: "bytes", status: 301, contentType: "text/plain", bytes: new Uint8Array() },
  headers: { location },
});

interface Forwarding {
  readonly tls: ConnectDependencies["kubeletTls"];
  /** How links in the answer become links through the proxy; absent where they stay. */
  readonly links: LinkContext | undefined;
  readonly dial: Dial | undefined;
  readonly agents: ConnectDependencies["agents"];
}

async function forward(url: URL, { tls, links, dial, agents }: Forwarding, context: RequestContext): Promise<ApiResponse> {
  const { request } = context;
  const { body, headers: length } = forwardedBody(request);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) if (value !== undefined && !notForwarded.test(name)) headers[name] = value;
  if (links) headers["x-forwarded-uri"] = request.path;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = { ...headers, ...length, host: url.host };
    const asked = { method: request.method, headers: sent, timeout: timeoutMs, signal: request.signal, tls, agents };
    const outgoing = requestTo(url, asked, dial);
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    outgoing.on("response", resolve);
    outgoing.on("error", (error) => reject(unreachable(connectionProblem(error).why)));
    sendBody(outgoing, body);
  });
  return answerOf(response, links);
}

async function answerOf(response: IncomingMessage, links: LinkContext | undefined): Promise<ApiResponse> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined && !notForwarded.test(name) && name !== "content-type")
      passed[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  if (links && passed.location !== undefined) passed.location = rewriteLink(passed.location, links);
  const status = response.statusCode ?? 502;
  const contentType = response.headers["content-type"] ?? "text/plain";
  const isPage = links && passed.location === undefined && contentType.split(";", 1)[0]?.trim().toLowerCase() === "text/html";
  const page = isPage ? await readPage(response) : undefined;
  if (!page?.isWhole || !links) {
    const chunks = page ? both(page.read, response) : response;
    return { ...{ kind: "stream", status, contentType, chunks, asIs: true }, headers: passed };
  }
  const { "content-encoding": encoding, ...others } = passed;
  const text = encoding === "gzip" ? await gunzipped(page.read) : encoding === undefined ? page.read.toString("utf8") : undefined;
  if (text === undefined) return { kind: "bytes", status, contentType, bytes: page.read, headers: passed };
  return { kind: "bytes", status, contentType, bytes: Buffer.from(rewriteHtml(text, links)), headers: others };
}

/** Larger pages keep their links. */
const maxPageBytes = 4 * 1024 * 1024;

async function readPage(response: IncomingMessage): Promise<{ readonly read: Buffer; readonly isWhole: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  const iterator = response.iterator({ destroyOnReturn: false });
  for await (const chunk of iterator) {
    chunks.push(chunk);
    size += (chunk as Buffer).length;
    if (size > maxPageBytes) return { read: Buffer.concat(chunks), isWhole: false };
  }
  return { read: Buffer.concat(chunks), isWhole: true };
}

async function* both(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield first;
  yield* rest;
}

/** Undefined for what is no gzip, or unpacks to more than a page may have. */
async function gunzipped(bytes: Uint8Array): Promise<string | undefined> {
  const { gunzip } = await import("node:zlib");
  return new Promise((resolve) =>
    gunzip(bytes, { maxOutputLength: maxPageBytes }, (error, result) => resolve(error ? undefined : result.toString("utf8"))),
  );
}

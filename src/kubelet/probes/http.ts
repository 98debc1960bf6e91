// HTTP requests to containers, for probes and lifecycle hooks: where an action of a pod leads to, and with which headers.
import type { Container, HTTPGetAction } from "../../api/types/core-v1.ts";
import type { Dial } from "../../rpc/dial.ts";
import { type HttpGetAnswer, plainGet } from "../../rpc/http-get.ts";

export interface HttpGetRequest {
  readonly action: HTTPGetAction;
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** "kube-probe" or "kube-lifecycle", before the version. */
  readonly userAgent: string;
  readonly signal?: AbortSignal;
}

export type { HttpGetAnswer } from "../../rpc/http-get.ts";

/** Resolves with whatever was answered; rejects when there was no answer. */
export type HttpGet = (request: HttpGetRequest) => Promise<HttpGetAnswer>;

/** `dial`: for pods that are simulated in this process. */
export function createHttpGet(version: string, dial?: Dial): HttpGet {
  return (request) => httpGet(request, version, dial);
}

/** "http://10.0.0.5:8080/healthz", as messages name the target. */
function urlOf({ action, host, port }: Pick<HttpGetRequest, "action" | "host" | "port">): string {
  const path = action.path ?? "/";
  const hostText = host.includes(":") ? `[${host}]` : host;
  return `${(action.scheme ?? "HTTP").toLowerCase()}://${hostText}:${port}${path.startsWith("/") ? path : `/${path}`}`;
}

/** A port by number, or by the name it has in the container's list. What is no name is taken for a number in quotes. */
export function containerPort(port: number | string, container: Container): number {
  const named = typeof port === "string" ? container.ports?.find((p) => p.name === port)?.containerPort : undefined;
  const number = typeof port === "number" ? port : (named ?? (/^[+-]?\d+$/.test(port) ? Number(port) : Number.NaN));
  if (Number.isNaN(number)) throw new Error(`strconv.Atoi: parsing ${JSON.stringify(port)}: invalid syntax`);
  if (number <= 0 || number > 65_535) throw new Error(`invalid port number: ${number}`);
  return number;
}

function httpGet(request: HttpGetRequest, version: string, dial: Dial | undefined): Promise<HttpGetAnswer> {
  const { action, timeoutMs, userAgent, signal } = request;
  return plainGet(urlOf(request), { timeoutMs, headers: headersOf(action, `${userAgent}/${version}`), signal, dial });
}

function headersOf(action: HTTPGetAction, userAgent: string): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { "user-agent": userAgent, accept: "*/*" };
  for (const { name, value } of action.httpHeaders ?? []) {
    const key = name.toLowerCase();
    if (value === "" && (key === "user-agent" || key === "accept")) delete headers[key];
    else headers[key] = value;
  }
  return headers;
}

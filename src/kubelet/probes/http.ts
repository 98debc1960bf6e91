// HTTP requests to containers, for probes and lifecycle hooks. Certificates are not checked, as the kubelet has no way to
// know them; at most 10 KiB of the answer are kept.
import type { Container, HTTPGetAction } from "../../api/types/core-v1.ts";
import { type Dial, requestTo } from "../../rpc/dial.ts";
import { requestErrorText } from "./dial-error.ts";

export interface HttpGetRequest {
  readonly action: HTTPGetAction;
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** "kube-probe" or "kube-lifecycle", before the version. */
  readonly userAgent: string;
  readonly signal?: AbortSignal;
}

export interface HttpGetAnswer {
  readonly status: number;
  readonly body: string;
  /** Where a redirection leads to. */
  readonly location?: string;
}

/** Resolves with whatever was answered; rejects when there was no answer. */
export type HttpGet = (request: HttpGetRequest) => Promise<HttpGetAnswer>;

const maxBodyBytes = 10 * 1024;

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

/** A port by number, or by the name it has in the container's list. */
export function containerPort(port: number | string, container: Container): number {
  const named = typeof port === "string" ? container.ports?.find((p) => p.name === port)?.containerPort : undefined;
  const number = typeof port === "number" ? port : (named ?? Number.parseInt(port, 10));
  if (Number.isNaN(number)) throw new Error(`couldn't find port: ${JSON.stringify(port)} in container ${container.name}`);
  if (number <= 0 || number > 65_535) throw new Error(`invalid port number: ${number}`);
  return number;
}

function httpGet(request: HttpGetRequest, version: string, dial: Dial | undefined): Promise<HttpGetAnswer> {
  const { action, timeoutMs, userAgent, signal } = request;
  const url = urlOf(request);
  const deadline = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      const text = deadline.aborted
        ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        : requestErrorText(request.host, request.port, error);
      reject(new Error(`Get "${url}": ${text}`, { cause: error }));
    };
    const headers = headersOf(action, `${userAgent}/${version}`);
    const sent = requestTo(new URL(url), { headers, signal: signal ? AbortSignal.any([deadline, signal]) : deadline }, dial);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        if (length < maxBodyBytes) chunks.push(chunk);
        length += chunk.length;
      });
      response.on("error", fail);
      response.on("end", () => {
        const body = Buffer.concat(chunks).subarray(0, maxBodyBytes).toString("utf8");
        const { location } = response.headers;
        resolve({ status: response.statusCode ?? 0, body, ...(location === undefined ? {} : { location }) });
      });
    });
    sent.on("error", fail);
    sent.end();
  });
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

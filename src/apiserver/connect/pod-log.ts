// pods/log: checks the options as upstream does, then streams the answer of the pod's kubelet.

import type { IncomingMessage } from "node:http";
import { FieldError, type FieldErrorType, forbiddenField, wholeObject } from "../../api/meta/field-error.ts";
import { badRequest, invalid, StatusError } from "../../api/meta/status-error.ts";
import { normalizeTime, timeProblem } from "../../api/meta/time.ts";
import { requestTo } from "../../rpc/dial.ts";
import { readAtMost } from "../../rpc/upgrade.ts";
import type { Connects } from "../registry/handler-types.ts";
import { booleanOf } from "../registry/request-options.ts";
import type { ApiRequest, Handler, RequestContext } from "../request.ts";
import { connectionProblem } from "../webhook/webhook-error.ts";
import { kubeletRefusal } from "./kubelet-refusal.ts";
import { logSocketFor, serveLog } from "./log-websocket.ts";
import { type ConnectDependencies, containerOf, kubeletUrlOf, podOf } from "./node-endpoint.ts";
import { isWebSocket } from "./websocket.ts";

const connectTimeoutMs = 30_000;
const booleans = ["follow", "previous", "timestamps"] as const;

export function podLogConnects(deps: ConnectDependencies): Connects {
  return { "/pods/log": podLog(deps) };
}

function podLog(deps: ConnectDependencies): Handler {
  return async (context) => {
    const { info } = context;
    const options = parseLogOptions(context.request.query, info.name);
    const pod = podOf(deps, info.namespace, info.name);
    const container = containerOf(pod, context.request.query.get("container") ?? "");
    if (!pod.spec.nodeName) {
      // Not yet scheduled: there is no log, and that is no error.
      return { kind: "bytes", status: 204, contentType: "", bytes: new Uint8Array() };
    }
    const skipsTls = booleanOf(context.request.query, "insecureSkipTLSVerifyBackend");
    deps.logMetrics?.asked(skipsTls);
    const open = (): Promise<IncomingMessage> => openLog(skipsTls ? withoutAuthority(deps) : deps, url, context);
    const url = new URL(`${kubeletUrlOf(deps, pod)}/containerLogs/${info.namespace}/${info.name}/${container}`);
    for (const [name, value] of Object.entries(options)) url.searchParams.set(name, value);
    if (!context.request.upgrade || !isWebSocket(context.request)) {
      const log = await open();
      return { kind: "stream", status: 200, contentType: log.headers["content-type"] ?? "text/plain", chunks: log };
    }
    const socket = await logSocketFor(context.request);
    if (!socket) throw forbiddenProtocol(context.request);
    const log = await open();
    return { kind: "upgrade", serve: (upgrade) => serveLog(socket, context.request, upgrade, log) };
  };
}

/** The query for the kubelet; throws Invalid with every problem. */
export function parseLogOptions(query: URLSearchParams, podName: string): Record<string, string> {
  const options: Record<string, string> = {};
  const errors: FieldError[] = [];
  for (const name of booleans) if (booleanOf(query, name)) options[name] = "true";
  const integer = (name: string, minimum: number, type: FieldErrorType = "FieldValueInvalid"): void => {
    const text = query.get(name);
    if (text === null || text === "") return;
    if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    const value = Number(text);
    if (value < minimum)
      errors.push(new FieldError(type, name, value, minimum === 0 ? "must be greater than or equal to 0" : "must be greater than 0"));
    options[name] = text;
  };
  integer("tailLines", 0);
  integer("limitBytes", 1);
  integer("sinceSeconds", 1);
  const sinceTime = query.get("sinceTime");
  if (sinceTime && normalizeTime(sinceTime) === undefined) throw badRequest(timeProblem(sinceTime));
  if (sinceTime) {
    if (options.sinceSeconds !== undefined)
      errors.push(forbiddenField(wholeObject, "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    options.sinceTime = sinceTime;
  }
  // Behind a gate that is off.
  if (query.has("stream")) errors.push(forbiddenField("stream", "may not be specified"));
  if (errors.length > 0) throw invalid({ group: "", kind: "PodLogOptions" }, podName, errors);
  return options;
}

const forbiddenProtocol = ({ headers }: ApiRequest): StatusError =>
  new StatusError({
    code: 403,
    reason: "Forbidden",
    message: `requested protocol(s) are not supported: [${headers["sec-websocket-protocol"] ?? ""}]; supports ["", "binary.k8s.io", "base64.binary.k8s.io"]`,
  });

/** Whoever answers is taken for the kubelet: what a client asks for who wants logs of a node whose certificate is broken. */
function withoutAuthority(deps: ConnectDependencies): ConnectDependencies {
  const { ca: _, ...kubeletTls } = deps.kubeletTls;
  return { ...deps, kubeletTls: { ...kubeletTls, rejectUnauthorized: false } };
}

/** Node's codes of what is wrong with a certificate. */
const certificateErrors = /^(?:ERR_TLS_CERT|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY_LEAF))/;

const isCertificateError = ({ code = "" }: NodeJS.ErrnoException): boolean => certificateErrors.test(code);

/** The kubelet's answer, where it is the log. */
async function openLog(deps: ConnectDependencies, url: URL, context: RequestContext): Promise<IncomingMessage> {
  const { request, info } = context;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = requestTo(
      url,
      { tls: deps.kubeletTls, agents: deps.agents, timeout: connectTimeoutMs, signal: request.signal },
      deps.dial,
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer from the kubelet at ${url.host} in ${connectTimeoutMs} ms`)));
    outgoing.on("response", (answer) => {
      outgoing.setTimeout(0); // a followed log may be silent for hours
      resolve(answer);
    });
    outgoing.on("error", (error) => {
      if (isCertificateError(error)) deps.logMetrics?.tlsFailed();
      reject(unreachable(url, error));
    });
    outgoing.end();
  });
  const status = response.statusCode ?? 500;
  if (status >= 400) throw kubeletRefusal(status, (await readAtMost(response, 64 * 1024)).toString(), info.name);
  return response;
}

/** Upstream passes on what its client says, without a reason. */
function unreachable(url: URL, error: Error): StatusError {
  return new StatusError({ code: 500, message: `Get ${JSON.stringify(url.href)}: ${connectionProblem(error).why}` });
}

// pods/exec, pods/attach and pods/portforward: finds the pod's kubelet and passes the client's connection through to it.
// A SPDY client's bytes are relayed as they are; a WebSocket client's are translated (exec, attach) or carried as a tunnel
// (port-forward, whose WebSocket form wraps SPDY). Kubelets that declare that they do this themselves get these as they are too.
import { badRequest, StatusError } from "../../api/meta/status-error.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { forwardPortChannels, maxChannelPorts, portForwardChannelProtocols } from "../../rpc/port-forward-channels.ts";
import { spdyProtocols, translateToSpdy, webSocketProtocols } from "../../rpc/remote-command.ts";
import { type DialResult, dialUpgrade, passThrough, type Refusal, refuseUpgrade, upgradeHeaders } from "../../rpc/upgrade.ts";
import type { Connects } from "../registry/handler-types.ts";
import { booleanOf } from "../registry/request-options.ts";
import type { ApiRequest, ApiResponse, Handler, UpgradeHandle } from "../request.ts";
import { connectionProblem } from "../webhook/webhook-error.ts";
import { type ConnectDependencies, containerOf, kubeletUrlOf, podOf } from "./node-endpoint.ts";
import { isWebSocket, loadWebSocketAcceptor, offeredProtocol, tunnel } from "./websocket.ts";

const dialTimeoutMs = 30_000;
const portForwardTunnel = "SPDY/3.1+portforward.k8s.io";
const newestProtocol = "v5.channel.k8s.io";
/** What nodes declare whose kubelets take WebSockets of the newest protocols. */
const webSocketFeature = "ExtendWebSocketsToKubelet";

export function podStreamConnects(deps: ConnectDependencies): Connects {
  return {
    "/pods/exec": remoteCommand(deps, "exec"),
    "/pods/attach": remoteCommand(deps, "attach"),
    "/pods/portforward": portForward(deps),
  };
}

function remoteCommand(deps: ConnectDependencies, action: "exec" | "attach"): Handler {
  return async (context) => {
    await deps.checkStreams?.(context);
    const { info, request } = context;
    const { query } = request;
    const flag = (name: string): boolean => booleanOf(query, name);
    const streams = { stdin: flag("stdin"), stdout: flag("stdout"), stderr: flag("stderr"), tty: flag("tty") };
    const pod = podOf(deps, info.namespace, info.name);
    const container = containerOf(pod, query.get("container") ?? "");
    const url = new URL(`${kubeletUrlOf(deps, pod)}/${action}/${info.namespace}/${info.name}/${container}`);
    for (const [name, on] of [
      ["input", streams.stdin],
      ["output", streams.stdout],
      ["error", streams.stderr && !streams.tty],
      ["tty", streams.tty],
    ] as const) {
      if (on) url.searchParams.set(name, "1");
    }
    for (const part of query.getAll("command")) url.searchParams.append("command", part);
    if (!isWebSocket(request) || kubeletTakes(deps, request, pod, newestProtocol)) return relay(deps, request, url);
    // Who names no subprotocol gets the first there was.
    const asksForNone = request.headers["sec-websocket-protocol"] === undefined;
    const protocol = offeredProtocol(request, webSocketProtocols) ?? (asksForNone ? "" : undefined);
    if (protocol === undefined)
      throw badRequest(`no supported WebSocket protocol was offered; supported: ${webSocketProtocols.join(", ")}`);
    const acceptWebSocket = await loadWebSocketAcceptor();
    return upgradeResponse(request, async (upgrade) => {
      const answer = await dialSpdy(deps, url, { "x-stream-protocol-version": [...spdyProtocols] });
      if (!answer.upgraded) return refuseUpgrade(upgrade.socket, answer);
      acceptWebSocket(request, upgrade, protocol, (client) => translateToSpdy(client, answer.socket, answer.head, streams));
    });
  };
}

function portForward(deps: ConnectDependencies): Handler {
  return async (context) => {
    await deps.checkStreams?.(context);
    const { info, request } = context;
    const pod = podOf(deps, info.namespace, info.name);
    const url = new URL(`${kubeletUrlOf(deps, pod)}/portForward/${info.namespace}/${info.name}`);
    for (const port of request.query.getAll("ports")) url.searchParams.append("port", port);
    if (!isWebSocket(request) || kubeletTakes(deps, request, pod, portForwardTunnel)) return relay(deps, request, url);
    const channels = offeredProtocol(request, portForwardChannelProtocols);
    if (channels !== undefined) return forwardChannels(deps, request, url, channels);
    if (offeredProtocol(request, [portForwardTunnel]) === undefined)
      throw badRequest(`port forwarding over WebSocket needs the protocol ${portForwardTunnel}`);
    const acceptWebSocket = await loadWebSocketAcceptor();
    return upgradeResponse(request, async (upgrade) => {
      const answer = await dialSpdy(deps, url, { "x-stream-protocol-version": "portforward.k8s.io" });
      if (!answer.upgraded) return refuseUpgrade(upgrade.socket, answer);
      acceptWebSocket(request, upgrade, portForwardTunnel, (client) => tunnel(client, answer.socket, answer.head));
    });
  };
}

/** Whether the client offers the protocol and the pod's node declares that its kubelet speaks it. */
function kubeletTakes(deps: ConnectDependencies, request: ApiRequest, { spec }: Pod, protocol: string): boolean {
  const declared = deps.nodes.get(spec.nodeName ?? "")?.status?.declaredFeatures ?? [];
  return deps.webSocketsToKubelets !== false && declared.includes(webSocketFeature) && offeredProtocol(request, [protocol]) !== undefined;
}

/** The form before the tunnel: the client names all ports beforehand. */
async function forwardChannels(deps: ConnectDependencies, request: ApiRequest, url: URL, protocol: string): Promise<ApiResponse> {
  const ports = request.query.getAll("ports").flatMap((list) => list.split(",").map(Number));
  if (ports.length === 0) throw badRequest('query parameter "port" is required');
  if (ports.length > maxChannelPorts || ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535))
    throw badRequest(`unable to parse ports ${JSON.stringify(request.query.getAll("ports").join(","))}`);
  const acceptWebSocket = await loadWebSocketAcceptor();
  return upgradeResponse(request, async (upgrade) => {
    const answer = await dialSpdy(deps, url, { "x-stream-protocol-version": "portforward.k8s.io" });
    if (!answer.upgraded) return refuseUpgrade(upgrade.socket, answer);
    acceptWebSocket(request, upgrade, protocol, (client) => forwardPortChannels(client, answer.socket, answer.head, ports));
  });
}

function dialSpdy(deps: ConnectDependencies, url: URL, headers: Readonly<Record<string, string | readonly string[]>>): Promise<DialResult> {
  return dialUpgrade(url, {
    method: "POST",
    headers: { connection: "Upgrade", upgrade: "SPDY/3.1", ...headers },
    tls: deps.kubeletTls,
    timeoutMs: dialTimeoutMs,
    dial: deps.dial,
    agents: deps.agents,
  });
}

function relay(deps: ConnectDependencies, request: ApiRequest, url: URL): ApiResponse {
  return upgradeResponse(request, (upgrade) =>
    passThrough(upgrade, url, {
      method: request.method,
      headers: { ...upgradeHeaders(request.headers), "x-stream-protocol-version": [...request.headerLines("x-stream-protocol-version")] },
      tls: deps.kubeletTls,
      timeoutMs: dialTimeoutMs,
      dial: deps.dial,
      agents: deps.agents,
      refusal: statusRefusal,
    }),
  );
}

function upgradeResponse(request: ApiRequest, serve: (upgrade: UpgradeHandle) => Promise<void>): ApiResponse {
  if (!request.upgrade) throw badRequest("Upgrade request required");
  return {
    kind: "upgrade",
    serve(upgrade) {
      serve(upgrade).catch((error: unknown) => refuseUpgrade(upgrade.socket, statusRefusal(error)));
    },
  };
}

/** A Status: of a plain text, clients that look for one in YAML would make an empty one. */
function statusRefusal(error: unknown): Refusal {
  const { status, code } = new StatusError({ message: `error dialing backend: ${connectionProblem(error).why}`, code: 500 });
  return { status: code, contentType: "application/json", body: Buffer.from(JSON.stringify(status)) };
}

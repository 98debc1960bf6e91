// Exec, attach and port-forward for clients that come by WebSocket (the gate ExtendWebSocketsToKubelet): the newest protocol of
// commands is translated for the runtime's streaming server, which speaks SPDY, and a tunnel's bytes are carried to it. Older
// protocols of WebSockets runtimes speak themselves: those are passed through as they are.
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Dial } from "../../rpc/dial.ts";
import { spdyProtocols, translateToSpdy } from "../../rpc/remote-command.ts";
import { dialUpgrade, refuseUpgrade } from "../../rpc/upgrade.ts";
import { loadWebSocketHandshake, offersProtocol, tunnel } from "../../rpc/websocket.ts";
import { urlOf } from "./route.ts";
import { remoteCommandOptions } from "./streams.ts";

const translated = "v5.channel.k8s.io";
const tunnelled = "SPDY/3.1+portforward.k8s.io";

export type StreamForm = "translated" | "tunnelled" | "as it is";

/** How a connection reaches the runtime. */
export function streamForm(request: IncomingMessage): StreamForm {
  const { headers } = request;
  if (headers.upgrade?.toLowerCase() !== "websocket") return "as it is";
  const isForward = urlOf(request).pathname.startsWith("/portForward/");
  if (isForward) return offersProtocol(headers, tunnelled) ? "tunnelled" : "as it is";
  return offersProtocol(headers, translated) ? "translated" : "as it is";
}

interface Serving {
  readonly timeoutMs: number;
  readonly dial?: Dial | undefined;
}

/** `url`: of the runtime's streaming server. */
export async function serveWebSocket(
  request: IncomingMessage,
  connection: { readonly socket: Duplex; readonly head: Buffer },
  url: URL,
  { timeoutMs, dial }: Serving,
): Promise<void> {
  const form = streamForm(request);
  const handshake = await loadWebSocketHandshake();
  const protocols = form === "tunnelled" ? "portforward.k8s.io" : [...spdyProtocols];
  const headers = { connection: "Upgrade", upgrade: "SPDY/3.1", "x-stream-protocol-version": protocols };
  const answer = await dialUpgrade(url, { method: "POST", headers, timeoutMs, dial });
  if (!answer.upgraded) return refuseUpgrade(connection.socket, answer);
  const head = { method: request.method ?? "GET", headers: request.headers, url: request.url ?? "/" };
  if (form === "tunnelled") return handshake(head, connection, tunnelled, (client) => tunnel(client, answer.socket, answer.head));
  const streams = remoteCommandOptions(urlOf(request).searchParams);
  handshake(head, connection, translated, (client) => translateToSpdy(client, answer.socket, answer.head, streams));
}

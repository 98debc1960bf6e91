// The server's side of a WebSocket: the handshake on a connection that asks for it, and the two ways its messages reach a server
// that speaks SPDY: translated (remote-command.ts), or carried as a tunnel, whose messages hold the bytes of the connection.
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { pauseUntilDrained } from "./pause-until-drained.ts";

const maxMessageBytes = 32 * 1024 * 1024;

/** What the handshake reads of a request, and nothing else. */
export interface HandshakeRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders | Readonly<Record<string, string | undefined>>;
  readonly url: string;
}

/** Completes the handshake with the given subprotocol; "" is none. */
export type WebSocketHandshake = (
  request: HandshakeRequest,
  connection: { readonly socket: Duplex; readonly head: Uint8Array },
  protocol: string,
  onOpen: (socket: WebSocket) => void,
) => void;

/** Loaded by the first request that needs it, before anybody is connected to. */
export async function loadWebSocketHandshake(): Promise<WebSocketHandshake> {
  const { WebSocketServer } = await import("ws");
  return (request, { socket, head }, protocol, onOpen) => {
    // It only performs the handshake and keeps no connections, so one per connection costs nothing.
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
      handleProtocols: () => protocol || false,
    });
    const asked = token.test(protocol) ? request : withoutProtocol(request);
    // The tunnel's name has a slash, which names of protocols must not have: it is told in the answer as it was asked for.
    if (asked !== request) server.on("headers", (lines) => void lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
    server.handleUpgrade(asked as unknown as IncomingMessage, socket, Buffer.from(head), onOpen);
  };
}

const token = /^[\w!#$%&'*+.^`|~-]*$/;

function withoutProtocol({ headers, ...request }: HandshakeRequest): HandshakeRequest {
  const { "sec-websocket-protocol": _protocol, ...others } = headers;
  return { ...request, headers: others };
}

/** Whether a client offers this subprotocol. */
export function offersProtocol(headers: HandshakeRequest["headers"], protocol: string): boolean {
  const offered = headers["sec-websocket-protocol"] ?? "";
  return String(offered)
    .split(",")
    .some((p) => p.trim() === protocol);
}

/** Carries the bytes of an upgraded connection in binary messages, both ways, until either side ends. */
export function tunnel(client: WebSocket, socket: Duplex, head: Uint8Array): void {
  const send = (chunk: Uint8Array): void => {
    socket.pause();
    client.send(chunk, () => socket.resume());
  };
  if (head.length > 0) client.send(head);
  socket.on("data", send);
  socket.on("end", () => client.close(1000));
  socket.on("close", () => client.close(1000));
  socket.on("error", () => client.close(1011));
  client.on("message", (data) => {
    if (!socket.write(data as Buffer)) pauseUntilDrained(client, socket);
  });
  client.on("close", () => socket.destroy());
  client.on("error", () => socket.destroy());
}

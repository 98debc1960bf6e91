// The WebSocket side of exec, attach and port-forward: accepting the client's upgrade, and the two ways its messages
// reach a kubelet that speaks SPDY (translated for exec and attach, tunnelled for port-forward).
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { ApiRequest, UpgradeHandle } from "../request.ts";

const maxMessageBytes = 32 * 1024 * 1024;

export function isWebSocket(request: ApiRequest): boolean {
  return request.headers.upgrade?.toLowerCase() === "websocket";
}

/** The first of `supported` that the client offers; undefined where none fits. */
export function offeredProtocol(request: ApiRequest, supported: readonly string[]): string | undefined {
  const offered = new Set((request.headers["sec-websocket-protocol"] ?? "").split(",").map((p) => p.trim()));
  return supported.find((p) => offered.has(p));
}

/** Completes the handshake with the given subprotocol; "" is none. */
export type WebSocketAcceptor = (
  request: ApiRequest,
  upgrade: UpgradeHandle,
  protocol: string,
  onOpen: (socket: WebSocket) => void,
) => void;

/** Loaded by the first request that needs it, before anybody is connected to. */
export async function loadWebSocketAcceptor(): Promise<WebSocketAcceptor> {
  const { WebSocketServer } = await import("ws");
  return (request, upgrade, protocol, onOpen) => {
    // It only performs the handshake and keeps no connections, so one per connection costs nothing.
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: maxMessageBytes,
      handleProtocols: () => protocol || false,
    });
    // The handshake reads the method, the headers and nothing else of the request.
    const head = { method: request.method, headers: request.headers, url: request.path } as unknown as IncomingMessage;
    server.handleUpgrade(head, upgrade.socket, Buffer.from(upgrade.head), onOpen);
  };
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
    if (!socket.write(data as Buffer)) {
      client.pause();
      socket.once("drain", () => client.resume());
    }
  });
  client.on("close", () => socket.destroy());
  client.on("error", () => socket.destroy());
}

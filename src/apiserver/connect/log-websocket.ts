// A log over a WebSocket, as upstream serves browsers: an empty message, then pieces of the log, in binary messages or, with the
// subprotocol base64.binary.k8s.io, in base64 in text ones. What the client sends is ignored; closing either end ends it.
import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import type { ApiRequest, UpgradeHandle } from "../request.ts";
import { loadWebSocketAcceptor, offeredProtocol, type WebSocketAcceptor } from "./websocket.ts";

const protocols = ["binary.k8s.io", "base64.binary.k8s.io"] as const;
/** As upstream reads it. */
const pieceBytes = 2048;

export interface LogSocket {
  readonly accept: WebSocketAcceptor;
  /** "" where the client asks for none. */
  readonly protocol: string;
}

/** Undefined where the client offers nothing but subprotocols that are not known. */
export async function logSocketFor(request: ApiRequest): Promise<LogSocket | undefined> {
  const protocol = offeredProtocol(request, protocols) ?? (request.headers["sec-websocket-protocol"] === undefined ? "" : undefined);
  return protocol === undefined ? undefined : { accept: await loadWebSocketAcceptor(), protocol };
}

/** Takes the connection over. */
export function serveLog({ accept, protocol }: LogSocket, request: ApiRequest, upgrade: UpgradeHandle, log: IncomingMessage): void {
  upgrade.socket.once("close", () => log.destroy());
  accept(request, upgrade, protocol, (socket) => {
    socket.on("error", () => log.destroy());
    socket.on("close", () => log.destroy());
    socket.resume();
    sendLog(socket, log, protocol.startsWith("base64")).then(
      () => socket.close(1000),
      () => socket.close(1011),
    );
  });
}

async function sendLog(socket: WebSocket, log: IncomingMessage, inBase64: boolean): Promise<void> {
  const send = (piece: Buffer): Promise<void> =>
    new Promise((resolve, reject) =>
      // Resolves when the piece has been handed to the system: a slow client is not written ahead of.
      socket.send(inBase64 ? piece.toString("base64") : piece, { binary: !inBase64 }, (error) => (error ? reject(error) : resolve())),
    );
  await send(Buffer.alloc(0));
  for await (const chunk of log as AsyncIterable<Buffer>)
    for (let start = 0; start < chunk.length; start += pieceBytes) await send(chunk.subarray(start, start + pieceBytes));
}

// Pod logs for browsers: what the kubelet sends as a body goes to the client in messages of a WebSocket. An empty message
// comes first, as a sign that the stream is open; what the client sends is ignored, and either end may close.
import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import { tokenProtocolPrefix } from "../../rpc/upgrade.ts";
import type { ApiRequest, ApiResponse } from "../request.ts";
import { loadWebSocketAcceptor } from "./websocket.ts";

/** Whether messages are text in base64, by subprotocol; the one without a name is for clients that offer none. */
const isBase64: Readonly<Record<string, boolean>> = { "": false, "binary.k8s.io": false, "base64.binary.k8s.io": true };

const forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/** Takes the client's connection over; ends `log` when the client goes. */
export async function logOverWebSocket(request: ApiRequest, log: IncomingMessage): Promise<ApiResponse> {
  const protocol = chosenProtocol(request);
  const accept = await loadWebSocketAcceptor();
  return {
    kind: "upgrade",
    serve(upgrade) {
      if (protocol === undefined) {
        log.destroy();
        upgrade.socket.end(forbidden);
        return;
      }
      accept(request, upgrade, protocol, (socket) => void copy(log, socket, isBase64[protocol] === true));
    },
  };
}

/** The first that the client offers and the server knows; undefined where there is none. */
function chosenProtocol(request: ApiRequest): string | undefined {
  const offered = (request.headers["sec-websocket-protocol"] ?? "")
    .split(",")
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== "" && !protocol.startsWith(tokenProtocolPrefix));
  return offered.length === 0 ? "" : offered.find((protocol) => isBase64[protocol] !== undefined);
}

/** Resolves when both ends are closed or closing; never rejects. */
async function copy(log: IncomingMessage, socket: WebSocket, base64: boolean): Promise<void> {
  const end = (): void => void log.destroy();
  socket.on("close", end).on("error", end).resume();
  try {
    await send(socket, Buffer.alloc(0), base64);
    for await (const chunk of log as AsyncIterable<Buffer>) await send(socket, chunk, base64);
    socket.close(1000);
  } catch {
    // The client has gone, or the kubelet broke off: there is nobody to tell, or no way to say it.
    socket.close(1000);
  } finally {
    end();
  }
}

/** Resolves when the message has been handed to the system, so that a slow client holds the log up and nothing piles up. */
function send(socket: WebSocket, bytes: Buffer, base64: boolean): Promise<void> {
  return new Promise((resolve, reject) =>
    socket.send(base64 ? bytes.toString("base64") : bytes, { binary: !base64 }, (error) => (error ? reject(error) : resolve())),
  );
}

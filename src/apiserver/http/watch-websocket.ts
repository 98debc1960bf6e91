// A watch over a WebSocket, as upstream serves browsers: each event is one text frame with the event's JSON. What the
// client sends is ignored; closing either end ends the watch.
import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import { tokenProtocolPrefix } from "../../rpc/upgrade.ts";
import type { UpgradeHandle, WatchStream } from "../request.ts";
import { watchFrames } from "./watch-frames.ts";

export function isWebSocketUpgrade(headers: Readonly<Record<string, string | undefined>>): boolean {
  return headers.upgrade?.toLowerCase() === "websocket" && /(^|,)\s*upgrade\s*($|,)/i.test(headers.connection ?? "");
}

/** Takes the connection over and resolves when the watch has ended and the socket is closing. */
export async function serveWatchWebSocket(message: IncomingMessage, upgrade: UpgradeHandle, watch: WatchStream): Promise<void> {
  const { WebSocketServer } = await import("ws");
  // Upstream's subprotocols of watches: plain text frames whichever is chosen.
  const server = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024, clientTracking: false, handleProtocols: chooseProtocol });
  const socket = await new Promise<WebSocket>((resolve) =>
    server.handleUpgrade(message, upgrade.socket, Buffer.from(upgrade.head), (opened) => resolve(opened)),
  );
  socket.on("error", () => watch.close());
  socket.on("close", () => watch.close());
  socket.resume();
  for await (const batch of watch.batches) {
    for (const event of batch) {
      if (socket.readyState !== socket.OPEN) return;
      // One event makes one frame; the newline that ends a line of a plain watch is left out.
      for (const frame of watchFrames([event])) await sendFrame(socket, frame.subarray(0, frame.length - 1));
    }
  }
  socket.close(1000);
}

function chooseProtocol(offered: Set<string>): string | false {
  const protocols = [...offered].filter((protocol) => !protocol.startsWith(tokenProtocolPrefix));
  return ["binary.k8s.io", "base64.binary.k8s.io"].find((p) => protocols.includes(p)) ?? protocols[0] ?? false;
}

/** Resolves when the frame has been handed to the system: a slow client is not written ahead of. */
function sendFrame(socket: WebSocket, frame: Buffer): Promise<void> {
  return new Promise((resolve) => socket.send(frame, { binary: false }, () => resolve()));
}

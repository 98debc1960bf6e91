// The WebSocket side of exec, attach and port-forward: what a client offers, and accepting its upgrade. How its messages reach
// a kubelet that speaks SPDY is in rpc.
import type { WebSocket } from "ws";
import { loadWebSocketHandshake } from "../../rpc/websocket.ts";
import type { ApiRequest, UpgradeHandle } from "../request.ts";

export { tunnel } from "../../rpc/websocket.ts";

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
  const handshake = await loadWebSocketHandshake();
  return ({ method, headers, path }, upgrade, protocol, onOpen) => handshake({ method, headers, url: path }, upgrade, protocol, onOpen);
}

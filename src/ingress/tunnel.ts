// Two connections become one: a WebSocket between client and pod. Whatever ends one ends the other.
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

interface End {
  readonly socket: Socket;
  /** What has been read beyond the head. */
  readonly head: Buffer;
}

export interface Tunnel {
  /** The backend's 101. */
  readonly answer: IncomingMessage;
  readonly client: End;
  readonly backend: End;
  /** How long it may be silent. */
  readonly timeoutMs: number;
}

export function joinTunnel({ answer, client, backend, timeoutMs }: Tunnel): void {
  const lines = [`HTTP/1.1 101 ${answer.statusMessage || "Switching Protocols"}`];
  const { rawHeaders } = answer;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  client.socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (backend.head.length > 0) client.socket.write(backend.head);
  if (client.head.length > 0) backend.socket.write(client.head);
  const end = (): void => {
    client.socket.destroy();
    backend.socket.destroy();
  };
  for (const socket of [client.socket, backend.socket]) socket.on("error", end).on("close", end);
  // What the client sends goes out on this one too, so that it is silent when both are.
  client.socket.setTimeout(0);
  backend.socket.setTimeout(timeoutMs, end);
  client.socket.pipe(backend.socket);
  backend.socket.pipe(client.socket);
}

// HTTP/1.1 Upgrade from both ends: dialling a server that changes protocol, and passing an upgraded connection through to
// another server byte for byte. Exec, attach and port-forward travel this way: client → API server → kubelet → runtime.
import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { type Duplex, finished } from "node:stream";
import { type Dial, requestTo } from "./dial.ts";
import type { ConnectionAgents } from "./tunnel.ts";

/** A connection a client has asked to upgrade; nothing has been answered yet. */
export interface UpgradeRequest {
  readonly socket: Duplex;
  /** Bytes already read past the request's head. */
  readonly head: Uint8Array;
}

export interface DialOptions {
  readonly method: string;
  /** Must hold `connection: Upgrade` and `upgrade: …`. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** For https: client certificate and the CA of the server; without a CA the server's certificate is not checked. */
  readonly tls?: ClientTls;
  /** For addresses inside this process. */
  readonly dial?: Dial | undefined;
  /** Make the connection, where it is not made directly. */
  readonly agents?: ConnectionAgents | undefined;
  /** Until the answer's head has arrived. */
  readonly timeoutMs: number;
  /** What passThrough answers where there is no answer. Default 502 with the reason as text. */
  readonly refusal?: (error: Error) => Refusal;
}

/** An ordinary response in place of an upgrade. */
export interface Refusal {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** Why a server could not be dialled, as its clients know it. */
const dialFailure = (error: unknown): string => `error dialing backend: ${error instanceof Error ? error.message : String(error)}`;

export const plainRefusal =
  (status: number) =>
  (error: Error): Refusal => ({ status, contentType: "text/plain", body: Buffer.from(dialFailure(error)) });

/** PEM texts. */
export interface ClientTls {
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  /** The name the server's certificate has to be for; default the host of the URL. */
  readonly servername?: string;
  /** Whether the server's certificate is checked; default: where there is a CA. */
  readonly rejectUnauthorized?: boolean;
}

export type DialResult =
  | {
      readonly upgraded: true;
      readonly socket: Duplex;
      readonly head: Uint8Array;
      readonly rawHeaders: readonly string[];
      readonly headers: IncomingHttpHeaders;
    }
  | { readonly upgraded: false; readonly status: number; readonly contentType: string; readonly body: Buffer };

const maxRefusalBytes = 64 * 1024;

/** Asks the server at `url` to upgrade. Throws when there is no answer in time. */
export async function dialUpgrade(url: URL, options: DialOptions): Promise<DialResult> {
  const headers = { ...options.headers, "content-length": "0" } as Record<string, string | string[]>;
  const request = requestTo(
    url,
    { method: options.method, headers, agents: options.agents, ...(options.tls ? { tls: options.tls } : {}) },
    options.dial,
  );
  const timer = AbortSignal.timeout(options.timeoutMs);
  const onTimeout = (): void => void request.destroy(new Error(`no answer from ${url.host} in ${options.timeoutMs} ms`));
  timer.addEventListener("abort", onTimeout, { once: true });
  const result = new Promise<DialResult>((resolve, reject) => {
    request.on("error", reject);
    request.on("upgrade", (response: IncomingMessage, socket: Duplex, head: Buffer) =>
      resolve({ upgraded: true, socket, head, rawHeaders: response.rawHeaders, headers: response.headers }),
    );
    request.on("response", (response) => {
      readAtMost(response, maxRefusalBytes).then(
        (body) =>
          resolve({
            upgraded: false,
            status: response.statusCode ?? 502,
            contentType: response.headers["content-type"] ?? "text/plain",
            body,
          }),
        reject,
      );
    });
  });
  request.end();
  try {
    return await result;
  } finally {
    timer.removeEventListener("abort", onTimeout);
  }
}

/** Writes the answer that makes the client's connection an upgraded one. */
export function acceptUpgrade(socket: Duplex, headers: readonly (readonly [string, string])[]): void {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
}

/** Answers a connection that asked for an upgrade with an ordinary response, and closes it. */
export function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  socket.write(
    `HTTP/1.1 ${refusal.status} \r\ncontent-type: ${refusal.contentType}\r\ncontent-length: ${refusal.body.length}\r\nconnection: close\r\n\r\n`,
  );
  // Nobody else looks after the connection any more: a client that does not end its half would keep it for ever.
  socket.end(refusal.body, () => socket.destroy());
}

/** Joins two connections until both directions have ended; when one breaks, the other is closed too. */
export function joinSockets(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to);
    finished(from, (error) => {
      if (error) to.destroy();
    });
  }
}

/** Dials `url` and passes the client's connection through to it, or relays its refusal. */
export async function passThrough(client: UpgradeRequest, url: URL, options: DialOptions): Promise<void> {
  client.socket.on("error", () => client.socket.destroy());
  let answer: DialResult;
  try {
    answer = await dialUpgrade(url, options);
  } catch (error) {
    const { refusal = plainRefusal(502) } = options;
    return refuseUpgrade(client.socket, refusal(error as Error));
  }
  if (!answer.upgraded) return refuseUpgrade(client.socket, answer);
  const headers: [string, string][] = [];
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) headers.push([answer.rawHeaders[i] ?? "", answer.rawHeaders[i + 1] ?? ""]);
  acceptUpgrade(client.socket, headers);
  if (answer.head.length > 0) client.socket.write(answer.head);
  if (client.head.length > 0) answer.socket.write(client.head);
  joinSockets(client.socket, answer.socket);
}

/** How a subprotocol begins that is no protocol but the client's bearer token. */
export const tokenProtocolPrefix = "base64url.bearer.authorization.k8s.io.";

/** The subprotocols that are offered; a token among them is for the API server alone. */
const withoutToken = (protocols: string): string =>
  protocols
    .split(",")
    .map((protocol) => protocol.trim())
    .filter((protocol) => !protocol.startsWith(tokenProtocolPrefix))
    .join(", ");

/** Headers of an upgrade request to pass on: those about the upgrade and the protocol spoken over it. */
export function upgradeHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Record<string, string | readonly string[]> {
  const passed: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (
      value !== undefined &&
      (name === "connection" || name === "upgrade" || name.startsWith("x-stream-protocol") || name.startsWith("sec-websocket"))
    ) {
      passed[name] = name === "sec-websocket-protocol" && typeof value === "string" ? withoutToken(value) : value;
    }
  }
  return passed;
}

/** Reads a body, dropping what is beyond `limitBytes`. */
export async function readAtMost(stream: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < limitBytes) chunks.push(chunk.subarray(0, limitBytes - size));
    size += chunk.length;
  });
  if (!stream.readableEnded) await once(stream, "end");
  return Buffer.concat(chunks);
}

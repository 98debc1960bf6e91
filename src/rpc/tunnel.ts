// Connections that are made through a proxy: HTTP's CONNECT to a server at an address, with TLS and a certificate of our own or
// without, or at a Unix socket. What comes back is a socket to the other side, over which TLS is spoken as over any other.
import http from "node:http";
import https from "node:https";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** A connection to the host and port; rejects in time where there is none. */
export type Tunnel = (host: string, port: number) => Promise<Duplex>;

/** Agents whose connections are made through something. */
export interface ConnectionAgents {
  readonly https: https.Agent;
  readonly http: http.Agent;
}

export interface ConnectProxy {
  /** "http://10.0.0.1:8131" or "https://…", or nothing where it listens at a Unix socket. */
  readonly url?: URL;
  readonly socketPath?: string;
  /** PEM. */
  readonly tls?: { readonly ca?: string; readonly cert: string; readonly key: string; readonly servername?: string };
}

const dialTimeoutMs = 30_000;
const atText = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;

export function httpConnectTunnel({ url, socketPath, tls }: ConnectProxy): Tunnel {
  const proxy = socketPath === undefined ? { host: url?.hostname.replace(/^\[|\]$/g, ""), port: portOf(url) } : { socketPath };
  return (host, port) => {
    const target = atText(host, port);
    const options = { ...proxy, ...tls, method: "CONNECT", path: target, headers: { host: target }, agent: false, timeout: dialTimeoutMs };
    const at = socketPath ?? url?.host ?? "";
    return new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void =>
        reject(new Error(`dialing ${target} through the proxy at ${at}: ${why}`, { cause }));
      const request = url?.protocol === "https:" && socketPath === undefined ? https.request(options) : http.request(options);
      request.on("connect", (response, socket, head) => {
        socket.setTimeout(0);
        if (response.statusCode !== 200) {
          socket.destroy();
          fail(`it answered ${response.statusCode} ${response.statusMessage}`);
          return;
        }
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      request.on("response", (response) => {
        response.resume();
        fail(`it answered ${response.statusCode} ${response.statusMessage}`);
      });
      request.on("timeout", () => request.destroy(new Error(`no answer in ${dialTimeoutMs} ms`)));
      request.on("error", (error) => fail(error.message, error));
      request.end();
    });
  };
}

const portOf = (url: URL | undefined): number => (url?.port ? Number(url.port) : url?.protocol === "https:" ? 443 : 80);

/** Agents that reach every server through a tunnel. */
export function tunnelAgents(tunnel: Tunnel, options: https.AgentOptions = {}): ConnectionAgents {
  type Connected = (error: Error | null, socket?: Duplex) => void;
  type Target = ConnectionOptions & { readonly host?: string; readonly port?: number | string };
  const through =
    (encrypt: boolean) =>
    (target: Target, connected: Connected): undefined => {
      const { host = "", port = 0 } = target;
      tunnel(host, Number(port)).then(
        (socket) => {
          if (!encrypt) return connected(null, socket);
          const secured = connectTls({ ...target, host: undefined, port: undefined, socket } as ConnectionOptions);
          connected(null, secured);
        },
        (error: Error) => connected(error),
      );
      return undefined;
    };
  return {
    https: Object.assign(new https.Agent(options), { createConnection: through(true) }),
    http: Object.assign(new http.Agent(options), { createConnection: through(false) }),
  };
}

// The connections to another API server, an extension server or a peer: over TLS with the certificate of the front proxy, kept
// and of a bounded number, over HTTP/2 where it offers that, as upstream does. Whose a server's address is, others say.
import type { ClientRequest } from "node:http";
import https from "node:https";
import type { Clock } from "../../base/clock.ts";
import { type ConnectionAgents, type Tunnel, tunnelAgents } from "../../rpc/tunnel.ts";
import type { ClientTls } from "../../rpc/upgrade.ts";
import { isStream, sendBody } from "../http/forwarded-body.ts";
import type { Address, BackendAnswer, BackendRequest } from "./backend-request.ts";
import { Http2Connections } from "./http2-connections.ts";
import { StaleConnection } from "./stale-connection.ts";

/** A certificate with its key, in PEM. */
export interface ClientPair {
  readonly certificate: string;
  readonly key: string;
}

export interface RemoteServerDeps {
  readonly clock: Clock;
  /** What this server shows as front proxy; asked for every connection, so that it may be replaced. */
  readonly clientCertificate: () => ClientPair | undefined;
  /** Makes the connections, where they are not made directly. */
  readonly tunnel?: Tunnel | undefined;
}

/** Whom requests can be sent to. */
export interface RequestTarget {
  readonly tls: ClientTls;
  /** For connections of their own (upgrades), where they are not made directly. */
  readonly agents: ConnectionAgents | undefined;
  /** Resolves with the head of the answer. Rejects when there is none. */
  send(request: BackendRequest, address: Address): Promise<BackendAnswer>;
}

/** Every watch has a connection of its own. */
const maxConnections = 4096;
const maxIdleConnections = 16;
/** Kept connections are given up before the libraries of such servers close them (after 90 s), but not between two checks. */
const idleConnectionMs = 50_000;
const dialTimeoutMs = 30_000;
const agentLimits = {
  keepAlive: true,
  maxSockets: maxConnections,
  maxTotalSockets: maxConnections,
  maxFreeSockets: maxIdleConnections,
  timeout: idleConnectionMs,
};

export class RemoteServer implements RequestTarget {
  readonly #deps: RemoteServerDeps;
  readonly #tls: () => ClientTls;
  readonly #agent: https.Agent;
  /** Absent where connections are not made directly. */
  readonly #http2: Http2Connections | undefined;

  /** `tls`: by what the server is believed; asked for every connection. */
  constructor(deps: RemoteServerDeps, tls: () => ClientTls) {
    this.#deps = deps;
    this.#tls = tls;
    this.#agent = deps.tunnel ? tunnelAgents(deps.tunnel, agentLimits).https : new https.Agent(agentLimits);
    this.#http2 = deps.tunnel ? undefined : new Http2Connections(deps.clock, { dialTimeoutMs, idleMs: idleConnectionMs, maxConnections });
  }

  get agents(): ConnectionAgents | undefined {
    return this.#deps.tunnel && tunnelAgents(this.#deps.tunnel);
  }

  get tls(): ClientTls {
    const pair = this.#deps.clientCertificate();
    return { ...this.#tls(), ...(pair ? { cert: pair.certificate, key: pair.key } : {}) };
  }

  async send(request: BackendRequest, address: Address): Promise<BackendAnswer> {
    try {
      return await this.#attempt(request, address);
    } catch (error) {
      // A kept connection that the server had closed meanwhile; a body that is a stream cannot be sent again.
      if (!(error instanceof StaleConnection) || isStream(request.body)) throw error instanceof StaleConnection ? error.cause : error;
      return this.#attempt(request, address);
    }
  }

  /** Lets requests in progress end and keeps no connections any more. */
  retire(): void {
    this.#http2?.retire();
    this.#agent.maxFreeSockets = 0;
    for (const sockets of Object.values(this.#agent.freeSockets)) for (const socket of [...(sockets ?? [])]) socket.destroy();
  }

  /** Ends everything. */
  close(): void {
    this.#agent.destroy();
    this.#http2?.close();
  }

  async #attempt(request: BackendRequest, address: Address): Promise<BackendAnswer> {
    request.signal.throwIfAborted();
    return (await this.#http2?.send(request, { address, tls: this.tls })) ?? this.#attemptOld(request, address);
  }

  /** Over HTTP/1.1. */
  #attemptOld(request: BackendRequest, { host, port }: Address): Promise<BackendAnswer> {
    const { method, path, headers, body, signal } = request;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const outgoing = https.request({ method, path, headers, host, port, ...this.tls, agent: this.#agent, signal });
      let answered = false;
      outgoing.on("response", (response) => {
        answered = true;
        resolve(response);
      });
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        const isStale = outgoing.reusedSocket && !answered && (error.code === "ECONNRESET" || error.code === "EPIPE");
        reject(isStale ? new StaleConnection("the connection was closed", { cause: error }) : error);
      });
      this.#limitDialling(outgoing, `${host}:${port}`);
      sendBody(outgoing, body);
    });
  }

  #limitDialling(outgoing: ClientRequest, at: string): void {
    outgoing.once("socket", (socket) => {
      if (!socket.connecting) return;
      const timer = this.#deps.clock.after(dialTimeoutMs, () => outgoing.destroy(new Error(`dial tcp ${at}: i/o timeout`)));
      socket.once("secureConnect", () => timer.cancel());
      socket.once("close", () => timer.cancel());
    });
  }
}

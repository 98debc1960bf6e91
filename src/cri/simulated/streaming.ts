// Where a simulated runtime streams: exec, attach and port-forward over SPDY, as containerd's streaming server does it. It is
// reached by the simulated network alone, at a name of its own, and only with the token that a call to the runtime gave.
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import { acceptUpgrade, refuseUpgrade } from "../../rpc/upgrade.ts";
import type { SimulatedNetwork } from "./network.ts";

/** Serves one upgraded connection; `protocol` is what was agreed upon. */
export type StreamSession = (connection: Duplex, head: Uint8Array, protocol: string) => void;

interface Waiting {
  readonly protocols: readonly string[];
  readonly serve: StreamSession;
}

/** As upstream: a token is good for one connection, soon. */
const tokenLifeMs = 60_000;
const maxTokens = 1000;
const port = 80;

export class StreamingServer {
  readonly #network: SimulatedNetwork;
  readonly #clock: Clock;
  readonly #host: string;
  readonly #waiting = new Map<string, Waiting>();
  #server: Server | undefined;

  constructor(network: SimulatedNetwork, clock: Clock) {
    this.#network = network;
    this.#clock = clock;
    this.#host = network.newName("streaming");
  }

  /** The address at which one connection with one of these protocols is served. */
  urlFor(action: string, protocols: readonly string[], serve: StreamSession): string {
    this.#listen();
    const token = randomBytes(12).toString("base64url");
    if (this.#waiting.size >= maxTokens) this.#waiting.delete(this.#waiting.keys().next().value ?? "");
    this.#waiting.set(token, { protocols, serve });
    this.#clock.after(tokenLifeMs, () => this.#waiting.delete(token));
    return `http://${this.#host}:${port}/${action}/${token}`;
  }

  #listen(): void {
    if (this.#server) return;
    const server = createServer((_request, response) => {
      response.writeHead(400, { "content-type": "text/plain" });
      response.end("Upgrade request required");
    });
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    this.#network.listen(this.#host, port, (connection) => void server.emit("connection", connection));
    this.#server = server;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    const refuse = (status: number, text: string): void =>
      refuseUpgrade(socket, { status, contentType: "text/plain", body: Buffer.from(text) });
    const token = request.url?.split("/").at(-1) ?? "";
    const waiting = this.#waiting.get(token);
    if (!waiting) return refuse(404, "404 page not found");
    this.#waiting.delete(token);
    if (request.headers.upgrade?.toLowerCase() !== "spdy/3.1") return refuse(400, "only SPDY/3.1 is spoken here");
    const offered = [request.headers["x-stream-protocol-version"] ?? []]
      .flat()
      .flatMap((line) => line.split(",").map((name) => name.trim()));
    // Those who offer none speak the oldest.
    const protocol = offered.length === 0 ? waiting.protocols.at(-1) : waiting.protocols.find((name) => offered.includes(name));
    if (protocol === undefined)
      return refuse(403, `unable to upgrade: unable to negotiate protocol: client supports ${offered.join(", ")}`);
    acceptUpgrade(socket, [
      ["Connection", "Upgrade"],
      ["Upgrade", "SPDY/3.1"],
      ["X-Stream-Protocol-Version", protocol],
    ]);
    waiting.serve(socket, head, protocol);
  }
}

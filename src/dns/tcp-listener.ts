// Questions over TCP (RFC 7766): many on one connection, answered as they are ready. Connections, questions under way and
// what waits to be sent are bounded; who says nothing is let go.
import { createServer, type Socket } from "node:net";
import type { Clock, Timer } from "../base/clock.ts";
import { listen } from "../base/listen.ts";
import type { Client } from "./responder.ts";
import type { ListenerAddress, ListenerDeps, Listening } from "./udp-listener.ts";
import { readUint16, writeUint16 } from "./wire.ts";

const maxConnections = 500;
const maxPerClient = 50;
/** Of one connection; further ones wait in its buffer. */
const maxUnderWay = 32;
/** Longer questions are none. */
const maxQueryBytes = 4096;
/** Answers that the client has not taken. */
const maxUnsentBytes = 256 * 1024;
const idleMs = 10_000;

export async function listenTcp(deps: ListenerDeps & { readonly clock: Clock }, { address, port }: ListenerAddress): Promise<Listening> {
  const connections = new Set<Connection>();
  const perClient = new Map<string, number>();
  // A client that has no more to ask still waits for its answers.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const client = socket.remoteAddress ?? "";
    const open = perClient.get(client) ?? 0;
    if (client === "" || !deps.allows(client) || open >= maxPerClient) {
      socket.destroy();
      return;
    }
    perClient.set(client, open + 1);
    const connection = new Connection(deps, socket, client);
    connections.add(connection);
    socket.once("close", () => {
      connections.delete(connection);
      const left = (perClient.get(client) ?? 1) - 1;
      if (left <= 0) perClient.delete(client);
      else perClient.set(client, left);
    });
  });
  server.maxConnections = maxConnections;
  const failed = (error: Error): void => deps.logger.warn("The listener for TCP failed", { error });
  const bound = await listen(server, { port, host: address }, failed);
  return {
    port: bound,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.close();
      }),
  };
}

class Connection {
  readonly #deps: ListenerDeps & { readonly clock: Clock };
  readonly #socket: Socket;
  readonly #client: Client;
  #received: Buffer = Buffer.alloc(0);
  #underWay = 0;
  #ended = false;
  #idle: Timer;

  constructor(deps: ListenerDeps & { readonly clock: Clock }, socket: Socket, address: string) {
    this.#deps = deps;
    this.#socket = socket;
    this.#client = { address, protocol: "tcp" };
    this.#idle = this.#expire();
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => {
      this.#ended = true;
      this.#endWhenDone();
    });
    socket.on("drain", () => this.#serve());
    socket.once("close", () => this.#idle.cancel());
  }

  close(): void {
    this.#socket.destroy();
  }

  #expire(): Timer {
    return this.#deps.clock.after(idleMs, () => this.#socket.destroy());
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    this.#serve();
  }

  /** Answers the questions that have arrived whole, as many as may be under way. */
  #serve(): void {
    while (this.#received.length >= 2 && !this.#isFull) {
      const size = readUint16(this.#received, 0);
      if (size > maxQueryBytes) return this.close();
      if (this.#received.length < size + 2) break;
      // Copied: answers may take their time, and the chunk is larger than the question.
      const question = Uint8Array.from(this.#received.subarray(2, size + 2));
      this.#received = this.#received.subarray(size + 2);
      this.#answer(question);
    }
    if (this.#isFull) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  get #isFull(): boolean {
    return this.#underWay >= maxUnderWay || this.#socket.writableLength > maxUnsentBytes;
  }

  #answer(question: Uint8Array): void {
    this.#idle.cancel();
    this.#idle = this.#expire();
    const late = this.#deps.respond(question, this.#client, (message) => this.#send(message));
    if (!late) return;
    this.#underWay++;
    void late.finally(() => {
      this.#underWay--;
      this.#serve();
      this.#endWhenDone();
    });
  }

  #send(message: Uint8Array): void {
    if (this.#socket.destroyed) return;
    const size = Buffer.alloc(2);
    writeUint16(size, 0, message.length);
    this.#socket.cork();
    this.#socket.write(size);
    this.#socket.write(message);
    this.#socket.uncork();
  }

  /** The client has said that it asks no more. */
  #endWhenDone(): void {
    if (this.#ended && this.#underWay === 0 && !this.#socket.destroyed) this.#socket.end();
  }
}

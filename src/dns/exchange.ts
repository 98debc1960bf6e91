// One question to one resolver: over UDP from a port of its own (what an attacker has to guess, besides the id), and over
// TCP where the answer did not fit.
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import type { Clock } from "../base/clock.ts";
import { type ForwardedQuestion, readUpstreamAnswer, type UpstreamAnswer, writeUpstreamQuery } from "./upstream-message.ts";
import { readUint16, writeUint16 } from "./wire.ts";

export interface ServerAddress {
  readonly address: string;
  readonly port: number;
}

/** Resolves with the answer; rejects when there is none in time. */
export type Exchange = (server: ServerAddress, asked: ForwardedQuestion, timeoutMs: number) => Promise<UpstreamAnswer>;

export function createExchange(clock: Clock): Exchange {
  return async (server, asked, timeoutMs) => {
    const startedMs = clock.monotonic();
    const query = writeUpstreamQuery(randomInt(65_536), asked);
    const answer = await overUdp(server, query, { clock, timeoutMs });
    if (!answer.truncated) return answer;
    const leftMs = timeoutMs - (clock.monotonic() - startedMs);
    return overTcp(server, query, { clock, timeoutMs: Math.max(1, leftMs) });
  };
}

interface Limits {
  readonly clock: Clock;
  readonly timeoutMs: number;
}

const noAnswer = ({ address, port }: ServerAddress, timeoutMs: number): Error =>
  new Error(`${address} port ${port} did not answer in ${Math.round(timeoutMs)} ms`);

function overUdp(server: ServerAddress, query: Uint8Array, { clock, timeoutMs }: Limits): Promise<UpstreamAnswer> {
  return new Promise((resolve, reject) => {
    // Addresses only: nothing to look up.
    const socket = createSocket({ type: isIPv6(server.address) ? "udp6" : "udp4", lookup: (host, _options, done) => done(null, host, 0) });
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      socket.close();
      settle();
    };
    const timer = clock.after(timeoutMs, () => end(() => reject(noAnswer(server, timeoutMs))));
    // Refused by the machine itself: no use to wait.
    socket.on("error", (error) => end(() => reject(error)));
    socket.on("message", (message) => {
      // Others are forged, or late.
      const answer = readUpstreamAnswer(message, query);
      if (answer) end(() => resolve(answer));
    });
    socket.connect(server.port, server.address, () => socket.send(query));
  });
}

function overTcp(server: ServerAddress, query: Uint8Array, { clock, timeoutMs }: Limits): Promise<UpstreamAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port });
    let received: Uint8Array = new Uint8Array();
    const end = (settle: () => void): void => {
      timer.cancel();
      socket.destroy();
      settle();
    };
    const timer = clock.after(timeoutMs, () => end(() => reject(noAnswer(server, timeoutMs))));
    socket.on("error", (error) => end(() => reject(error)));
    socket.once("close", () => end(() => reject(new Error(`${server.address} port ${server.port} closed the connection`))));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      const size = readUint16(received, 0);
      if (received.length < 2 || received.length < size + 2) return;
      const answer = readUpstreamAnswer(received.subarray(2, size + 2), query);
      end(() => (answer ? resolve(answer) : reject(new Error(`${server.address} port ${server.port} sent something else than an answer`))));
    });
    const framed = Buffer.alloc(query.length + 2);
    writeUint16(framed, 0, query.length);
    framed.set(query, 2);
    socket.write(framed);
  });
}

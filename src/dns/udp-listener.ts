// Questions over UDP. The socket is bound to one address: answers must come from the address that was asked, also through
// address translation.
import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client, Responder } from "./responder.ts";

export interface ListenerDeps {
  readonly respond: Responder;
  readonly allows: (address: string) => boolean;
  readonly logger: Logger;
}

export interface Listening extends Running {
  readonly port: number;
}

export interface ListenerAddress {
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
}

/** What the kernel keeps while this process does something else. */
const receiveBytes = 4 * 2 ** 20;

export async function listenUdp({ respond, allows, logger }: ListenerDeps, { address, port }: ListenerAddress): Promise<Listening> {
  // Answers go to addresses: nothing to look up.
  const socket = createSocket({ type: isIPv6(address) ? "udp6" : "udp4", lookup: (host, _options, done) => done(null, host, 0) });
  await bind(socket, address, port);
  enlarge(socket, logger);
  socket.on("error", (error) => logger.warn("An answer could not be sent", { error }));
  socket.on("message", (bytes, from) => {
    // Nothing can be sent to port 0, which only a forged question comes from.
    if (from.port === 0 || !allows(from.address)) return;
    const client: Client = { address: from.address, protocol: "udp" };
    void respond(bytes, client, (message) => {
      if (!closed) socket.send(message, from.port, from.address);
    });
  });
  let closed = false;
  return {
    port: socket.address().port,
    stop: () =>
      new Promise<void>((resolve) => {
        if (closed) return resolve();
        closed = true;
        socket.close(() => resolve());
      }),
  };
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address, port }, () => {
      socket.off("error", reject);
      resolve();
    });
  });
}

function enlarge(socket: Socket, logger: Logger): void {
  try {
    socket.setRecvBufferSize(receiveBytes);
  } catch (error) {
    logger.info("The receive buffer keeps its size", { error }, 2);
  }
}

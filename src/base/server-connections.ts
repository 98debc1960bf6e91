// The open connections of a server, so that it can be closed at once. Connections are remembered before TLS: a handshake that
// nobody goes on with would keep server.close() waiting for minutes, and connections that have been taken over (upgrades) are
// unknown to Node's closeAllConnections().
import type { Server, Socket } from "node:net";

/** To be called before the server listens. Gives what closes it: no new connections, and an end to those that are open. */
export function closing(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
}

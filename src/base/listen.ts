// Lets a server listen. What goes wrong later (no file descriptor is left for a new connection) is told and not thrown: an
// 'error' event of a server that nobody hears ends the process.
import type { ListenOptions, Server } from "node:net";

/** Resolves with the port; rejects with the system's error: EADDRINUSE, EACCES. `failed` hears of errors from then on. */
export function listen(server: Server, at: ListenOptions, failed: (error: Error) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => {
      // Whoever tries again, with the same server, must not be told twice.
      server.off("listening", listens);
      reject(error);
    };
    const listens = (): void => {
      server.off("error", refused);
      server.on("error", failed);
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    };
    server.once("error", refused);
    server.once("listening", listens);
    server.listen(at);
  });
}

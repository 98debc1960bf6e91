// Ports for servers that a test starts and tells their port. None that the kernel gives to clients: one of those may have it by
// the time the server listens.
import { createServer } from "node:net";

const firstPort = 10_000;
/** Services' node ports begin behind them. */
const count = 20_000;

let next = (process.pid * 101) % count;

/** Nobody has listened on it a moment ago, and it is given only once to this process. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < count; tried++) {
    const port = firstPort + next;
    next = (next + 1) % count;
    if (await canListen(port)) return port;
  }
  throw new Error(`no port from ${firstPort} to ${firstPort + count - 1} is free`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

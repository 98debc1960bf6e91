// What runs inside a network namespace of a test: serves TCP and UDP under a name, and connects to where it is told. Takes
// requests as JSON lines on its input and answers them the same way, each with the request's id.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";

interface Request {
  readonly id: number;
  readonly kind: "serveTcp" | "serveUdp" | "tcp" | "udp";
  readonly host: string;
  readonly port: number;
  /** Of a server; it tells its clients. */
  readonly name?: string;
  readonly timeoutMs?: number;
  /** Source port of a UDP client; kept for the next request with the same one. */
  readonly localPort?: number;
  readonly localAddress?: string;
}

const family = (host: string): "udp4" | "udp6" => (host.includes(":") ? "udp6" : "udp4");

function serveTcp({ host, port, name }: Request): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(`${name} ${socket.remoteAddress}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve("listening"));
  });
}

function serveUdp({ host, port, name }: Request): Promise<string> {
  const socket = createSocket(family(host));
  socket.on("message", (_message, from) => socket.send(`${name} ${from.address}`, from.port, from.address));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, host, () => resolve("listening"));
  });
}

/** What the server said, "refused", or "timeout". */
function tcp({ host, port, timeoutMs = 1_000, localAddress }: Request): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, ...(localAddress ? { localAddress } : {}) });
    let text = "";
    const finish = (result: string): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => finish("timeout"));
    socket.on("data", (chunk) => (text += chunk));
    socket.on("end", () => finish(text.trim()));
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code === "ECONNREFUSED" ? "refused" : (error.code ?? "error")));
  });
}

function udp({ host, port, timeoutMs = 1_000, localPort, localAddress }: Request): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket({ type: family(host), reuseAddr: true });
    const finish = (result: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish("timeout"), timeoutMs);
    socket.on("message", (message) => finish(message.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code === "ECONNREFUSED" ? "refused" : (error.code ?? "error")));
    socket.bind(localPort ?? 0, localAddress, () => {
      // Connected, so that a refusal of the network is told.
      socket.connect(port, host, () => socket.send("?"));
    });
  });
}

const actions = { serveTcp, serveUdp, tcp, udp };

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request;
  actions[request.kind](request).then(
    (result) => process.stdout.write(`${JSON.stringify({ id: request.id, result })}\n`),
    (error: Error) => process.stdout.write(`${JSON.stringify({ id: request.id, error: error.message })}\n`),
  );
}
process.exit(0);

// What is spoken over a stream of the simulated runtime: a command or an attached container with its stdin, stdout, stderr and
// exit status, and forwarded ports. The protocols are Kubernetes' (rpc/remote-command.ts has the client's side).
import { finished } from "node:stream/promises";
import type { Clock } from "../../base/clock.ts";
import { type RemoteCommandStreams, spdyProtocols } from "../../rpc/remote-command.ts";
import { SpdyConnection, type SpdyStream } from "../../rpc/spdy/connection.ts";
import type { SimulatedContainer } from "./container.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { ExecSession } from "./process.ts";
import type { StreamSession } from "./streaming.ts";

export const commandProtocols: readonly string[] = spdyProtocols;
export const portForwardProtocols: readonly string[] = ["portforward.k8s.io"];

/** Until the client has opened its streams. */
const streamsTimeoutMs = 30_000;

interface Streams {
  readonly all: ReadonlyMap<string, SpdyStream>;
  readonly signal: AbortSignal;
  write(output: string | Uint8Array, stream?: "stdout" | "stderr"): Promise<void>;
}

/** Resolves with the exit code; undefined ends without one, as an attached container does. */
type Run = (streams: Streams) => Promise<number | undefined>;

export function execSession(container: SimulatedContainer, command: readonly string[], wanted: RemoteCommandStreams): StreamSession {
  return commandSession(container.clock, wanted, async ({ all, signal, write }) => {
    const stdin: AsyncIterable<Uint8Array> = all.get("stdin") ?? nothing();
    const session: ExecSession = { command, stdin, tty: wanted.tty, signal, write };
    const code = await Promise.race([container.exec(session), container.exited().then(() => 137)]);
    if (code !== undefined) return code;
    const [name = ""] = command;
    await write(`exec: ${JSON.stringify(name)}: executable file not found in $PATH\n`, "stderr");
    return 127;
  });
}

export function attachSession(container: SimulatedContainer, wanted: RemoteCommandStreams): StreamSession {
  return commandSession(container.clock, wanted, async ({ all, signal, write }) => {
    const stop = container.output.read((text, stream) => void write(text, stream).catch(() => undefined));
    const gone = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    const stdin = all.get("stdin");
    if (stdin && container.config.stdin) void typeInto(container, stdin);
    await Promise.race([container.exited(), gone]);
    stop();
    return undefined;
  });
}

async function typeInto(container: SimulatedContainer, stdin: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const chunk of stdin) await container.stdin.push(chunk);
  } catch {
    return; // the client has gone
  }
  if (container.config.stdinOnce) container.stdin.end();
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function commandSession(clock: Clock, wanted: RemoteCommandStreams, run: Run): StreamSession {
  return (socket, head, protocol) => {
    const expected = [
      "error",
      ...(["stdin", "stdout", "stderr"] as const).filter((name) => wanted[name]),
      ...(wanted.tty ? ["resize"] : []),
    ];
    const all = new Map<string, SpdyStream>();
    const abort = new AbortController();
    let begun = false;
    const connection = new SpdyConnection(socket, {
      ...{ role: "server", head },
      onStream: (stream) => {
        const type = stream.headers.streamtype ?? "";
        all.set(type, stream);
        if (type === "resize") stream.resume();
        if (begun || !expected.every((name) => all.has(name) || (name === "resize" && protocol < "v3"))) return;
        begun = true;
        void serve();
      },
    });
    const timer = clock.after(streamsTimeoutMs, () => (begun ? undefined : socket.destroy()));
    void connection.closed.then(() => {
      timer.cancel();
      abort.abort(new Error("the client has gone"));
    });
    const write = async (output: string | Uint8Array, name: "stdout" | "stderr" = "stdout"): Promise<void> => {
      const stream = all.get(wanted.tty ? "stdout" : name);
      if (!stream || stream.destroyed || output.length === 0) return;
      await new Promise<void>((resolve) => stream.write(output, () => resolve()));
    };
    const serve = async (): Promise<void> => {
      let status: string;
      try {
        status = statusText(await run({ all, signal: abort.signal, write }), protocol);
      } catch (error) {
        status = failureText(error instanceof Error ? error.message : String(error), protocol);
      }
      const streams = [...all.values()].filter((stream) => !stream.destroyed);
      for (const stream of streams) stream.end(stream === all.get("error") ? status : undefined);
      await Promise.allSettled(streams.map((stream) => finished(stream, { readable: false })));
      connection.close();
    };
  };
}

const hasStatus = (protocol: string): boolean => protocol.startsWith("v4");

/** From version 4 on as a Status, before only in case of failure, as a text. */
function statusText(code: number | undefined, protocol: string): string {
  if (code === undefined || code === 0) return hasStatus(protocol) ? JSON.stringify({ metadata: {}, status: "Success" }) : "";
  const message = `command terminated with non-zero exit code: exit status ${code}`;
  if (!hasStatus(protocol)) return message;
  const details = { causes: [{ reason: "ExitCode", message: String(code) }] };
  return JSON.stringify({ metadata: {}, status: "Failure", message, reason: "NonZeroExitCode", details });
}

function failureText(message: string, protocol: string): string {
  return hasStatus(protocol) ? JSON.stringify({ metadata: {}, status: "Failure", message, reason: "InternalError", code: 500 }) : message;
}

/** Each pair of a data and an error stream is a connection to a port of the pod. */
export function portForwardSession(
  network: SimulatedNetwork,
  { id, address }: { readonly id: string; readonly address: string },
): StreamSession {
  return (socket, head) => {
    const errors = new Map<string, SpdyStream>();
    new SpdyConnection(socket, {
      ...{ role: "server", head },
      onStream(stream) {
        const { streamtype, requestid = "", port = "" } = stream.headers;
        if (streamtype === "error") {
          errors.set(requestid, stream);
          stream.on("close", () => errors.delete(requestid));
          stream.resume();
        } else
          void forward(stream, { network, id, address, port: Number(port), failed: (text) => errors.get(requestid)?.write(text) }).finally(
            () => errors.get(requestid)?.end(),
          );
      },
    });
  };
}

interface Forwarding {
  readonly network: SimulatedNetwork;
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly failed: (text: string) => void;
}

async function forward(stream: SpdyStream, { network, id, address, port, failed }: Forwarding): Promise<void> {
  const connection = network.connect(address, port);
  if (!connection) return void stream.destroy();
  connection.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "ECONNREFUSED")
      failed(
        `failed to execute portforward in network namespace of sandbox ${JSON.stringify(id)}: failed to connect to localhost:${port} inside namespace ${JSON.stringify(id)}, IPv4: dial tcp4 127.0.0.1:${port}: connect: connection refused`,
      );
    stream.end();
  });
  stream.on("close", () => connection.destroy());
  stream.pipe(connection);
  connection.pipe(stream);
  await finished(connection).catch(() => undefined);
  if (!stream.destroyed) await finished(stream, { readable: false }).catch(() => undefined);
}

// How further commands of coracle talk to a running `coracle up`: a unix socket in the data directory, which only its owner
// can open. A request is one line of JSON; answers are lines too: what happens meanwhile, and at last the result or an error.
import { existsSync } from "node:fs";
import { chmod, mkdir, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Running } from "../../base/lifecycle.ts";
import { listen } from "../../base/listen.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { dataDirHash } from "../../cri/containerd-paths.ts";
import { CommandError } from "../command-error.ts";

export interface ControlRequest {
  /** "node add". */
  readonly command: string;
  readonly args: readonly string[];
}

/** Does what is asked for, and says what happens meanwhile; resolves with the last thing to say. */
export type ControlHandler = (request: ControlRequest, say: (text: string) => void) => Promise<string>;

type Answer = { readonly text: string } | { readonly done: string } | { readonly error: string };

const longestSocket = 107;
const maxRequestBytes = 64 * 1024;
const maxConnections = 32;
const answerTimeoutMs = 5 * 60_000;

export function controlSocket(dataDir: string): string {
  const own = join(resolve(dataDir), "control.sock");
  return Buffer.byteLength(own) <= longestSocket ? own : join("/run/coracle", `${dataDirHash(dataDir)}.control.sock`);
}

/** The data directory must be locked: a socket that is there already is a dead one's. */
export async function serveControl(dataDir: string, handle: ControlHandler, logger: Logger): Promise<Running> {
  const path = controlSocket(dataDir);
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await rm(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", (error) => logger.info("A control connection broke", { error }, 2));
    answer(socket, handle).catch((error: unknown) => {
      logger.error("A control request failed", { error });
      socket.destroy();
    });
  });
  server.maxConnections = maxConnections;
  await listen(server, { path }, (error) => logger.error("The control socket failed", { error }));
  await chmod(path, 0o600);
  return {
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

async function answer(socket: Socket, handle: ControlHandler): Promise<void> {
  const write = (line: Answer): void => {
    if (socket.writable) socket.write(`${JSON.stringify(line)}\n`);
  };
  const request = await readRequest(socket);
  try {
    write({ done: await handle(request, (text) => write({ text })) });
  } catch (error) {
    // What is wrong with the request is a line for a person; anything else is a fault of the cluster's process.
    if (!(error instanceof CommandError)) write({ error: `the cluster failed: ${errorText(error)}` });
    else write({ error: errorText(error) });
  }
  socket.end();
}

async function readRequest(socket: Socket): Promise<ControlRequest> {
  let text = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.includes("\n")) return JSON.parse(text) as ControlRequest; // from callControl: only the owner can connect
    if (text.length > maxRequestBytes) break;
  }
  throw new Error("the request is no line of JSON");
}

/** Resolves with the result; throws CommandError where the cluster refuses, or does not run. */
export async function callControl(dataDir: string, request: ControlRequest, say: (text: string) => void): Promise<string> {
  const path = controlSocket(dataDir);
  const nobody = new CommandError(`--data-dir ${dataDir}: no cluster with nodes runs here (coracle up starts one)`);
  if (!existsSync(path)) throw nobody;
  const socket = connect(path);
  socket.setTimeout(answerTimeoutMs, () => socket.destroy(new CommandError("the cluster does not answer")));
  const failed = new Promise<never>((_resolve, reject) => {
    socket.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "ECONNREFUSED" || error.code === "ENOENT" ? nobody : error),
    );
  });
  socket.write(`${JSON.stringify(request)}\n`);
  return Promise.race([failed, readAnswer(socket, say)]);
}

async function readAnswer(socket: Socket, say: (text: string) => void): Promise<string> {
  for await (const line of createInterface({ input: socket })) {
    const got = JSON.parse(line) as Answer;
    if ("text" in got) say(got.text);
    else if ("done" in got) return got.done;
    else throw new CommandError(got.error);
  }
  throw new CommandError("the cluster ended before it had answered");
}

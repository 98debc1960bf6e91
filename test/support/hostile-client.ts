// What a client that does not keep to the rules needs: requests written byte by byte, answers read whole, connections that
// stay open and say nothing, and a look at how much memory a process holds.
import { readFile } from "node:fs/promises";
import { type RequestOptions, request } from "node:https";
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { gunzipSync } from "node:zlib";
import { expect } from "vitest";
import { type ApiServerProcess, startApiServerProcess } from "./apiserver-process.ts";
import { until } from "./processes.ts";

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface Sent extends Pick<RequestOptions, "method" | "headers" | "cert" | "key"> {
  readonly body?: string | Uint8Array;
  /** Default: no credentials. */
  readonly token?: string;
  readonly timeoutMs?: number;
}

/** One request on a connection of its own; rejects when the connection ends without a whole answer. */
export function send(url: string, { body, token, headers, timeoutMs = 30_000, ...options }: Sent = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const credentials = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const outgoing = request(
      url,
      { ...options, headers: { ...credentials, ...headers }, agent: false, rejectUnauthorized: false, timeout: timeoutMs },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const bytes = Buffer.concat(chunks);
          const text = (response.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes).toString();
          resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    outgoing.end(body);
  });
}

/** Everything that comes back for bytes sent as they are, until the server ends the connection. */
export async function sendRaw(url: string, bytes: string | Uint8Array): Promise<string> {
  const socket = await openTls(url);
  return new Promise((resolve, reject) => {
    let text = "";
    socket.setTimeout(30_000, () => socket.destroy(new Error(`the connection stayed open after: ${text}`)));
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ECONNRESET" || error.code === "EPIPE" ? undefined : reject(error),
    );
    socket.on("close", () => resolve(text));
    socket.write(bytes);
  });
}

/** A TLS connection; what becomes of it later is the caller's. */
export function openTls(url: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false, ...options });
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

/** A TCP connection on which nothing is said. */
export function openTcp(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: hostname, port: Number(port) });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined);
      resolve(socket);
    });
  });
}

/** `make` called `count` times, some at once. */
export async function several<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  const worker = async (): Promise<void> => {
    while (made.length < count) {
      const at = made.push(undefined as T) - 1; // the place is filled below
      made[at] = await make(at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, 50) }, worker));
  return made;
}

/** MiB of a process that are in memory now. */
async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

/** A server to attack, and the well-behaved client beside the attackers. */
export interface Target extends ApiServerProcess {
  readonly pid: number;
  /** A request of the administrator. */
  admin(path: string, sent?: Sent): Promise<Reply>;
  post(path: string, object: unknown): Promise<Reply>;
  /** Fails unless the object was created. */
  created<T = unknown>(path: string, object: unknown): Promise<T>;
  /** Fails unless an ordinary request is answered as ever. */
  answersOthers(): Promise<void>;
  residentMiB(): Promise<number>;
}

export async function startTarget(): Promise<Target> {
  const server = await startApiServerProcess();
  const pid = server.process.process.pid ?? 0;
  const admin: Target["admin"] = (path, sent = {}) => send(server.url + path, { token: server.token, ...sent });
  const post: Target["post"] = (path, object) =>
    admin(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(object) });
  await until("the namespace default is there", async () => (await admin("/api/v1/namespaces/default")).status === 200);
  return {
    ...server,
    pid,
    admin,
    post,
    async created<T>(path: string, object: unknown) {
      const { status, text } = await post(path, object);
      if (status !== 201) throw new Error(`${path}: ${status} ${text}`);
      return JSON.parse(text) as T;
    },
    async answersOthers() {
      const { status, text } = await admin("/api/v1/namespaces/default", { timeoutMs: 10_000 });
      expect([status, (JSON.parse(text) as { metadata: { name: string } }).metadata.name]).toEqual([200, "default"]);
    },
    residentMiB: () => residentMiB(pid),
  };
}

export interface FailureStatus {
  readonly code: number;
  readonly reason?: string;
  readonly message: string;
}

/** The Status of an answer, which has to be one. */
export function statusOf({ status, text }: Reply): FailureStatus {
  const answer = JSON.parse(text) as FailureStatus;
  expect(answer).toMatchObject({ kind: "Status", status: "Failure", code: status });
  return answer;
}

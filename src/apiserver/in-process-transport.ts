// The client's way into an API server of the same process: the same stages as over HTTPS, but bodies, answers and watch
// batches are handed over as shared, immutable values, without sockets or bytes. The caller's identity is given.

import { serviceUnavailable } from "../api/meta/status-error.ts";
import { AbortFollowers } from "../base/abort-followers.ts";
import type { Clock } from "../base/clock.ts";
import { statusErrorOf } from "../client/create-client.ts";
import type { RawWatchEvent, Transport, TransportRequest, TransportResponse } from "../client/transport.ts";
import { readWatchEvents } from "../client/watch-lines.ts";
import type { UserInfo } from "./authn/user.ts";
import { LazyAbort } from "./http/lazy-abort.ts";
import type { ApiRequest, ApiResponse, WatchStream } from "./request.ts";
import type { Answer, ApiServer } from "./server.ts";

const defaultTimeoutMs = 30_000;
const maxForwardedEventBytes = 16 * 1024 * 1024;

export function createInProcessTransport(api: ApiServer, user: UserInfo, clock: Clock): Transport {
  const headers = headersOf(user);
  const open = new Set<Pick<WatchStream, "close">>();
  const followers = new AbortFollowers();
  let closed = false;

  /** The answer within the deadline; throws as a connection would when the caller gives up or time runs out. */
  const ask = (request: TransportRequest, asked = new InProcessRequest(request, user, headers)): Promise<Answer> => {
    const { signal, timeoutMs = defaultTimeoutMs } = request;
    return new Promise((resolve, reject) => {
      if (closed) throw new Error(`${request.method} ${request.path}: the transport is closed`);
      signal?.throwIfAborted();
      // The server may abort the request too (its own deadline): then it answers, and the answer counts.
      const giveUp = (reason: unknown): void => {
        asked.abort(reason);
        end();
        reject(reason);
      };
      const timer = clock.after(timeoutMs, () => giveUp(new Error(`${request.method} ${request.path}: no answer in ${timeoutMs} ms`)));
      const end = (): void => {
        timer.cancel();
        if (signal) followers.remove(signal, giveUp);
      };
      if (signal) followers.add(signal, giveUp);
      // What is found wrong with a request is an answer: this rejects for defects only.
      void api.handle(asked).then((answer) => {
        end();
        resolve(answer);
      }, giveUp);
    });
  };

  return {
    async request(request) {
      const answer = await ask(request);
      return { ...(await bodyOf(answer.response)), warnings: answer.context.warnings };
    },
    async watch(request) {
      const watching = { ...request, query: { ...request.query, watch: "true" } };
      const asked = new InProcessRequest(watching, user, headers);
      const { response } = await ask(watching, asked);
      if (response.kind === "stream" && response.status === 200) {
        const ending = { close: () => asked.abort(new Error("the watch was ended")) };
        open.add(ending);
        return forwardedEvents(response.chunks, request, { ...ending, done: () => open.delete(ending) });
      }
      if (response.kind !== "watch") {
        const { status, body } = await bodyOf(response);
        if (status >= 400) throw statusErrorOf(status, body, `WATCH ${request.path}`);
        throw new Error(`${request.path} answered a watch with status ${status} and no events`);
      }
      const { stream } = response;
      open.add(stream);
      return events(stream, request.signal, () => open.delete(stream));
    },
    async close() {
      closed = true;
      for (const stream of open) stream.close();
    },
  };
}

const noBody = { kind: "none" } as const;
/** Queries are only read. */
const noQuery = new URLSearchParams();

interface HeaderSet {
  readonly plain: ApiRequest["headers"];
  readonly json: ApiRequest["headers"];
}

/** What a component of upstream would say that it is: managedFields name it by that. */
function headersOf(user: UserInfo): HeaderSet {
  const plain = { accept: undefined, "user-agent": `${componentOf(user.name)}/in-process` };
  return { plain, json: { ...plain, "content-type": "application/json" } };
}

function componentOf(name: string): string {
  if (name === "system:apiserver") return "kube-apiserver";
  if (name === "system:kube-scheduler") return "kube-scheduler";
  if (name.startsWith("system:node:")) return "kubelet";
  if (name === "system:kube-controller-manager" || name.startsWith("system:serviceaccount:kube-system:")) return "kube-controller-manager";
  return "coracle";
}

/** A class for its signal, which is made for those who ask for it: most requests are answered without. */
class InProcessRequest implements ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: ApiRequest["headers"];
  readonly body: ApiRequest["body"];
  readonly remoteAddress = "";
  readonly trustedUser: UserInfo;
  readonly callerWaitsMs: number;
  readonly #lazy = new LazyAbort();

  constructor(request: TransportRequest, user: UserInfo, headers: HeaderSet) {
    const { method, path, query, accept, contentType, body } = request;
    this.callerWaitsMs = request.timeoutMs ?? defaultTimeoutMs;
    this.method = method;
    this.path = path;
    this.query = queryOf(query);
    this.headers = body === undefined ? headers.plain : headers.json;
    if (accept !== undefined || (body !== undefined && contentType !== undefined))
      this.headers = { ...this.headers, accept, ...(body === undefined ? {} : { "content-type": contentType ?? "application/json" }) };
    this.body = body === undefined ? noBody : { kind: "value", value: body };
    this.trustedUser = user;
  }

  get signal(): AbortSignal {
    return this.#lazy.signal;
  }

  abort(reason: unknown): void {
    this.#lazy.abort(() => reason);
  }

  headerLines(): readonly string[] {
    return [];
  }
}

function queryOf(query: TransportRequest["query"]): URLSearchParams {
  let found: URLSearchParams | undefined;
  for (const name in query) {
    const value = query[name];
    if (value === undefined) continue;
    found ??= new URLSearchParams();
    found.set(name, value);
  }
  return found ?? noQuery;
}

async function bodyOf(response: ApiResponse): Promise<Omit<TransportResponse, "warnings">> {
  switch (response.kind) {
    case "object":
      return { status: response.status, body: response.object };
    case "bytes":
      return { status: response.status, body: parse(response.bytes, response.contentType) };
    case "stream": {
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.chunks) chunks.push(Buffer.from(chunk));
      return { status: response.status, body: parse(Buffer.concat(chunks), response.contentType) };
    }
    case "watch":
      response.stream.close();
      throw new Error("a request that is no watch was answered with one");
    case "upgrade":
      throw serviceUnavailable("connections can be upgraded over HTTPS only, not in-process");
  }
}

function parse(bytes: Uint8Array, contentType: string): unknown {
  const text = Buffer.from(bytes).toString("utf8");
  return contentType.startsWith("application/json") && text !== "" ? JSON.parse(text) : text;
}

interface Ending {
  close(): void;
  done(): void;
}

/** The events of a watch that another server answers: lines of JSON. Ends as one of this server does. */
async function* forwardedEvents(
  chunks: AsyncIterable<Uint8Array>,
  { signal, path }: TransportRequest,
  { close, done }: Ending,
): AsyncGenerator<readonly RawWatchEvent[], void, undefined> {
  signal?.addEventListener("abort", close, { once: true });
  try {
    yield* readWatchEvents(chunks, { maxLineBytes: maxForwardedEventBytes, what: path });
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    signal?.removeEventListener("abort", close);
    close();
    done();
  }
}

/** The batches themselves; ends when the signal aborts, and ends the watch when the caller stops reading. */
async function* events(
  stream: WatchStream,
  signal: AbortSignal | undefined,
  done: () => void,
): AsyncGenerator<readonly RawWatchEvent[], void, undefined> {
  const onAbort = (): void => stream.close();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const batch of stream.batches) {
      if (signal?.aborted) return;
      yield batch;
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    stream.close();
    done();
  }
}

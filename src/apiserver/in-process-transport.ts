// The client's way into an API server of the same process: the same stages as over HTTPS, but bodies, answers and watch
// batches are handed over as shared, immutable values, without sockets or bytes. The caller's identity is given.

import { serviceUnavailable } from "../api/meta/status-error.ts";
import type { Clock } from "../base/clock.ts";
import { statusErrorOf } from "../client/create-client.ts";
import type { RawWatchEvent, Transport, TransportRequest, TransportResponse } from "../client/transport.ts";
import type { UserInfo } from "./authn/user.ts";
import type { ApiRequest, ApiResponse, WatchStream } from "./request.ts";
import type { Answer, ApiServer } from "./server.ts";

const defaultTimeoutMs = 30_000;

export function createInProcessTransport(api: ApiServer, user: UserInfo, clock: Clock): Transport {
  const open = new Set<WatchStream>();
  let closed = false;

  /** The answer within the deadline; throws as a connection would when the caller gives up or time runs out. */
  const ask = async (request: TransportRequest): Promise<Answer> => {
    if (closed) throw new Error(`${request.method} ${request.path}: the transport is closed`);
    request.signal?.throwIfAborted();
    const stop = new AbortController();
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    let reject: (reason: unknown) => void = () => undefined;
    const gaveUp = new Promise<never>((_resolve, rejected) => {
      reject = rejected;
    });
    // The server may abort the request too (its own deadline): then it answers, and the answer counts.
    const giveUp = (reason: unknown): void => {
      stop.abort(reason);
      reject(reason);
    };
    const timer = clock.after(timeoutMs, () => giveUp(new Error(`${request.method} ${request.path}: no answer in ${timeoutMs} ms`)));
    const onAbort = (): void => giveUp(request.signal?.reason);
    request.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([api.handle(apiRequest(request, user, stop)), gaveUp]);
    } finally {
      timer.cancel();
      request.signal?.removeEventListener("abort", onAbort);
    }
  };

  return {
    async request(request) {
      const answer = await ask(request);
      return { ...(await bodyOf(answer.response)), warnings: answer.context.warnings };
    },
    async watch(request) {
      const { response } = await ask({ ...request, query: { ...request.query, watch: "true" } });
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

function apiRequest(request: TransportRequest, user: UserInfo, stop: AbortController): ApiRequest {
  const query = new URLSearchParams();
  for (const name in request.query) {
    const value = request.query[name];
    if (value !== undefined) query.set(name, value);
  }
  return {
    method: request.method,
    path: request.path,
    query,
    headers: {
      accept: request.accept,
      "user-agent": "coracle/in-process",
      ...(request.body === undefined ? {} : { "content-type": request.contentType ?? "application/json" }),
    },
    headerLines: () => [],
    body: request.body === undefined ? { kind: "none" } : { kind: "value", value: request.body },
    signal: stop.signal,
    abort: (reason) => stop.abort(reason),
    remoteAddress: "",
    trustedUser: user,
  };
}

async function bodyOf(response: ApiResponse): Promise<Omit<TransportResponse, "warnings">> {
  switch (response.kind) {
    case "object":
      return { status: response.status, body: response.object };
    case "bytes":
      return { status: response.status, body: parse(response.bytes, response.contentType) };
    case "stream": {
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.chunks) chunks.push(chunk);
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

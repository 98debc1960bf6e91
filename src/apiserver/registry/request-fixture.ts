// For tests: a resource handler over a memory store and a virtual clock, asked by method and path as a client would, without
// sockets. Every object that enters a cache is frozen.
import { Readable } from "node:stream";
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { VirtualClock } from "../../base/clock.ts";
import { deepFreeze } from "../../base/deep-freeze.ts";
import { createMemoryStore } from "../../storage/memory.ts";
import type { Store } from "../../storage/store.ts";
import { loopbackUser } from "../authn/user.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { parseRequestInfo } from "../http/request-info.ts";
import type { ApiRequest, ApiResponse, Handler, RequestContext, WatchStream } from "../request.ts";
import { builtInDefinitions } from "./definitions.ts";
import { createResourceHandler, type ResourceHandlerDependencies } from "./handler.ts";
import type { ResourceDefinition } from "./resource-definition.ts";
import { createResourceStores, type ResourceStores, type ResourceStoresOptions } from "./stores.ts";

export interface FixtureOptions extends Partial<Omit<ResourceHandlerDependencies, "clock">>, ResourceStoresOptions {
  readonly definitions?: readonly ResourceDefinition[];
  /** Shared with another fixture, which closes it. */
  readonly store?: Store;
  /** Makes the admission plugins, which need the stores. */
  readonly admissionOf?: (stores: ResourceStores, clock: VirtualClock) => ResourceHandlerDependencies["admission"];
  /** Makes the hooks, which need the stores. */
  readonly hooksOf?: (stores: ResourceStores) => ResourceHandlerDependencies["hooks"];
}

export interface SendOptions {
  /** Sent as JSON; a string and bytes as they are. */
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly userAgent?: string;
  /** The server speaks CBOR. */
  readonly cbor?: CborCodec;
  readonly signal?: AbortSignal;
  /** How long the request may take. */
  readonly timeoutMs?: number;
}

export interface Reply {
  readonly status: number;
  /** Parsed JSON, or text. */
  readonly body: Reading;
  readonly warnings: readonly string[];
}

/** A parsed answer, read loosely: tests look into answers of every kind. */
export interface Reading extends KubernetesObject {
  readonly [field: string]: unknown;
  readonly items: readonly Reading[];
  readonly message: string;
  readonly reason: string;
}

/** What a watch has delivered so far. */
export interface WatchLog {
  readonly events: { readonly type: string; readonly object: Reading }[];
  readonly ended: Promise<void>;
  readonly stream: WatchStream;
}

export interface Fixture {
  readonly clock: VirtualClock;
  readonly store: Store;
  readonly stores: ResourceStores;
  readonly handler: Handler;
  send(method: string, path: string, options?: SendOptions): Promise<Reply>;
  /** The answer as the handler gives it. Rejects with a StatusError. */
  answer(method: string, path: string, options?: SendOptions): Promise<ApiResponse>;
  /** Opens a watch and collects its events. */
  watch(path: string, options?: SendOptions): Promise<WatchLog>;
  stop(): Promise<void>;
}

const everybodyMay: Authorizer = { authorize: () => ({ decision: "allow", reason: "" }) };

export function createFixture(options: FixtureOptions = {}): Fixture {
  const clock = new VirtualClock();
  const store = options.store ?? createMemoryStore({ clock });
  const definitions = options.definitions ?? builtInDefinitions([]);
  const stores = createResourceStores({ store, clock, definitions }, { onObject: deepFreeze, ...options });
  const {
    admissionOf,
    admission = admissionOf?.(stores, clock) ?? [],
    hooksOf,
    hooks = hooksOf?.(stores) ?? {},
    creators = {},
    connects = {},
    computed = {},
    authorizer = everybodyMay,
  } = options;
  const handler = createResourceHandler(stores, { clock, authorizer, admission, hooks, creators, connects, computed });
  const contextAt = (method: string, path: string, sent: SendOptions): RequestContext => contextOf(method, path, sent, clock.now());
  const ask = async (method: string, path: string, sent: SendOptions): Promise<{ response: ApiResponse }> => ({
    response: await handler(contextAt(method, path, sent)),
  });
  return {
    clock,
    store,
    stores,
    handler,
    async send(method, path, sent = {}) {
      const context = contextAt(method, path, sent);
      const { warnings } = context;
      try {
        return { ...(await read(await handler(context))), warnings };
      } catch (error) {
        if (error instanceof StatusError) return { status: error.code, body: error.status as unknown as Reading, warnings };
        throw error;
      }
    },
    answer: async (method, path, sent = {}) => (await ask(method, path, sent)).response,
    async watch(path, sent = {}) {
      const { response } = await ask("GET", path, sent);
      if (response.kind !== "watch") throw new Error(`GET ${path} answered no watch`);
      return collect(response.stream);
    },
    async stop() {
      await stores.stop();
      if (!options.store) await store.close();
    },
  };
}

function contextOf(method: string, url: string, sent: SendOptions, nowMs: number): RequestContext {
  const [path = "", search = ""] = url.split("?");
  const query = new URLSearchParams(search);
  const { body } = sent;
  const bytes = (): Uint8Array => (body instanceof Uint8Array ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body)));
  const request: ApiRequest = {
    method,
    path,
    query,
    headers: { "content-type": sent.contentType, accept: sent.accept, "user-agent": sent.userAgent ?? "test/1" },
    headerLines: () => [],
    body: body === undefined ? { kind: "none" } : { kind: "bytes", read: async () => bytes(), stream: () => Readable.from([bytes()]) },
    signal: sent.signal ?? new AbortController().signal,
    remoteAddress: "",
    cbor: sent.cbor,
  };
  const context = { request, info: parseRequestInfo(method, path, query), user: loopbackUser, warnings: [], receivedAtMs: nowMs };
  return sent.timeoutMs === undefined ? context : { ...context, endsAtMs: nowMs + sent.timeoutMs };
}

async function read(response: ApiResponse): Promise<Omit<Reply, "warnings">> {
  if (response.kind === "object") {
    const encoded = response.encoded?.();
    const text = encoded ? encoded.head + Buffer.from(encoded.tail).toString() : JSON.stringify(response.object);
    return { status: response.status, body: JSON.parse(text) as Reading };
  }
  if (response.kind === "bytes") return { status: response.status, body: Buffer.from(response.bytes).toString() as unknown as Reading };
  if (response.kind !== "stream") throw new Error(`an answer of kind ${response.kind} cannot be read at once`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.chunks) chunks.push(Buffer.from(chunk));
  return { status: response.status, body: JSON.parse(Buffer.concat(chunks).toString()) as Reading };
}

function collect(stream: WatchStream): WatchLog {
  const events: { type: string; object: Reading }[] = [];
  const ended = (async () => {
    for await (const batch of stream.batches)
      for (const event of batch) events.push({ type: event.type, object: JSON.parse(Buffer.from(event.bytes()).toString()) as Reading });
  })();
  return { events, ended, stream };
}

// One member of an etcd cluster: a gRPC connection with keep-alive pings, calls with deadlines, and watch streams. Calls
// say that they want a member with a leader: one that is cut off from the others refuses at once.
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { realClock } from "../../base/clock.ts";
import { createCodecs, type MessageCodec } from "../../rpc/protobuf.ts";
import type { Input } from "../../rpc/protocol.ts";
import { RpcError, rpcCodeOf } from "../../rpc/rpc-error.ts";
import { etcdProtocol, type UnaryCalls, type WatchRequest, type WatchResponse } from "./protocol.ts";

export interface EtcdTls {
  /** PEM. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export type UnaryCall = keyof UnaryCalls;

/** Pings when nothing has been heard for so long; the connection is lost when the answer takes longer than the second. */
const keepAliveMs = 10_000;
const keepAliveTimeoutMs = 5000;
const unlimited = 2 ** 31 - 1;

const codecs = createCodecs(etcdProtocol);

interface CallSite {
  readonly path: string;
  readonly request: MessageCodec<object>;
  readonly response: MessageCodec<object>;
}

const callSites = new Map<string, CallSite>();
for (const [service, methods] of Object.entries(etcdProtocol.services)) {
  for (const [method, signature] of Object.entries(methods)) {
    const [request = "", response = ""] = signature.split(" -> ");
    const path = `/${etcdProtocol.package}.${service}/${method}`;
    callSites.set(method, { path, request: codecs.of(request), response: codecs.of(response) });
  }
}
const watchRequests = codecs.of<WatchRequest>("WatchRequest");
const watchResponses = codecs.of<WatchResponse>("WatchResponse");

const metadata = new Metadata();
metadata.set("hasleader", "true");

export class Endpoint {
  /** "https://10.0.0.1:2379", as it was given. */
  readonly url: string;
  readonly #client: Client;

  /** Throws for a URL that is none. */
  constructor(url: string, tls: EtcdTls) {
    this.url = url;
    const { address, secure } = parseEndpoint(url);
    this.#client = new Client(address, secure ? secureCredentials(tls) : credentials.createInsecure(), {
      "grpc.max_receive_message_length": unlimited,
      "grpc.max_send_message_length": unlimited,
      "grpc.keepalive_time_ms": keepAliveMs,
      "grpc.keepalive_timeout_ms": keepAliveTimeoutMs,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      "grpc.enable_retries": 0,
      "grpc.enable_http_proxy": 0,
      // Two stores in one process do not share a connection: closing one must not disturb the other.
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  /** Resolves when connected; throws UNAVAILABLE after `timeoutMs`, when nothing has been sent. */
  ready(timeoutMs: number): Promise<void> {
    if (this.#client.getChannel().getConnectivityState(true) === connectivityState.READY) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(realClock.now() + timeoutMs, (error) =>
        error ? reject(new RpcError("UNAVAILABLE", `no connection to etcd at ${this.url}`, { cause: error })) : resolve(),
      );
    });
  }

  call<C extends UnaryCall>(call: C, message: Input<UnaryCalls[C]["request"]>, timeoutMs: number): Promise<UnaryCalls[C]["response"]> {
    const site = callSites.get(call) as CallSite;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest<object, object>(
        site.path,
        (value) => Buffer.from(site.request.encode(value)),
        (bytes) => site.response.decode(bytes),
        message as object,
        metadata,
        { deadline: realClock.now() + timeoutMs },
        (error, response) => {
          if (error || !response) reject(error ? toRpcError(error, call) : new RpcError("INTERNAL", "no answer", { call }));
          // The table says what the call answers with, as UnaryCalls does.
          else resolve(response as UnaryCalls[C]["response"]);
        },
      );
    });
  }

  watch(): ClientDuplexStream<Input<WatchRequest>, WatchResponse> {
    return this.#client.makeBidiStreamRequest(
      "/etcdserverpb.Watch/Watch",
      (value: Input<WatchRequest>) => Buffer.from(watchRequests.encode(value)),
      (bytes) => watchResponses.decode(bytes),
      metadata,
      {},
    );
  }

  close(): void {
    this.#client.close();
  }
}

function parseEndpoint(url: string): { readonly address: string; readonly secure: boolean } {
  const [, scheme, address] = /^(?:(https?|unix):\/\/)?([^/]+|(?<=unix:\/\/).+)\/?$/.exec(url) ?? [];
  if (address === undefined) throw new Error(`etcd server ${JSON.stringify(url)}: expected a URL such as "https://10.0.0.1:2379"`);
  return { address: scheme === "unix" ? `unix:${address}` : address, secure: scheme === "https" };
}

function secureCredentials({ ca, cert, key }: EtcdTls): ChannelCredentials {
  return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
}

export function toRpcError(error: ServiceError, call: string): RpcError {
  return new RpcError(rpcCodeOf(error.code), error.details, { call, cause: error });
}

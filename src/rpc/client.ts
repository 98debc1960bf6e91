// Calls gRPC services over a unix socket (or, without TLS, over TCP): one connection, one deadline per call, failures as RpcError. The connection is made
// on the first call and made again after it is lost (back-off from 100 ms to 3 s); a call made while the peer is known to be
// away fails at once with UNAVAILABLE instead of waiting for its deadline.
import {
  type ChannelOptions,
  Client,
  type ClientReadableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { realClock } from "../base/clock.ts";
import { createCodecs, type MessageCodec } from "./protobuf.ts";
import { type CallOptions, methodKey, type ProtocolTable } from "./protocol.ts";
import { RpcError, rpcCodeOf } from "./rpc-error.ts";

export interface RpcConnectionOptions {
  /**
   * "unix:///run/containerd/containerd.sock" (also "unix:/…", or a plain absolute path), "unix-abstract:name", or
   * "tcp://host:port".
   */
  readonly endpoint: string;
  /** Deadline of calls that give none. Default 120 s, the kubelet's. */
  readonly timeoutMs?: number;
  /** Larger messages are refused, both ways. Default 16 MiB, the kubelet's. */
  readonly maxMessageBytes?: number;
  /** Calls made while the peer is away wait for it until their deadline. Default false: they fail at once. */
  readonly waitForReady?: boolean;
}

export interface RpcConnection {
  /**
   * A service of the protocol as an object with one function per method; `S` is its generated interface:
   * `connection.service<Identity>(csiV1, "Identity")`.
   */
  service<S>(protocol: ProtocolTable, service: string): S;
  /** Resolves once connected; rejects with an RpcError after `timeoutMs`. */
  ready(options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /** Keeps the connection made from now on, and calls back whenever it is made or lost, until it is closed. */
  follow(onChange: (isConnected: boolean) => void): void;
  /** Fails calls under way. Idempotent. */
  close(): void;
}

const defaultTimeoutMs = 120_000;
const defaultMaxMessageBytes = 16 * 1024 * 1024;

/** The socket's path. Throws for endpoints that are not unix sockets. */
export function unixSocketPath(endpoint: string): string {
  const path = endpoint.replace(/^unix:(\/\/)?/, "");
  if (!path.startsWith("/")) throw new Error(`endpoint ${JSON.stringify(endpoint)}: expected unix:///absolute/path`);
  return path;
}

export function connectRpc(options: RpcConnectionOptions): RpcConnection {
  const limit = options.maxMessageBytes ?? defaultMaxMessageBytes;
  const channelOptions: ChannelOptions = {
    "grpc.max_receive_message_length": limit,
    "grpc.max_send_message_length": limit,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 3000,
    "grpc.enable_retries": 0,
    // A unix socket is never behind an HTTP proxy, whatever the environment says.
    "grpc.enable_http_proxy": 0,
    // The default, the socket's path, is not a valid authority for strict servers.
    "grpc.default_authority": "localhost",
  };
  const client = new Client(targetOf(options.endpoint), credentials.createInsecure(), channelOptions);
  const { timeoutMs = defaultTimeoutMs, waitForReady = false } = options;
  return {
    service: <S>(protocol: ProtocolTable, service: string) => buildService(client, { protocol, service, timeoutMs, waitForReady }) as S,
    ready: (wait) => waitForConnection(client, options.endpoint, wait),
    follow: (onChange) => followConnection(client, onChange),
    close: () => client.close(),
  };
}

/** As the gRPC library names it. */
function targetOf(endpoint: string): string {
  if (endpoint.startsWith("tcp://")) return endpoint.slice("tcp://".length);
  if (endpoint.startsWith("unix-abstract:")) return `unix:\0${endpoint.slice("unix-abstract:".length)}`;
  return `unix:${unixSocketPath(endpoint)}`;
}

interface ServiceOptions {
  readonly protocol: ProtocolTable;
  readonly service: string;
  readonly timeoutMs: number;
  readonly waitForReady: boolean;
}

function buildService(client: Client, { protocol, service, timeoutMs, waitForReady }: ServiceOptions): object {
  const methods = protocol.services[service];
  if (!methods) throw new Error(`package ${protocol.package} has no service ${service}`);
  const codecs = createCodecs(protocol);
  const calls: Record<string, unknown> = {};
  for (const [method, signature] of Object.entries(methods)) {
    const [request = "", response = ""] = signature.split(" -> ");
    const streaming = response.startsWith("stream ");
    const call: Call = {
      name: `${service}.${method}`,
      path: `/${protocol.package}.${service}/${method}`,
      request: codecs.of<object>(request),
      response: codecs.of<object>(response.replace("stream ", "")),
    };
    calls[methodKey(method)] = streaming
      ? (message: object, callOptions: CallOptions = {}) => callStream(client, call, message, callOptions)
      : (message: object, callOptions: CallOptions = {}) => callUnary(client, call, message, { timeoutMs, waitForReady, ...callOptions });
  }
  return calls;
}

interface Call {
  readonly name: string;
  readonly path: string;
  readonly request: MessageCodec<object>;
  readonly response: MessageCodec<object>;
}

type UnaryOptions = CallOptions & { readonly timeoutMs: number; readonly waitForReady: boolean };

function callUnary(client: Client, call: Call, message: object, options: UnaryOptions): Promise<object> {
  const { signal, timeoutMs, waitForReady } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => running.cancel();
    const running = client.makeUnaryRequest<object, object>(
      call.path,
      (value) => Buffer.from(call.request.encode(value)),
      (bytes) => call.response.decode(bytes),
      message,
      new Metadata({ waitForReady }),
      { deadline: realClock.now() + timeoutMs },
      (error, response) => {
        signal?.removeEventListener("abort", onAbort);
        if (signal?.aborted) reject(signal.reason);
        else if (error) reject(toRpcError(error, call.name));
        else if (response) resolve(response);
        else reject(new RpcError("INTERNAL", "the call ended without an answer", { call: call.name }));
      },
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The call starts when iteration does, and is cancelled when the iteration is left. Back-pressure is HTTP/2's. */
async function* callStream(client: Client, call: Call, message: object, options: CallOptions): AsyncGenerator<object> {
  const { signal, timeoutMs } = options;
  signal?.throwIfAborted();
  const stream: ClientReadableStream<object> = client.makeServerStreamRequest(
    call.path,
    (value: object) => Buffer.from(call.request.encode(value)),
    (bytes) => call.response.decode(bytes),
    message,
    new Metadata(),
    timeoutMs === undefined ? {} : { deadline: realClock.now() + timeoutMs },
  );
  const onAbort = (): void => stream.cancel();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const item of stream) yield item as object;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw isServiceError(error) ? toRpcError(error, call.name) : error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    stream.cancel();
  }
}

function waitForConnection(
  client: Client,
  endpoint: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal?.reason);
    if (signal?.aborted) return onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    client.waitForReady(realClock.now() + timeoutMs, (error) => {
      signal?.removeEventListener("abort", onAbort);
      if (!error) resolve();
      else reject(new RpcError("UNAVAILABLE", `no connection to ${endpoint} within ${timeoutMs} ms`, { cause: error }));
    });
  });
}

function followConnection(client: Client, onChange: (isConnected: boolean) => void): void {
  const channel = client.getChannel();
  let before = false;
  const look = (): void => {
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.SHUTDOWN) return;
    const isConnected = state === connectivityState.READY;
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
      if (!error) look();
    });
    if (isConnected !== before) onChange(isConnected);
    before = isConnected;
  };
  look();
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

function toRpcError(error: ServiceError, call: string): RpcError {
  return new RpcError(rpcCodeOf(error.code), error.details || error.message, { call });
}

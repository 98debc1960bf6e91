// Serves gRPC services on a unix socket: plugins that register with the kubelet, drivers, and the peers that tests talk to.
// A handler is a function from the decoded request to the response (or, for server streams, to an async iterable of
// responses); it answers with a failure by throwing an RpcError. Other errors become UNKNOWN with their message, as gRPC
// servers do.
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Running } from "../base/lifecycle.ts";
import { errorText } from "../base/log.ts";
import { unixSocketPath } from "./client.ts";
import { createCodecs, type MessageCodec } from "./protobuf.ts";
import { type HandlerContext, methodKey, type ProtocolTable } from "./protocol.ts";
import { RpcError, rpcCodeNumber } from "./rpc-error.ts";

export interface ServedService {
  readonly protocol: ProtocolTable;
  /** The service's name in the table. */
  readonly service: string;
  /** One function per method, of the generated interface `<service>Handlers`; what is left out answers UNIMPLEMENTED. */
  readonly handlers: object;
}

export interface RpcServerOptions {
  readonly endpoint: string;
  readonly services: readonly ServedService[];
  /** Default 16 MiB. */
  readonly maxMessageBytes?: number;
}

type Handler = (request: object, context: HandlerContext) => Promise<object> | AsyncIterable<object>;

/** Listens on the endpoint's socket, replacing a socket file left there. Resolves when calls are accepted. */
export async function serveRpc(options: RpcServerOptions): Promise<Running> {
  const path = unixSocketPath(options.endpoint);
  const limit = options.maxMessageBytes ?? 16 * 1024 * 1024;
  const server = new Server({ "grpc.max_receive_message_length": limit, "grpc.max_send_message_length": limit });
  for (const served of options.services) addService(server, served);
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
  });
  let stopped: Promise<void> | undefined;
  return {
    stop() {
      stopped ??= (async () => {
        server.forceShutdown();
        await rm(path, { force: true });
      })();
      return stopped;
    },
  };
}

function addService(server: Server, { protocol, service, handlers }: ServedService): void {
  const methods = protocol.services[service];
  if (!methods) throw new Error(`package ${protocol.package} has no service ${service}`);
  const codecs = createCodecs(protocol);
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [method, signature] of Object.entries(methods)) {
    const [request = "", response = ""] = signature.split(" -> ");
    const requests: MessageCodec<object> = codecs.of(request);
    const responses: MessageCodec<object> = codecs.of(response.replace("stream ", ""));
    const responseStream = response.startsWith("stream ");
    definition[method] = {
      path: `/${protocol.package}.${service}/${method}`,
      requestStream: false,
      responseStream,
      requestSerialize: (value: object) => Buffer.from(requests.encode(value)),
      requestDeserialize: (bytes) => requests.decode(bytes),
      responseSerialize: (value: object) => Buffer.from(responses.encode(value)),
      responseDeserialize: (bytes) => responses.decode(bytes),
    };
    // The generated handler interfaces hold functions of exactly this shape.
    const handler = (handlers as Record<string, Handler | undefined>)[methodKey(method)];
    if (handler) implementation[method] = responseStream ? streamHandler(handler) : unaryHandler(handler);
  }
  server.addService(definition, implementation);
}

function unaryHandler(handler: Handler): handleUnaryCall<object, object> {
  return (call, callback) => {
    const abort = new AbortController();
    call.on("cancelled", () => abort.abort(new RpcError("CANCELLED", "the caller went away")));
    const answer = async (): Promise<object> => (await handler(call.request, { signal: abort.signal })) as object;
    answer().then(
      (response) => callback(null, response),
      (error: unknown) => callback(toStatus(error)),
    );
  };
}

function streamHandler(handler: Handler): handleServerStreamingCall<object, object> {
  return (call) => {
    const abort = new AbortController();
    call.on("cancelled", () => abort.abort(new RpcError("CANCELLED", "the caller went away")));
    const items = handler(call.request, { signal: abort.signal }) as AsyncIterable<object>;
    sendAll(call, items, abort.signal).then(
      () => call.end(),
      (error: unknown) => call.emit("error", toStatus(error)),
    );
  };
}

async function sendAll(call: ServerWritableStream<object, object>, items: AsyncIterable<object>, signal: AbortSignal): Promise<void> {
  for await (const item of items) {
    if (signal.aborted) return;
    if (!call.write(item)) await drained(call, signal);
  }
}

function drained(call: ServerWritableStream<object, object>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.once("drain", done);
    signal.addEventListener("abort", done, { once: true });
  });
}

function toStatus(error: unknown): Error & { code: number; details: string } {
  const code = error instanceof RpcError ? error.code : "UNKNOWN";
  const details = error instanceof RpcError ? error.details : errorText(error);
  return Object.assign(new Error(details), { code: rpcCodeNumber(code), details });
}

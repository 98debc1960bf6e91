// Calls the handlers of a service without a socket: what the caller gets is what it would get over one, with defaults filled
// in on both sides, missing methods answering UNIMPLEMENTED, and deadlines and cancellation observed.
import { setMaxListeners } from "node:events";
import type { Clock } from "../base/clock.ts";
import { errorText } from "../base/log.ts";
import { createCodecs } from "./protobuf.ts";
import { type CallOptions, type HandlerContext, methodKey } from "./protocol.ts";
import { RpcError } from "./rpc-error.ts";
import type { ServedService } from "./server.ts";

type Handler = (request: object, context: HandlerContext) => Promise<object> | AsyncIterable<object>;

/** The service as its generated interface `S`. Deadlines are kept only when calls give them. */
export function callInProcess<S>({ protocol, service, handlers }: ServedService, { clock }: { readonly clock: Clock }): S {
  const methods = protocol.services[service];
  if (!methods) throw new Error(`package ${protocol.package} has no service ${service}`);
  const codecs = createCodecs(protocol);
  const calls: Record<string, unknown> = {};
  for (const [method, signature] of Object.entries(methods)) {
    const [requestName = "", responseName = ""] = signature.split(" -> ");
    const request = codecs.of<object>(requestName);
    const response = codecs.of<object>(responseName.replace("stream ", ""));
    const call = `${service}.${method}`;
    // The generated handler interfaces hold functions of exactly this shape.
    const handler = (handlers as Record<string, Handler | undefined>)[methodKey(method)];
    const unimplemented = (): RpcError => new RpcError("UNIMPLEMENTED", `unknown method ${method}`, { call });
    calls[methodKey(method)] = responseName.startsWith("stream ")
      ? async function* (message: object, options: CallOptions = {}) {
          if (!handler) throw unimplemented();
          const items = handler(request.complete(message), {
            signal: options.signal ?? unending.signal,
          }) as AsyncIterable<object>;
          for await (const item of items) yield response.complete(item);
          options.signal?.throwIfAborted();
        }
      : async (message: object, options: CallOptions = {}) => {
          if (!handler) throw unimplemented();
          const work = (context: HandlerContext): Promise<object> => handler(request.complete(message), context) as Promise<object>;
          return response.complete(await withDeadline(work, { ...options, clock, call }));
        };
  }
  return calls as S; // one function per method of the same table that S is generated from
}

async function withDeadline(
  work: (context: HandlerContext) => Promise<object>,
  { signal, timeoutMs, clock, call }: CallOptions & { readonly clock: Clock; readonly call: string },
): Promise<object> {
  signal?.throwIfAborted();
  if (!signal && timeoutMs === undefined) return await named(work({ signal: unending.signal }), call);
  const abort = new AbortController();
  const interrupted = new Promise<never>((_, reject) =>
    abort.signal.addEventListener("abort", () => reject(abort.signal.reason), { once: true }),
  );
  interrupted.catch(() => undefined); // observed by the race below, or of no interest any more
  const onAbort = (): void => abort.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : clock.after(timeoutMs, () => abort.abort(new RpcError("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`, { call })));
  try {
    return await Promise.race([work({ signal: abort.signal }), interrupted]);
  } catch (error) {
    if (error === abort.signal.reason) throw error;
    throw failureOf(error, call);
  } finally {
    timer?.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Of calls that nobody interrupts. */
const unending = new AbortController();
setMaxListeners(0, unending.signal);

async function named(answer: Promise<object>, call: string): Promise<object> {
  try {
    return await answer;
  } catch (error) {
    throw failureOf(error, call);
  }
}

function failureOf(error: unknown, call: string): RpcError {
  if (error instanceof RpcError) return new RpcError(error.code, error.details, { call, cause: error });
  return new RpcError("UNKNOWN", errorText(error), { call, cause: error });
}

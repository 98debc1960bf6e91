// Copies of requests for other backends: nobody waits for them, and what they answer is thrown away. A copy whose backend reads
// too slowly ends, so that the request itself is never held up.
import { type Agent, request as newRequest, type OutgoingHttpHeaders } from "node:http";
import type { ClientRequest } from "./client-request.ts";
import type { Endpoint } from "./ready-endpoints.ts";

export interface MirroredRequest {
  readonly request: ClientRequest;
  readonly hasBody: boolean;
  readonly method: string;
  readonly pathAndQuery: string;
  readonly headers: OutgoingHttpHeaders;
}

export interface MirrorOptions {
  readonly agent: Agent;
  readonly timeoutMs: number;
}

/** What a slow backend may have unread. */
const maxUnsentBytes = 256 * 1024;

export function mirrorRequest(
  { request, hasBody, method, pathAndQuery, headers }: MirroredRequest,
  { address, port }: Endpoint,
  { agent, timeoutMs }: MirrorOptions,
): void {
  const copy = newRequest({ host: address, port, method, path: pathAndQuery, headers, setHost: false, timeout: timeoutMs, agent });
  const onData = (chunk: Buffer): void => {
    if (copy.writableLength > maxUnsentBytes) copy.destroy();
    else copy.write(chunk);
  };
  const stopReading = (): void => {
    request.off("data", onData).off("end", onEnd).off("close", onClose);
  };
  const onEnd = (): void => {
    stopReading();
    copy.end();
  };
  const onClose = (): void => {
    stopReading();
    copy.destroy();
  };
  copy.on("error", stopReading).on("timeout", () => copy.destroy());
  copy.on("response", (answer) => answer.on("error", () => undefined).resume());
  if (!hasBody) {
    copy.end();
    return;
  }
  request.on("data", onData).once("end", onEnd).once("close", onClose);
}

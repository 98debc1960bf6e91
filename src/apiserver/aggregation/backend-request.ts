// What is asked of an extension server, and its answer, whatever the version of HTTP.
import type { ClientRequest, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { ClientHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface BackendRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body?: Readable | Uint8Array;
  readonly signal: AbortSignal;
}

/** The head of an answer; its body is read from it. */
export interface BackendAnswer extends AsyncIterable<Uint8Array> {
  readonly statusCode?: number | undefined;
  readonly headers: IncomingHttpHeaders;
  destroy(): void;
}

export const isStream = (body: BackendRequest["body"]): body is Readable => body !== undefined && !(body instanceof Uint8Array);

/** Sends what there is of a body and ends the request. */
export function sendBody(outgoing: ClientRequest | ClientHttp2Stream, body: BackendRequest["body"]): void {
  if (!isStream(body)) {
    outgoing.end(body);
    return;
  }
  const broken = (): void => {
    if (!body.readableEnded) outgoing.destroy(new Error("the body of the request was cut short"));
  };
  body.pipe(outgoing);
  body.once("error", broken).once("close", broken);
  // Who answers before all has been sent does not want the rest.
  outgoing.once("close", () => {
    body.off("error", broken).off("close", broken);
    body.unpipe(outgoing);
    body.resume();
  });
}

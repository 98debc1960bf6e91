// What is asked of an extension server, and its answer, whatever the version of HTTP.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
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

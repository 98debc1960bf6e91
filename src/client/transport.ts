// How the client reaches an API server. There are two: over HTTPS (https-transport.ts), and in the same process (given by
// the API server: the same stages of a request, without sockets and bytes). Bodies are JSON values in both; over the
// in-process transport they are shared references, so nobody may change one.

export interface TransportRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path without query: "/api/v1/namespaces/default/pods". */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Of the body; default application/json. Patches say their type here. */
  readonly contentType?: string;
  /** Default application/json. */
  readonly accept?: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Deadline of the whole call; for watches, of the answer's headers. Default 30 s. */
  readonly timeoutMs?: number;
}

export interface TransportResponse {
  readonly status: number;
  /** Parsed JSON, or text where the answer is not JSON. */
  readonly body: unknown;
  /** The texts of Warning headers. */
  readonly warnings: readonly string[];
}

export interface RawWatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

export interface Transport {
  /** Answers with any status; throws only when there is no answer (connection, deadline, abort). */
  request(request: TransportRequest): Promise<TransportResponse>;
  /**
   * Opens a watch; throws StatusError when the server refuses it. Yields batches of events until the server ends the
   * watch, the signal aborts (the iteration then just ends) or the connection breaks (it throws).
   */
  watch(request: TransportRequest): Promise<AsyncIterable<readonly RawWatchEvent[]>>;
  close(): Promise<void>;
}

// The types shared by every gRPC protocol (CRI, CSI, device plugins, KMS): the table a generated protocol consists of, and the
// two shapes of a message. A message that was *received* has every field (proto3 has no absent scalars); only message-typed
// fields and those of a oneof can be missing. A message to *send* may leave out anything: `Input<T>`.

/** A message without fields. */
export type EmptyMessage = Readonly<Record<string, never>>;

/** A message to be sent: every field may be left out, at any depth, and then has its proto3 default. */
export type Input<T> = T extends string | number | bigint | boolean | Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? readonly Input<E>[]
    : { readonly [K in keyof T]?: Input<T[K]> | undefined };

export interface CallOptions {
  /** Cancels the call; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Deadline in milliseconds. The default is the connection's. Streams have none unless it is given. */
  readonly timeoutMs?: number;
}

export interface HandlerContext {
  /** Aborts when the caller cancels, its deadline passes, or its connection is lost. */
  readonly signal: AbortSignal;
}

/** A protocol as data; written by scripts/generate-protocol.mjs. */
export interface ProtocolTable {
  /** The protobuf package, "runtime.v1". */
  readonly package: string;
  /** Service → method → "Request -> Response" or "Request -> stream Response". */
  readonly services: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Enum → value name → number. */
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /**
   * Message → fields, "1 metadata PodSandboxMetadata; 2 servers string[]; 3 labels map<string,string>; 4 shareId string?".
   * A `?` marks a scalar whose presence matters. 64-bit integers are numbers and must be below 2^53, except
   * `int64:bigint` (and its like), and `int64:rounded` (the nearest double).
   */
  readonly messages: Readonly<Record<string, string>>;
}

/** "runPodSandbox" for "RunPodSandbox". */
export function methodKey(method: string): string {
  return method.charAt(0).toLowerCase() + method.slice(1);
}

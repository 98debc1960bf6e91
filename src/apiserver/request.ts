// What flows through the API server: one request, one response, and the stages between them. A stage is a function; the
// server is the list of them in upstream's order (see server.ts). Both transports enter the same list: the HTTPS server
// parses bytes into an ApiRequest, the in-process transport builds one from JSON values.
import type { CborCodec } from "../api/encode/cbor/cbor-codec.ts";
import type { UserInfo } from "./authn/user.ts";
import type { RequestInfo } from "./http/request-info.ts";

export interface ApiRequest {
  readonly method: string;
  /** Percent-encoded path without the query, as received. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name; several lines of one header are joined by ", ", except those in `headerLines`. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Every value of a header that may repeat (impersonate-group, impersonate-extra-*), read as UTF-8. */
  headerLines(name: string): readonly string[];
  /** The path with its query as it was sent; absent in-process. */
  readonly uri?: string;
  readonly body: RequestBody;
  /** Aborts when the client has gone or the request's deadline has passed. */
  readonly signal: AbortSignal;
  /** Aborts the signal: for the stage that keeps the deadline. */
  abort?(reason: unknown): void;
  /** In-process: the caller waits so long, and then aborts the request. */
  readonly callerWaitsMs?: number;
  /** The client's address, "" in-process. */
  readonly remoteAddress: string;
  /** DER of the TLS client certificate, where one was presented that the client CA vouches for. */
  readonly clientCertificate?: Uint8Array;
  /** DER of the TLS client certificate, where one was presented that the front proxy's CA vouches for. */
  readonly frontProxyCertificate?: Uint8Array;
  /** A TLS client certificate was presented, and the client CA does not vouch for it. */
  readonly hasUnknownCertificate?: boolean;
  /** Set by the in-process transport: already authenticated. */
  readonly trustedUser?: UserInfo;
  /** Present when the connection can be taken over (HTTP/1.1 Upgrade, or an HTTP/2 extended CONNECT later). */
  readonly upgrade?: UpgradeHandle;
  /** Where the server speaks CBOR. */
  readonly cbor?: CborCodec | undefined;
}

const loggedIdCharacters = 64;

/** An audit id as it stands in logs: clients may send any, of any length. */
export const loggedAuditId = (id = ""): string => (id.length > loggedIdCharacters ? id.slice(0, loggedIdCharacters) : id);

/** The path with its query, as it was sent where that is known. */
export function requestUri({ uri, path, query }: Pick<ApiRequest, "uri" | "path" | "query">): string {
  if (uri !== undefined) return uri;
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

export type RequestBody =
  | { readonly kind: "none" }
  /** Reads it all, at most `limitBytes` (413 beyond). */
  | {
      readonly kind: "bytes";
      read(limitBytes: number): Promise<Uint8Array>;
      /** The body as it comes, for those who send it on; instead of read(). */
      stream(): import("node:stream").Readable;
      /** Whoever reads waits no longer for the rest: the request's deadline has passed. */
      cutShort?(reason: unknown): void;
    }
  /** In-process: a JSON value, shared and immutable. */
  | { readonly kind: "value"; readonly value: unknown };

export interface UpgradeHandle {
  /** The raw connection, to be used by an upgrade response. */
  readonly socket: import("node:stream").Duplex;
  /** Bytes already read past the request's head. */
  readonly head: Uint8Array;
  /** Headers in order as [name, value, …], for forwarding. */
  readonly rawHeaders: readonly string[];
}

/** What the stages learn about a request on its way. Each field says which stage sets it. */
export interface RequestContext {
  readonly request: ApiRequest;
  /** By request-info. */
  info: RequestInfo;
  /** By authentication; after impersonation the impersonated user. */
  user: UserInfo;
  /** By impersonation: who really asks. */
  impersonator?: UserInfo;
  /** By impersonation: the verb that allowed it, where that was a constrained one ("impersonate:user-info"). For audit. */
  impersonationConstraint?: string;
  /** By flow control: the flow schema that took the request, and its priority level. */
  flow?: { readonly schemaUid: string; readonly levelUid: string };
  /** Texts for Warning headers (299), in order, without duplicates. */
  readonly warnings: string[];
  /** By the first stages: headers of the answer, whatever it will be; by lower-case name. */
  headers?: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch when the request arrived. */
  readonly receivedAtMs: number;
  /** By whoever waits for seats or webhooks: how long; the time is not the server's own. */
  waitedMs?: number;
  /** By whoever has waited for others (stage-durations.ts): for how long, by what for. */
  stageMs?: Map<string, number>;
  /** How long the request may take, where it has itself said so (?timeout=), in milliseconds. */
  timeoutMs?: number;
  /** By the stage that keeps the deadline: when the request ends, in milliseconds since the epoch. */
  endsAtMs?: number;
  /** By whoever reads the body: its bytes as they were sent. */
  bodyBytes?: number;
  /** By flow control, where the body may be large: waits for the turn of one that is, which ends with the request. */
  largeBodyTurn?: () => Promise<void>;
  /** By whoever ends the request in the server's own defence: the status it is answered with. */
  terminated?: number;
  /** By dispatch, where what is asked for is deprecated: the release that removes it, "" where none does. */
  removedRelease?: string;
  /** By dispatch: there is something that serves such requests, whatever it answers. */
  isRouted?: boolean;
  /** By dispatch: answers are in CBOR too, where the server speaks it and the client wants it. What comes before never is. */
  speaksCbor?: boolean;
  /** By tracing, where the request is traced: called by the transport when the answer has been written. */
  onceAnswered?: () => void;
  /** Names the request in logs and in the Audit-Id header. */
  readonly auditId?: string;
  /** By authentication where it has something to say, and by audit where the request is recorded: annotations of stages and admission. */
  auditAnnotations?: Map<string, string>;
  /** By audit, where the request is recorded: whoever decodes its object puts it here; a patch only where audit wants it `whole`. */
  auditBody?: { value: unknown; readonly whole: boolean };
}

/** JSON in two parts, as objects are kept: ASCII, and then bytes that are shared and only read. */
export interface EncodedAnswer {
  readonly head: string;
  readonly tail: Uint8Array;
}

export type ApiResponse =
  | {
      /**
       * A JSON value, encoded at the edge in what the client accepts. `encoded` and `protobuf` are its encodings in JSON and
       * protobuf, where they exist already.
       */
      readonly kind: "object";
      readonly status: number;
      readonly object: unknown;
      readonly encoded?: () => EncodedAnswer;
      readonly protobuf?: () => Uint8Array;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "bytes";
      readonly status: number;
      readonly contentType: string;
      readonly bytes: Uint8Array;
      /** What the bytes encode, for audit. */
      readonly object?: () => unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {
      /**
       * A body made while it is sent: a large list, a log. Chunks are pulled, so a slow client holds nothing up. A chunk is good
       * until the next is asked for: its memory may be used again.
       */
      readonly kind: "stream";
      readonly status: number;
      readonly contentType: string;
      readonly chunks: AsyncIterable<Uint8Array>;
      /** Of all chunks together, where it is known beforehand. */
      readonly length?: number;
      /** Not to be compressed here: another server has seen to what the client accepts. */
      readonly asIs?: boolean;
      /** What the chunks encode, for audit. */
      readonly object?: () => unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** `encoding` is what the client asked for and the kind has; JSON where absent. */
  | { readonly kind: "watch"; readonly stream: WatchStream; readonly encoding?: "json" | "protobuf" | "cbor" }
  | {
      /** The connection changes protocol: `serve` owns the socket from now on and has to write the 101 itself. */
      readonly kind: "upgrade";
      readonly serve: (upgrade: UpgradeHandle) => void;
    };

/** A watch that has been accepted. The transport decides how its events are framed and encoded. */
export interface WatchStream {
  /** Batches, until the watch ends (timeout, server stop, slow consumer after its final ERROR event). */
  readonly batches: AsyncIterable<readonly WatchStreamEvent[]>;
  /** Ends it from the consumer's side. */
  close(): void;
  /** Calls the listener when it has ended, by whomever. One listener. Absent where it ends with its first batch. */
  onceEnded?(listener: () => void): void;
}

export interface WatchStreamEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
  /** JSON bytes of `object`, to be read only. */
  readonly bytes: () => Uint8Array;
  /** The protobuf message of `object`, encoded once and shared likewise; absent for objects made for one watcher. */
  readonly message?: () => Uint8Array;
}

/** May throw instead of rejecting. */
export type Handler = (context: RequestContext) => Promise<ApiResponse>;

/** A stage answers itself, throws StatusError (or rejects with it), or hands on to `next`. */
export type Stage = (context: RequestContext, next: Handler) => Promise<ApiResponse>;

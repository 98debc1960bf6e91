// The part of etcd's gRPC interface (packages etcdserverpb and mvccpb, v3.4 and later) that the store uses: interfaces of
// the messages, and their field numbers for src/rpc/protobuf.ts. Keys are declared as text: on the wire text and bytes are
// the same, and the store's keys are text.
import type { EmptyMessage, ProtocolTable } from "../../rpc/protocol.ts";

export interface ResponseHeader {
  readonly revision: number;
}

export interface EtcdKeyValue {
  readonly key: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly value: Uint8Array;
}

export interface RangeRequest {
  readonly key: string;
  readonly rangeEnd: string;
  readonly limit: number;
  readonly revision: number;
  readonly countOnly: boolean;
  readonly minModRevision: number;
}

export interface RangeResponse {
  readonly header?: ResponseHeader;
  readonly kvs: readonly EtcdKeyValue[];
  readonly count: number;
}

export interface Compare {
  readonly target: "VERSION" | "MOD";
  readonly key: string;
  readonly version?: number;
  readonly modRevision?: number;
}

export interface RequestOp {
  readonly requestRange?: RangeRequest;
  readonly requestPut?: { readonly key: string; readonly value: Uint8Array; readonly lease: bigint };
  readonly requestDeleteRange?: { readonly key: string };
}

export interface TxnRequest {
  readonly compare: readonly Compare[];
  readonly success: readonly RequestOp[];
  readonly failure: readonly RequestOp[];
}

export interface TxnResponse {
  readonly header?: ResponseHeader;
  readonly succeeded: boolean;
  readonly responses: readonly { readonly responseRange?: RangeResponse; readonly responseDeleteRange?: { readonly deleted: number } }[];
}

export interface CompactionRequest {
  readonly revision: number;
}

export interface CompactionResponse {
  readonly header?: ResponseHeader;
}

export interface LeaseGrantRequest {
  readonly ttl: number;
}

export interface LeaseGrantResponse {
  readonly id: bigint;
}

export interface StatusResponse {
  readonly header?: ResponseHeader;
  /** "3.4.23". */
  readonly version: string;
}

export interface EtcdEvent {
  readonly type: "PUT" | "DELETE";
  readonly kv?: EtcdKeyValue;
  readonly prevKv?: EtcdKeyValue;
}

export interface WatchRequest {
  readonly createRequest?: {
    readonly key: string;
    readonly rangeEnd: string;
    readonly startRevision: number;
    readonly progressNotify: boolean;
    readonly prevKv: boolean;
    readonly fragment: boolean;
  };
  readonly progressRequest?: EmptyMessage;
}

export interface WatchResponse {
  readonly header?: ResponseHeader;
  readonly created: boolean;
  readonly canceled: boolean;
  /** Not 0: the watch began before this revision, which is the oldest there is. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  /** More of the same response follows. */
  readonly fragment: boolean;
  readonly events: readonly EtcdEvent[];
}

/** The calls with one answer, by name: where they go, and their messages. */
export interface UnaryCalls {
  readonly Range: { readonly request: RangeRequest; readonly response: RangeResponse };
  readonly Txn: { readonly request: TxnRequest; readonly response: TxnResponse };
  readonly Compact: { readonly request: CompactionRequest; readonly response: CompactionResponse };
  readonly LeaseGrant: { readonly request: LeaseGrantRequest; readonly response: LeaseGrantResponse };
  readonly Status: { readonly request: EmptyMessage; readonly response: StatusResponse };
}

export const etcdProtocol: ProtocolTable = {
  package: "etcdserverpb",
  services: {
    KV: {
      Range: "RangeRequest -> RangeResponse",
      Txn: "TxnRequest -> TxnResponse",
      Compact: "CompactionRequest -> CompactionResponse",
    },
    Lease: { LeaseGrant: "LeaseGrantRequest -> LeaseGrantResponse" },
    Maintenance: { Status: "StatusRequest -> StatusResponse" },
  },
  enums: {
    CompareTarget: { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 },
    EventType: { PUT: 0, DELETE: 1 },
  },
  messages: {
    ResponseHeader: "3 revision int64",
    KeyValue: "1 key string; 2 createRevision int64; 3 modRevision int64; 4 version int64; 5 value bytes",
    RangeRequest: "1 key string; 2 rangeEnd string; 3 limit int64; 4 revision int64; 9 countOnly bool; 10 minModRevision int64",
    RangeResponse: "1 header ResponseHeader; 2 kvs KeyValue[]; 4 count int64",
    PutRequest: "1 key string; 2 value bytes; 3 lease int64:bigint",
    DeleteRangeRequest: "1 key string",
    DeleteRangeResponse: "1 header ResponseHeader; 2 deleted int64",
    RequestOp: "1 requestRange RangeRequest; 2 requestPut PutRequest; 3 requestDeleteRange DeleteRangeRequest",
    ResponseOp: "1 responseRange RangeResponse; 3 responseDeleteRange DeleteRangeResponse",
    Compare: "2 target CompareTarget; 3 key string; 4 version int64?; 6 modRevision int64?",
    TxnRequest: "1 compare Compare[]; 2 success RequestOp[]; 3 failure RequestOp[]",
    TxnResponse: "1 header ResponseHeader; 2 succeeded bool; 3 responses ResponseOp[]",
    CompactionRequest: "1 revision int64",
    CompactionResponse: "1 header ResponseHeader",
    LeaseGrantRequest: "1 ttl int64",
    LeaseGrantResponse: "2 id int64:bigint",
    StatusRequest: "",
    StatusResponse: "1 header ResponseHeader; 2 version string",
    Event: "1 type EventType; 2 kv KeyValue; 3 prevKv KeyValue",
    WatchCreateRequest: "1 key string; 2 rangeEnd string; 3 startRevision int64; 4 progressNotify bool; 6 prevKv bool; 8 fragment bool",
    WatchProgressRequest: "",
    WatchRequest: "1 createRequest WatchCreateRequest; 3 progressRequest WatchProgressRequest",
    WatchResponse:
      "1 header ResponseHeader; 3 created bool; 4 canceled bool; 5 compactRevision int64; 6 cancelReason string; 7 fragment bool; 11 events Event[]",
  },
};

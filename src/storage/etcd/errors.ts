// What etcd's errors mean to the store. etcd tells them apart by text within a gRPC code.
import { isRpcError, RpcError } from "../../rpc/rpc-error.ts";
import { CompactedError, FutureRevisionError, StoreFullError, WriteTooLargeError } from "../store.ts";

/** Another member, or the same a moment later, may answer. */
export function isRetriable(error: unknown): boolean {
  return isRpcError(error, "UNAVAILABLE") || isRpcError(error, "DEADLINE_EXCEEDED") || wasRefused(error);
}

/** The member has said that it did nothing. That it has stopped says nothing of what was under way: that may be done all the same. */
export function wasRefused(error: unknown): boolean {
  if (!(error instanceof RpcError)) return false;
  return /no leader$|too many requests$|no connection to etcd|No connection established/.test(error.details);
}

export function isCompacted(error: unknown): boolean {
  return isRpcError(error, "OUT_OF_RANGE") && (error as RpcError).details.endsWith("has been compacted");
}

export function isLeaseLost(error: unknown): boolean {
  return isRpcError(error, "NOT_FOUND") && (error as RpcError).details.includes("lease not found");
}

const requestTooLarge = "etcdserver: request is too large";

/** `revision`: what was asked for. etcd does not say where it stands, so the errors give bounds. */
export function toStoreError(error: unknown, revision: number): unknown {
  if (!(error instanceof RpcError)) return error;
  if (isCompacted(error)) return new CompactedError(revision + 1);
  if (error.code === "OUT_OF_RANGE" && error.details.endsWith("future revision")) return new FutureRevisionError(revision - 1);
  if (error.code === "INVALID_ARGUMENT" && error.details === requestTooLarge)
    return new WriteTooLargeError(error.details, { cause: error });
  if (error.code === "RESOURCE_EXHAUSTED" && error.details.includes("database space exceeded"))
    return new StoreFullError("etcd has reached its space quota (alarm NOSPACE): compact, defragment and disarm it", { cause: error });
  return error;
}

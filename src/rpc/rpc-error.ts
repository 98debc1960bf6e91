// The failure of a call, on either side: a gRPC status. https://grpc.io/docs/guides/status-codes lists what each code means.
import { errorText } from "../base/log.ts";

/** The sixteen failure codes in the order of their numbers, 1 to 16. */
export const rpcCodes = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export type RpcCode = (typeof rpcCodes)[number];

/** Thrown by every call that fails, and by handlers to answer with a code. */
export class RpcError extends Error {
  override name = "RpcError";
  readonly code: RpcCode;
  /** The peer's message, alone. */
  readonly details: string;

  /** `call` names what was called, "RuntimeService.StopContainer". */
  constructor(code: RpcCode, details: string, options: { readonly call?: string; readonly cause?: unknown } = {}) {
    super(
      `${options.call ? `${options.call}: ` : ""}${code}: ${details}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.details = details;
  }
}

/** Whether a call failed with this code: `isRpcError(error, "NOT_FOUND")`. */
export function isRpcError(error: unknown, code: RpcCode): boolean {
  return error instanceof RpcError && error.code === code;
}

/** As programs in Go show it: "DeadlineExceeded". */
export function goCodeName(code: RpcCode): string {
  if (code === "CANCELLED") return "Canceled";
  return code
    .toLowerCase()
    .split("_")
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("");
}

/** A failed call as Go shows it; of what is none its own text. */
export function goRpcText(error: unknown): string {
  return error instanceof RpcError ? `rpc error: code = ${goCodeName(error.code)} desc = ${error.details}` : errorText(error);
}

export function rpcCodeNumber(code: RpcCode): number {
  return rpcCodes.indexOf(code) + 1;
}

export function rpcCodeOf(number: number): RpcCode {
  return rpcCodes[number - 1] ?? "UNKNOWN";
}

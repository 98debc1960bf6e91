// Why a container could not be started: `reason` is what its status shows under `state.waiting` ("ErrImagePull",
// "CreateContainerConfigError" …), the message is shown beside it.

import { errorText } from "../../base/log.ts";
import { RpcError } from "../../rpc/rpc-error.ts";

export type StartFailure =
  | "ErrImagePull"
  | "ImagePullBackOff"
  | "ImageInspectError"
  | "ErrImageNeverPull"
  | "InvalidImageName"
  | "RegistryUnavailable"
  | "SignatureValidationFailed"
  | "CreateContainerConfigError"
  | "CreateContainerError"
  | "RunContainerError"
  | "PostStartHookError"
  | "CrashLoopBackOff";

export class StartError extends Error {
  readonly reason: StartFailure;
  /** When a new try is worth it, where that is known. */
  readonly retryAtMs: number | undefined;

  constructor(reason: StartFailure, message: string, options: { readonly cause?: unknown; readonly retryAtMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "StartError";
    this.reason = reason;
    this.retryAtMs = options.retryAtMs;
  }
}

/** A runtime's message alone, or any other error's text. */
export function runtimeMessage(error: unknown): string {
  return error instanceof RpcError ? error.details : errorText(error);
}

const goCodeNames: Readonly<Record<string, string>> = {
  CANCELLED: "Canceled",
  UNKNOWN: "Unknown",
  INVALID_ARGUMENT: "InvalidArgument",
  DEADLINE_EXCEEDED: "DeadlineExceeded",
  NOT_FOUND: "NotFound",
  ALREADY_EXISTS: "AlreadyExists",
  PERMISSION_DENIED: "PermissionDenied",
  RESOURCE_EXHAUSTED: "ResourceExhausted",
  FAILED_PRECONDITION: "FailedPrecondition",
  ABORTED: "Aborted",
  OUT_OF_RANGE: "OutOfRange",
  UNIMPLEMENTED: "Unimplemented",
  INTERNAL: "Internal",
  UNAVAILABLE: "Unavailable",
  DATA_LOSS: "DataLoss",
  UNAUTHENTICATED: "Unauthenticated",
};

/** A runtime's error as events show it: `rpc error: code = NotFound desc = …`. */
export function runtimeErrorText(error: unknown): string {
  return error instanceof RpcError
    ? `rpc error: code = ${goCodeNames[error.code] ?? error.code} desc = ${error.details}`
    : errorText(error);
}

// The one error of the API: a Kubernetes Status, thrown by the server, carried over the wire and thrown again by the
// client. Test its reason, never its text. The constructors give upstream's reason, code and message for each case.
import { goQuoted } from "../../base/go-quoted.ts";
import type { Status, StatusCause, StatusDetails } from "../types/meta-v1.ts";
import type { FieldError } from "./field-error.ts";

export type StatusReason =
  | "BadRequest"
  | "Unauthorized"
  | "Forbidden"
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Gone"
  | "Expired"
  | "Invalid"
  | "MethodNotAllowed"
  | "NotAcceptable"
  | "UnsupportedMediaType"
  | "RequestEntityTooLarge"
  | "TooManyRequests"
  | "InternalError"
  | "ServerTimeout"
  | "Timeout"
  | "ServiceUnavailable"
  | "StorageReadError"
  | "";

export class StatusError extends Error {
  readonly status: Status;

  constructor(status: Omit<Status, "apiVersion" | "kind" | "metadata" | "status">, options?: ErrorOptions) {
    super(status.message ?? status.reason ?? "unknown", options);
    this.name = "StatusError";
    const { message, reason, details, code } = status;
    // In upstream's order, for those who read it.
    const ordered = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, details, code, ...status };
    this.status = withoutAbsent(ordered) as Status;
  }

  get reason(): StatusReason {
    return (this.status.reason ?? "") as StatusReason;
  }

  /** The HTTP status. */
  get code(): number {
    return this.status.code ?? 500;
  }
}

function withoutAbsent(fields: Record<string, unknown>): unknown {
  for (const name in fields) if (fields[name] === undefined) delete fields[name];
  return fields;
}

export function isStatus(error: unknown, ...reasons: StatusReason[]): error is StatusError {
  return error instanceof StatusError && (reasons.length === 0 || reasons.includes(error.reason));
}

/** What an error is about, as it stands in messages and details: the plural resource and its group. */
export interface Subject {
  readonly group: string;
  readonly resource: string;
}

const qualified = (s: Subject): string => (s.group === "" ? s.resource : `${s.resource}.${s.group}`);
const details = (s: Subject, name: string, more: Partial<StatusDetails> = {}): StatusDetails => ({
  ...(name === "" ? {} : { name }),
  ...(s.group === "" ? {} : { group: s.group }),
  ...(s.resource === "" ? {} : { kind: s.resource }),
  ...more,
});

export function notFound(subject: Subject, name: string): StatusError {
  return new StatusError({
    code: 404,
    reason: "NotFound",
    message: `${qualified(subject)} ${goQuoted(name)} not found`,
    details: details(subject, name),
  });
}

export function alreadyExists(subject: Subject, name: string): StatusError {
  return new StatusError({
    code: 409,
    reason: "AlreadyExists",
    message: `${qualified(subject)} ${goQuoted(name)} already exists`,
    details: details(subject, name),
  });
}

export function conflict(subject: Subject, name: string, why: string): StatusError {
  return new StatusError({
    code: 409,
    reason: "Conflict",
    message: `Operation cannot be fulfilled on ${qualified(subject)} ${goQuoted(name)}: ${why}`,
    details: details(subject, name),
  });
}

export function forbidden(subject: Subject, name: string, why: string): StatusError {
  const message =
    subject.resource === "" ? `forbidden: ${why}` : `${qualified(subject)}${name === "" ? "" : ` ${goQuoted(name)}`} is forbidden: ${why}`;
  return new StatusError({ code: 403, reason: "Forbidden", message, details: details(subject, name) });
}

/** What errors about an object may say together: each can repeat the list that it stands in, so that they come to its square. */
const maxToldCharacters = 1024 * 1024;

/** Causes and distinct messages of the first errors: as many as may be told, and one at least. */
function told(errors: readonly FieldError[]): { readonly causes: readonly StatusCause[]; readonly messages: readonly string[] } {
  const causes: StatusCause[] = [];
  const messages = new Set<string>();
  let characters = 0;
  for (const error of errors) {
    const { type: reason, field } = error;
    const message = error.body();
    causes.push({ reason, message, field });
    messages.add(`${field}: ${message}`);
    characters += field.length + message.length;
    if (characters > maxToldCharacters) break;
  }
  return { causes, messages: [...messages] };
}

/** `kind` is the kind's name ("Pod"), not the resource. */
export function invalid(kind: { readonly group: string; readonly kind: string }, name: string, errors: readonly FieldError[]): StatusError {
  const { causes, messages } = told(errors);
  const shown = messages.length === 1 ? messages[0] : `[${messages.join(", ")}]`;
  const label = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return new StatusError({
    code: 422,
    reason: "Invalid",
    message: `${label} ${goQuoted(name)} is invalid: ${shown}`,
    details: {
      ...(name === "" ? {} : { name }),
      ...(kind.group === "" ? {} : { group: kind.group }),
      ...(kind.kind === "" ? {} : { kind: kind.kind }),
      causes,
    },
  });
}

export function badRequest(message: string): StatusError {
  return new StatusError({ code: 400, reason: "BadRequest", message });
}

export function unauthorized(message = "Unauthorized"): StatusError {
  return new StatusError({ code: 401, reason: "Unauthorized", message });
}

export function methodNotAllowed(subject: Subject, action: string): StatusError {
  return new StatusError({
    code: 405,
    reason: "MethodNotAllowed",
    message: `${action} is not supported on resources of kind "${qualified(subject)}"`,
    details: details(subject, ""),
  });
}

/** A resource version that has been compacted away: the client must list again. */
export function expired(message: string): StatusError {
  return new StatusError({ code: 410, reason: "Expired", message });
}

export function internalError(cause: unknown): StatusError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new StatusError(
    { code: 500, reason: "InternalError", message: `Internal error occurred: ${text}`, details: { causes: [{ message: text }] } },
    { cause },
  );
}

export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return new StatusError({ code: 429, reason: "TooManyRequests", message, details: { retryAfterSeconds } });
}

export function serviceUnavailable(message: string): StatusError {
  return new StatusError({ code: 503, reason: "ServiceUnavailable", message });
}

// Validation errors as upstream's field package reports them: a type, the path of the field, the value it had and what
// was expected. Validators collect every problem into one list; the API server turns the list into one Status.

import { showFloat } from "./go-number.ts";

export type FieldErrorType =
  | "FieldValueNotFound"
  | "FieldValueRequired"
  | "FieldValueDuplicate"
  | "FieldValueInvalid"
  | "FieldValueNotSupported"
  | "FieldValueForbidden"
  | "FieldValueTooLong"
  | "FieldValueTooMany"
  | "InternalError"
  | "FieldValueTypeInvalid";

const titles: Readonly<Record<FieldErrorType, string>> = {
  FieldValueNotFound: "Not found",
  FieldValueRequired: "Required value",
  FieldValueDuplicate: "Duplicate value",
  FieldValueInvalid: "Invalid value",
  FieldValueNotSupported: "Unsupported value",
  FieldValueForbidden: "Forbidden",
  FieldValueTooLong: "Too long",
  FieldValueTooMany: "Too many",
  InternalError: "Internal error",
  FieldValueTypeInvalid: "Invalid value",
};

/** The path of an object as a whole, as upstream writes it. */
export const wholeObject = "[]";

/** Stands for a value that messages leave out: it is long, or they say enough without it. */
export const omittedValue: unique symbol = Symbol("omitted");

/** Stands for a value that messages show as null, whatever was sent. */
export const nullValue: object = { toJSON: () => null };

export class FieldError {
  readonly type: FieldErrorType;
  /** "spec.containers[0].name". */
  readonly field: string;
  readonly value: unknown;
  readonly detail: string;

  constructor(type: FieldErrorType, field: string, value: unknown, detail: string) {
    this.type = type;
    this.field = field;
    this.value = value;
    this.detail = detail;
  }

  /** The message without the field: `Invalid value: "x": must be …`. */
  body(): string {
    const title = titles[this.type];
    const detail = this.detail === "" ? "" : `: ${this.detail}`;
    if (this.value === omittedValue) return `${title}${detail}`;
    switch (this.type) {
      case "FieldValueRequired":
      case "FieldValueForbidden":
      case "FieldValueTooLong":
      case "InternalError":
        return `${title}${detail}`;
      default:
        return `${title}: ${showValue(this.value)}${detail}`;
    }
  }

  get message(): string {
    return `${this.field}: ${this.body()}`;
  }
}

/** A value as Go prints it in these messages: strings quoted, objects as JSON. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return "null";
  if (typeof value === "string") return quoted(value);
  if (typeof value === "object") return escapeMarkup(JSON.stringify(value));
  if (typeof value === "number" && !Number.isInteger(value)) return showFloat(value);
  return String(value);
}

/** Go writes <, > and & in JSON as escapes. */
export function escapeMarkup(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A text in quotes as Go writes it: control characters as \x01. */
function quoted(text: string): string {
  const written = JSON.stringify(text).replace(/\\u00([01][0-9a-f])/g, (_, code: string) =>
    code === "07" ? "\\a" : code === "0b" ? "\\v" : `\\x${code}`,
  );
  return written.includes("\x7f") ? written.replaceAll("\x7f", "\\x7f") : written;
}

export const notFoundError = (field: string, value: unknown): FieldError => new FieldError("FieldValueNotFound", field, value, "");
export const required = (field: string, detail = ""): FieldError => new FieldError("FieldValueRequired", field, "", detail);
export const duplicate = (field: string, value: unknown): FieldError => new FieldError("FieldValueDuplicate", field, value, "");
export const invalidValue = (field: string, value: unknown, detail: string): FieldError =>
  new FieldError("FieldValueInvalid", field, value, detail);
export const forbiddenField = (field: string, detail: string): FieldError => new FieldError("FieldValueForbidden", field, "", detail);
export const tooLong = (field: string, maxLength: number): FieldError =>
  new FieldError(
    "FieldValueTooLong",
    field,
    "",
    maxLength >= 0 ? `may not be more than ${maxLength} ${maxLength === 1 ? "byte" : "bytes"}` : "value is too long",
  );
export const tooMany = (field: string, actual: number, max: number): FieldError =>
  new FieldError(
    "FieldValueTooMany",
    field,
    actual,
    max >= 0 ? `must have at most ${max} item${max === 1 ? "" : "s"}` : "has too many items",
  );

export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const detail = supported.length > 0 ? `supported values: ${supported.map((s) => JSON.stringify(s)).join(", ")}` : "";
  return new FieldError("FieldValueNotSupported", field, value, detail);
}

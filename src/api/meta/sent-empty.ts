// Lists and maps that were sent empty. Decoding leaves them out, as upstream does when it writes an object; messages about
// the object and the owners of its fields still tell them from absent ones. Who decodes notes them under a symbol, which
// copies of the object keep and which nothing writes; what is stored is stored without.
import { FieldError } from "./field-error.ts";

export const sentEmpty: unique symbol = Symbol("sent empty");

export type EmptyFields = Readonly<Record<string, object>>;

interface Noted {
  readonly [sentEmpty]?: EmptyFields;
}

/** The empty list or map that was sent for a field; undefined where none was. */
export function sentEmptyOf(owner: unknown, field: string): object | undefined {
  return (owner as Noted | null | undefined)?.[sentEmpty]?.[field];
}

/** The fields of an object, not of its parts, that were sent empty. */
export const sentEmptyFields = (owner: object): readonly string[] => Object.keys((owner as Noted)[sentEmpty] ?? {});

/** What was noted of an object's fields and nothing else of it: for an object that takes over some of them. */
export const withSentEmptyOf = (owner: object): Noted => {
  const noted = (owner as Noted)[sentEmpty];
  return noted === undefined ? {} : { [sentEmpty]: noted };
};

/** Whether a field was sent, and be it empty. */
export const wasSent = <T extends object>(owner: T, field: keyof T & string): boolean =>
  (owner[field] ?? sentEmptyOf(owner, field) ?? undefined) !== undefined;

/** Whether anything in an object was sent empty: the object as a whole is marked too. */
export const hasSentEmpty = (object: object): boolean => sentEmpty in object;

/** Whether a part of an object, or anything in it, was sent empty. */
export function hasEmptyPart(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.keys((value as Noted)[sentEmpty] ?? {}).length > 0) return true;
  return Object.values(value).some(hasEmptyPart);
}

/** The object without these notes; the same where it has none. */
export function withoutSentEmpty<T extends object>(object: T): T {
  return hasSentEmpty(object) ? partWithoutSentEmpty(object) : object;
}

/** A copy of a part of an object without these notes. */
export function partWithoutSentEmpty<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(partWithoutSentEmpty) as T;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, partWithoutSentEmpty(child)])) as T;
}

/**
 * The object as it was sent where it has null for what was empty (lists that are always written): so it is seen before it is
 * stored. The same where nothing was sent empty.
 */
export function asSent<T extends object>(object: T): T {
  return hasSentEmpty(object) ? (partAsSent(object) as T) : object;
}

function partAsSent(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(partAsSent);
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, child === null ? (sentEmptyOf(value, key) ?? null) : partAsSent(child)]),
  );
}

/** Errors about an object, which show what was sent empty as it was sent. */
export function showSentEmpty(errors: FieldError[], object: object): FieldError[] {
  if (errors.length === 0 || !hasSentEmpty(object)) return errors;
  return errors.map((error) => {
    if (error.value !== null && error.value !== undefined) return error;
    const empty = emptyAt(object, error.field);
    return empty === undefined ? error : new FieldError(error.type, error.field, empty, error.detail);
  });
}

/** What was sent empty at a path such as "spec.rules[0].paths". */
function emptyAt(object: object, path: string): object | undefined {
  const steps = Array.from(path.matchAll(/\[([^\]]*)(?:\]|$)|[^.[\]]+/g), ([step, inBrackets]) => inBrackets ?? step);
  const field = steps.pop();
  let owner: unknown = object;
  for (const step of steps) owner = (owner as Readonly<Record<string, unknown>> | null | undefined)?.[step];
  return field === undefined ? undefined : sentEmptyOf(owner, field);
}

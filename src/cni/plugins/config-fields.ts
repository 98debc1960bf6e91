// Fields of a plugin's configuration, with their types checked: a wrong one is refused with its name and what was expected.
import { invalidConfig } from "../spec/cni-error.ts";

type Fields = Readonly<Record<string, unknown>>;

export function textField(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") throw expected(name, "a text", value);
  return value;
}

export function flagField(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean") throw expected(name, "true or false", value);
  return value;
}

/** A whole number, not negative. */
export function numberField(
  fields: Fields,
  name: string,
  { max = Number.MAX_SAFE_INTEGER }: { readonly max?: number } = {},
): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max)
    throw expected(name, max === Number.MAX_SAFE_INTEGER ? "a whole number" : `a whole number up to ${max}`, value);
  return value;
}

export function listField(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw expected(name, "a list", value);
  return value;
}

export function objectField(fields: Fields, name: string): Fields | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  return asObject(value, name);
}

export function asObject(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw expected(name, "an object", value);
  return value as Fields;
}

export function textList(fields: Fields, name: string): readonly string[] {
  return listField(fields, name).map((entry) => {
    if (typeof entry !== "string") throw expected(name, "a list of texts", entry);
    return entry;
  });
}

const expected = (name: string, what: string, value: unknown): Error =>
  invalidConfig(`${name}: expected ${what}, not ${JSON.stringify(value)?.slice(0, 200)}`);

// Deep equality of JSON values as API objects mean it: an absent field, undefined and null are the same, and so are empty
// lists and objects and absent ones. This is what decides whether a controller has anything to write.

/** Whether two values say the same. */
export function semanticallyEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (isEmpty(a) || isEmpty(b)) return isEmpty(a) && isEmpty(b);
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => semanticallyEqual(item, b[i]));
  if (Array.isArray(b)) return false;
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  for (const key in left) if (!semanticallyEqual(left[key], right[key])) return false;
  for (const key in right) if (!(key in left) && !isEmpty(right[key])) return false;
  return true;
}

/**
 * Whether two values are the same as typed objects: empty lists and absent ones are, an empty object and an absent one are
 * not, as it is a pointer that is set. This is what decides whether a write changes what is desired.
 */
export function equalAsTyped(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  const [left, right] = [isAbsent(a), isAbsent(b)];
  if (left || right) return left && right;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equalAsTyped(item, b[i]));
  if (Array.isArray(b)) return false;
  const [own, other] = [a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>];
  for (const key in own) if (!equalAsTyped(own[key], other[key])) return false;
  for (const key in other) if (!(key in own) && !isAbsent(other[key])) return false;
  return true;
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null || (Array.isArray(value) && value.length === 0);

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value !== "object") return false;
  if (Array.isArray(value)) return value.length === 0;
  for (const _ in value) return false;
  return true;
}

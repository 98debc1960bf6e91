// Freezes a JSON value to its leaves. Tests freeze every object that enters a cache, so that code which changes a shared
// object fails at once and where it does it.

/** The same value, frozen throughout; values that are frozen already are taken to be so throughout. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const child of Object.values(value)) deepFreeze(child);
  return value;
}

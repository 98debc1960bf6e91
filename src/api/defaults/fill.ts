// How defaults are filled in: objects are immutable, so each function gives back the very object it was given when nothing
// was missing, and shares everything it did not touch.

/** The object with every missing field taken from `defaults`. A null is missing, as it is in Go. */
export function fill<T extends object>(object: T, defaults: { readonly [K in keyof T]?: T[K] }): T {
  for (const key in defaults) if (object[key] === undefined || object[key] === null) return filled(object, defaults);
  return object;
}

function filled<T extends object>(object: T, defaults: { readonly [K in keyof T]?: T[K] }): T {
  const result = { ...object };
  for (const key in defaults)
    if (result[key] === undefined || result[key] === null) result[key] = defaults[key] as (typeof result)[typeof key];
  return result;
}

/** The object with one field replaced, or itself where the field already has that value. Absent fields stay absent. */
export function change<T extends object, K extends keyof T>(object: T, key: K, to: (value: NonNullable<T[K]>) => T[K]): T {
  const value = object[key];
  if (value === undefined || value === null) return object;
  const next = to(value);
  return next === value ? object : replaced(object, key, next);
}

function replaced<T extends object, K extends keyof T>(object: T, key: K, value: T[K]): T {
  // The field is there: no computed name, which V8 would define anew.
  const copy = { ...object };
  copy[key] = value;
  return copy;
}

/** Array.map that gives back the array itself where no element changed. */
export function mapShared<T>(list: readonly T[], to: (item: T) => T): readonly T[] {
  let changed: T[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const item = list[i] as T;
    const next = to(item);
    if (next === item && !changed) continue;
    changed ??= list.slice(0, i);
    changed.push(next);
  }
  return changed ?? list;
}

/** `change` for a field that is a list: every element goes through `to`. */
export function changeEach<T extends object, K extends keyof T>(object: T, key: K, to: (item: ElementOf<T[K]>) => ElementOf<T[K]>): T {
  return change(object, key, (list) => mapShared(list as readonly ElementOf<T[K]>[], to) as T[K]);
}

type ElementOf<L> = NonNullable<L> extends readonly (infer E)[] ? E : never;

// What documents of both versions have in common in gnostic's messages: free values are YAML (JSON is YAML), and extensions are
// the members whose names begin with "x-".

export type Json = Readonly<Record<string, unknown>>;

export function extensions(from: Json): Json {
  return Object.fromEntries(
    Object.entries(from)
      .filter(([name]) => name.startsWith("x-"))
      .map(([name, value]) => [name, any(value)]),
  );
}

export const any = (value: unknown): Json => ({ yaml: JSON.stringify(value) });

export function each<T>(list: unknown, convert: (item: T) => Json): readonly Json[] | undefined {
  return (list as readonly T[] | undefined)?.map(convert);
}

export function mapValues<T>(values: unknown, convert: (value: T) => unknown): Json {
  return Object.fromEntries(Object.entries((values ?? {}) as Record<string, T>).map(([name, value]) => [name, convert(value)]));
}

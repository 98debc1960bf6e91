// How deep values may lie within each other. Everything that walks an object (decoding, merging, comparing, encoding) calls
// itself for each level, and a stack that is used up ends requests with nonsense, or the process: so texts that nest deeper
// are refused where they are read, and patches that would build such an object where they are applied.

/** Lists and objects within each other. Upstream's reader of JSON stops at 10,000. */
export const maxNesting = 500;

/** Whether lists and objects lie within each other more than `limit` deep; looks no deeper than that. */
export function nestsDeeper(value: unknown, limit = maxNesting): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (limit === 0) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (nestsDeeper(item, limit - 1)) return true;
    return false;
  }
  for (const key in value) if (nestsDeeper((value as Readonly<Record<string, unknown>>)[key], limit - 1)) return true;
  return false;
}

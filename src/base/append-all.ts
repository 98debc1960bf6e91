// Adds the entries of one list to another one by one: `push(...entries)` passes them as arguments, of which a call takes some
// 120,000 before it throws. For lists whose length a client chooses.

export function appendAll<T>(to: T[], entries: Iterable<T>): void {
  for (const entry of entries) to.push(entry);
}

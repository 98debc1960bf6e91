// Which values of a list were there before. Looking back through the list for each of them would take the square of its
// length, which clients choose.

/** To be asked once for each value, in order: whether an earlier one was the same. */
export function repeats<T>(): (value: T) => boolean {
  const seen = new Set<T>();
  return (value) => seen.size === seen.add(value).size;
}

// Order of merged lists: the patch's items in the patch's order, the server's own items between them where they were.

/** Sorts items by the place of their keys in `order`; the others keep their places behind those. */
export function sortLike<T>(items: readonly T[], order: readonly unknown[], keyOf: (item: T) => unknown): T[] {
  const place = placesOf(order);
  const at = (item: T): number => place.get(keyOf(item)) ?? order.length;
  return [...items].sort((a, b) => at(a) - at(b));
}

/**
 * Merges two lists that are each in order: an item of `left` goes before the first item of `right` that stands behind it
 * in `order`.
 */
export function mergeOrdered<T>(left: readonly T[], right: readonly T[], order: readonly unknown[], keyOf: (item: T) => unknown): T[] {
  const place = placesOf(order);
  const merged: T[] = [];
  let taken = 0;
  for (const item of right) {
    const itemPlace = place.get(keyOf(item)) ?? -1;
    for (; taken < left.length; taken++) {
      const candidate = left[taken] as T; // within bounds
      const candidatePlace = place.get(keyOf(candidate)) ?? Number.POSITIVE_INFINITY;
      if (candidatePlace >= itemPlace) break;
      merged.push(candidate);
    }
    merged.push(item);
  }
  return [...merged, ...left.slice(taken)];
}

function placesOf(order: readonly unknown[]): Map<unknown, number> {
  const places = new Map<unknown, number>();
  for (const [i, key] of order.entries()) if (!places.has(key)) places.set(key, i);
  return places;
}

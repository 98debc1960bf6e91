// Sets of completion indexes as jobs write them: "1,3-5,7", in increasing order.

/** A text that is no such set; the message is upstream's. */
export class IndexesError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "IndexesError";
  }
}

export interface IndexInterval {
  readonly first: number;
  readonly last: number;
}

/** Parses a set of indexes below `completions`. Throws IndexesError. */
export function parseIndexes(text: string, completions: number): readonly IndexInterval[] {
  if (text === "") return [];
  let previous = -1;
  return text.split(",").map((part) => {
    const interval = parseInterval(part, completions);
    if (previous >= interval.first) throw new IndexesError(`non-increasing order, previous: ${previous}, current: ${interval.first}`);
    previous = interval.last;
    return interval;
  });
}

function parseInterval(text: string, completions: number): IndexInterval {
  const parts = text.split("-");
  if (parts.length > 2)
    throw new IndexesError(
      `the fragment ${JSON.stringify(text)} violates the requirement that an index interval can have at most two parts separated by '-'`,
    );
  const [first = 0, last = first] = parts.map((part) => {
    if (!/^[+-]?\d+$/.test(part)) throw new IndexesError(`cannot convert string to integer for index: ${JSON.stringify(part)}`);
    if (Number(part) >= completions) throw new IndexesError(`too large index: ${JSON.stringify(part)}`);
    return Number(part);
  });
  if (parts.length > 1 && first >= last) throw new IndexesError(`non-increasing order, previous: ${first}, current: ${last}`);
  return { first, last };
}

/** The first index that both sets have; what is no interval in a set is passed over. */
export function firstCommonIndex(a: string, b: string, completions: number): number | undefined {
  const [left, right] = [a, b].map((text) => text.split(",").flatMap((part) => intervalOrNone(part, completions)));
  for (const x of left ?? []) for (const y of right ?? []) if (x.first <= y.last && y.first <= x.last) return Math.max(x.first, y.first);
  return undefined;
}

function intervalOrNone(text: string, completions: number): readonly IndexInterval[] {
  try {
    return [parseInterval(text, completions)];
  } catch (error) {
    if (error instanceof IndexesError) return [];
    throw error;
  }
}

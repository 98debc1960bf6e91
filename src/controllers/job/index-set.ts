// Sets of completion indexes of an Indexed Job, kept as intervals, for a job may have a hundred thousand of them. Their text
// is that of .status.completedIndexes, .status.failedIndexes and of success policies: "1,3-5,7".

interface Interval {
  readonly first: number;
  readonly last: number;
}

export class IndexSet {
  static readonly empty: IndexSet = new IndexSet([]);

  /** In order, neither touching nor overlapping. */
  readonly #intervals: readonly Interval[];
  /** How many indexes there are. */
  readonly size: number;

  private constructor(intervals: readonly Interval[]) {
    this.#intervals = intervals;
    this.size = intervals.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  static of(indexes: Iterable<number>): IndexSet {
    return new IndexSet(joined([...indexes].map((index) => ({ first: index, last: index }))));
  }

  /** The indexes of a text that are below `completions`; what cannot be read is passed over. */
  static parse(text: string | undefined, completions: number): IndexSet {
    const intervals: Interval[] = [];
    for (const part of (text ?? "").split(",")) {
      const match = /^(\d+)(?:-(\d+))?$/.exec(part);
      if (!match) continue;
      const first = Number(match[1]);
      const last = Math.min(Number(match[2] ?? first), completions - 1);
      if (first <= last) intervals.push({ first, last });
    }
    return new IndexSet(joined(intervals));
  }

  has(index: number): boolean {
    let low = 0;
    let high = this.#intervals.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#intervals[middle]?.last ?? 0) >= index) high = middle;
      else low = middle + 1;
    }
    const found = this.#intervals[low];
    return found !== undefined && found.first <= index;
  }

  union(other: IndexSet): IndexSet {
    if (other.size === 0) return this;
    return this.size === 0 ? other : new IndexSet(joined([...this.#intervals, ...other.#intervals]));
  }

  /** How many indexes are in both. */
  overlap(other: IndexSet): number {
    let count = 0;
    let i = 0;
    let j = 0;
    for (let a = this.#intervals[0], b = other.#intervals[0]; a && b; a = this.#intervals[i], b = other.#intervals[j]) {
      count += Math.max(0, Math.min(a.last, b.last) - Math.max(a.first, b.first) + 1);
      if (a.last <= b.last) i++;
      else j++;
    }
    return count;
  }

  /** The first `count` indexes below `limit` that are not in the set. */
  firstMissing(count: number, limit: number): readonly number[] {
    const missing: number[] = [];
    let candidate = 0;
    for (const { first, last } of [...this.#intervals, { first: limit, last: limit }]) {
      for (; candidate < Math.min(first, limit) && missing.length < count; candidate++) missing.push(candidate);
      candidate = Math.max(candidate, last + 1);
    }
    return missing;
  }

  toString(): string {
    return this.#intervals
      .map(({ first, last }) => (first === last ? String(first) : `${first}${last === first + 1 ? "," : "-"}${last}`))
      .join(",");
  }
}

function joined(intervals: Interval[]): readonly Interval[] {
  intervals.sort((a, b) => a.first - b.first);
  const result: Interval[] = [];
  for (const next of intervals) {
    const previous = result.at(-1);
    if (previous && next.first <= previous.last + 1)
      result[result.length - 1] = { first: previous.first, last: Math.max(previous.last, next.last) };
    else result.push(next);
  }
  return result;
}

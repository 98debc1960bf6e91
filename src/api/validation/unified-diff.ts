// Unified differences of two texts, line by line with three lines of context: how upstream tells what an update may not
// change. The matching is that of Ratcliff and Obershelp (as in Python's difflib, and with its rule that in texts of two
// hundred lines and more, very frequent lines do not start a match), so that the same hunks come out.

interface Match {
  readonly a: number;
  readonly b: number;
  readonly size: number;
}

/** A run of lines: equal in both, or other lines in one than in the other. */
interface Change {
  readonly equal: boolean;
  readonly aStart: number;
  readonly aEnd: number;
  readonly bStart: number;
  readonly bEnd: number;
}

const context = 3;
const frequentFrom = 200;

/** The hunks that make `b` from `a`; "" for equal texts. */
export function unifiedDiff(a: string, b: string): string {
  const [before, after] = [a.split("\n"), b.split("\n")];
  return hunksOf(changesOf(matchesOf(before, after), before.length, after.length))
    .map((hunk) => hunkText(hunk, before, after))
    .join("");
}

function matchesOf(a: readonly string[], b: readonly string[]): readonly Match[] {
  const positions = positionsOf(b);
  const matches: Match[] = [];
  const pending = [{ aLow: 0, aHigh: a.length, bLow: 0, bHigh: b.length }];
  for (let range = pending.pop(); range; range = pending.pop()) {
    const { aLow, aHigh, bLow, bHigh } = range;
    const match = longestMatch(a, b, positions, range);
    if (match.size === 0) continue;
    matches.push(match);
    pending.push({ aLow, aHigh: match.a, bLow, bHigh: match.b });
    pending.push({ aLow: match.a + match.size, aHigh, bLow: match.b + match.size, bHigh });
  }
  return matches.sort((x, y) => x.a - y.a || x.b - y.b);
}

/** Where each line stands in a text, without the lines that are too frequent to tell anything. */
function positionsOf(lines: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const positions = new Map<string, number[]>();
  for (const [i, line] of lines.entries()) {
    const known = positions.get(line);
    if (known) known.push(i);
    else positions.set(line, [i]);
  }
  if (lines.length < frequentFrom) return positions;
  const limit = Math.floor(lines.length / 100) + 1;
  for (const [line, where] of positions) if (where.length > limit) positions.delete(line);
  return positions;
}

interface Range {
  readonly aLow: number;
  readonly aHigh: number;
  readonly bLow: number;
  readonly bHigh: number;
}

/** The longest run of lines that both have within a range, the earliest of equally long ones. */
function longestMatch(
  a: readonly string[],
  b: readonly string[],
  positions: ReadonlyMap<string, readonly number[]>,
  { aLow, aHigh, bLow, bHigh }: Range,
): Match {
  let best: Match = { a: aLow, b: bLow, size: 0 };
  let lengths = new Map<number, number>();
  for (let i = aLow; i < aHigh; i++) {
    const next = new Map<number, number>();
    for (const j of positions.get(a[i] ?? "") ?? []) {
      if (j < bLow || j >= bHigh) continue;
      const size = (lengths.get(j - 1) ?? 0) + 1;
      next.set(j, size);
      if (size > best.size) best = { a: i - size + 1, b: j - size + 1, size };
    }
    lengths = next;
  }
  let { a: aStart, b: bStart, size } = best;
  for (; aStart > aLow && bStart > bLow && a[aStart - 1] === b[bStart - 1]; size++) {
    aStart--;
    bStart--;
  }
  while (aStart + size < aHigh && bStart + size < bHigh && a[aStart + size] === b[bStart + size]) size++;
  return { a: aStart, b: bStart, size };
}

function changesOf(matches: readonly Match[], aLength: number, bLength: number): readonly Change[] {
  const changes: Change[] = [];
  let [aAt, bAt] = [0, 0];
  for (const { a, b, size } of [...matches, { a: aLength, b: bLength, size: 0 }]) {
    const last = changes.at(-1);
    if (aAt < a || bAt < b) changes.push({ equal: false, aStart: aAt, aEnd: a, bStart: bAt, bEnd: b });
    else if (last?.equal && size > 0) {
      // Two matches without anything between them are one.
      changes[changes.length - 1] = { ...last, aEnd: a + size, bEnd: b + size };
      [aAt, bAt] = [a + size, b + size];
      continue;
    }
    if (size > 0) changes.push({ equal: true, aStart: a, aEnd: a + size, bStart: b, bEnd: b + size });
    [aAt, bAt] = [a + size, b + size];
  }
  return changes;
}

/** Changes that lie close together, each group with its context. */
function hunksOf(changes: readonly Change[]): readonly (readonly Change[])[] {
  const hunks: Change[][] = [];
  let hunk: Change[] = [];
  for (const [i, change] of changes.entries()) {
    if (!change.equal) {
      hunk.push(change);
      continue;
    }
    const lines = change.aEnd - change.aStart;
    const [first, last] = [i === 0, i === changes.length - 1];
    if (first) hunk.push(tail(change));
    else if (last) hunk.push(head(change));
    else if (lines > 2 * context) {
      hunks.push([...hunk, head(change)]);
      hunk = [tail(change)];
    } else hunk.push(change);
  }
  if (hunk.some((change) => !change.equal)) hunks.push(hunk);
  return hunks;
}

const head = (change: Change): Change => ({
  ...change,
  aEnd: Math.min(change.aEnd, change.aStart + context),
  bEnd: Math.min(change.bEnd, change.bStart + context),
});

const tail = (change: Change): Change => ({
  ...change,
  aStart: Math.max(change.aStart, change.aEnd - context),
  bStart: Math.max(change.bStart, change.bEnd - context),
});

function hunkText(hunk: readonly Change[], a: readonly string[], b: readonly string[]): string {
  const [first, last] = [hunk[0], hunk.at(-1)];
  if (!first || !last) return "";
  let text = `@@ -${rangeText(first.aStart, last.aEnd)} +${rangeText(first.bStart, last.bEnd)} @@\n`;
  for (const { equal, aStart, aEnd, bStart, bEnd } of hunk) {
    for (const line of a.slice(aStart, aEnd)) text += `${equal ? " " : "-"}${line}\n`;
    if (!equal) for (const line of b.slice(bStart, bEnd)) text += `+${line}\n`;
  }
  return text;
}

function rangeText(start: number, end: number): string {
  const length = end - start;
  if (length === 1) return String(start + 1);
  return `${length === 0 ? start : start + 1},${length}`;
}

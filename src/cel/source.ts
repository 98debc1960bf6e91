// The text of an expression with its lines, and problems as upstream displays them: the place, the message, the line of source
// and a caret below it. Columns count characters (code points).

export interface CelPlace {
  /** From 1. */
  readonly line: number;
  /** From 0. */
  readonly column: number;
}

/** The place of a problem that has none. */
export const noPlace: CelPlace = { line: -1, column: -1 };

export interface PlacedProblem {
  readonly message: string;
  readonly place: CelPlace;
}

const maxReported = 100;
const maxSnippetLength = 16_384;

export class CelSource {
  readonly text: string;
  /** Where lines begin, in UTF-16 units. */
  readonly #lines: number[] = [0];

  constructor(text: string) {
    this.text = text;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#lines.push(at + 1);
  }

  /** The place of an offset in UTF-16 units. */
  place(offset: number): CelPlace {
    let line = this.#lines.length - 1;
    while (line > 0 && (this.#lines[line] as number) > offset) line--;
    const before = this.text.slice(this.#lines[line], offset);
    return { line: line + 1, column: characters(before) };
  }

  #line(line: number): string | undefined {
    const start = this.#lines[line - 1];
    if (start === undefined) return undefined;
    const next = this.#lines[line];
    return this.text.slice(start, next === undefined ? undefined : next - 1);
  }

  display(problem: PlacedProblem): string {
    const { line, column } = problem.place;
    const head = `ERROR: <input>:${line}:${column + 1}: ${problem.message}`;
    const snippet = column < 0 ? undefined : this.#line(line);
    if (snippet === undefined || snippet.length > maxSnippetLength) return head;
    const chars = [...snippet.replaceAll("\t", " ")];
    const dots = chars.slice(0, column).map((char) => (isWide(char) ? "\uff0e" : "."));
    const caret = chars[column] !== undefined && isWide(chars[column]) ? "\uff3e" : "^";
    return `${head}\n | ${chars.join("")}\n | ${dots.join("")}${dots.length < column ? ".".repeat(column - dots.length) : ""}${caret}`;
  }

  /** All problems, in the order of their places. */
  displayAll(problems: readonly PlacedProblem[]): string {
    const shown = sortProblems(problems.slice(0, maxReported)).map((problem) => this.display(problem));
    if (problems.length > maxReported) shown.push(`${problems.length - maxReported} more errors were truncated`);
    return shown.join("\n");
  }
}

export function sortProblems(problems: readonly PlacedProblem[]): PlacedProblem[] {
  return problems.toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
}

/** The number of characters (code points) of a text, as size() counts them. */
export function characters(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit < 0xdc00 && index + 1 < text.length) {
      const next = text.charCodeAt(index + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        count--;
        index++;
      }
    }
  }
  return count;
}

function isWide(char: string): boolean {
  return (char.codePointAt(0) ?? 0) > 0x7f;
}

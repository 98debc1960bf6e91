// Values of JSON as YAML, to the letter as the Go library writes it that upstream and its clients use: keys in its natural
// order, lists not indented, long lines broken at spaces, quotes only where a reader would take a text for something else.
// What is written depends on where on the line it comes, so the writer follows the column, and whether the line has anything
// but indentation yet.
import { showFloat, showInteger } from "../meta/go-number.ts";
import { analyzeScalar, compareKeys, escapeOf, isBreak, readsAsText } from "./go-yaml-scalars.ts";

/** Lines are broken at the first space beyond this column. */
const width = 80;
/** Longer keys, in bytes, are written after a question mark. */
const maxSimpleKey = 128;

/** The document, with a newline at its end. */
export function writeGoYaml(value: unknown): string {
  const writer = new YamlWriter();
  writer.node(value, "root");
  return writer.end();
}

type Place = "root" | "key" | "value" | "item";
type Style = "plain" | "single" | "double" | "literal";

class YamlWriter {
  #pieces: string[] = [];
  #column = 0;
  #indent = -1;
  /** The last character was a space, or begins a line. */
  #afterSpace = true;
  /** There are nothing but indentation and marks on this line so far. */
  #indenting = true;

  end(): string {
    this.#newLine();
    return this.#pieces.join("");
  }

  node(value: unknown, place: Place): void {
    if (Array.isArray(value)) this.#list(value, place);
    else if (typeof value === "object" && value !== null) this.#map(value as Readonly<Record<string, unknown>>);
    else if (typeof value === "string") this.#text(value, place === "key");
    else this.#plain(scalarText(value), false);
  }

  #list(items: readonly unknown[], place: Place): void {
    if (items.length === 0) return this.#mark("[]", { spaced: true });
    const outer = this.#indent;
    // Lists in maps stand at the column of their key.
    if (place !== "value" || this.#indenting) this.#deeper();
    for (const item of items) {
      this.#newLine();
      this.#mark("-", { spaced: true, indents: true });
      this.node(item, "item");
    }
    this.#indent = outer;
  }

  #map(map: Readonly<Record<string, unknown>>): void {
    const keys = Object.keys(map);
    if (keys.length === 0) return this.#mark("{}", { spaced: true });
    const outer = this.#indent;
    this.#deeper();
    for (const key of keys.sort(compareKeys)) {
      this.#newLine();
      if (isSimpleKey(key)) {
        this.#text(key, true);
        this.#mark(":");
      } else {
        this.#mark("?", { spaced: true, indents: true });
        this.#text(key, false);
        this.#newLine();
        this.#mark(":", { spaced: true, indents: true });
      }
      this.node(map[key], "value");
    }
    this.#indent = outer;
  }

  #deeper(): void {
    this.#indent = this.#indent < 0 ? 0 : this.#indent + 2;
  }

  /** `spaced`: a space stands before it. `indents`: what follows may be on its line. */
  #mark(mark: string, { spaced = false, indents = false } = {}): void {
    if (spaced && !this.#afterSpace) this.#put(" ");
    this.#put(mark);
    this.#afterSpace = false;
    this.#indenting &&= indents;
  }

  #put(text: string): void {
    this.#pieces.push(text);
    this.#column += text.length;
  }

  #break(text = "\n"): void {
    this.#pieces.push(text);
    this.#column = 0;
  }

  /** Goes to the indentation, on a new line unless this one has not come so far. */
  #newLine(): void {
    const indent = Math.max(this.#indent, 0);
    if (!this.#indenting || this.#column > indent || (this.#column === indent && !this.#afterSpace)) this.#break();
    if (this.#column < indent) this.#put(" ".repeat(indent - this.#column));
    this.#afterSpace = true;
    this.#indenting = true;
  }

  #text(text: string, isKey: boolean): void {
    const style = styleOf(text, isKey);
    const outer = this.#indent;
    this.#indent = Math.max(outer, 0) + 2; // of the lines that it goes on in
    if (style === "plain") this.#plain(text, !isKey);
    else if (style === "literal") this.#literal(text);
    else this.#quoted(text, style, !isKey);
    this.#indent = outer;
  }

  #plain(text: string, mayBreak: boolean): void {
    if (!this.#afterSpace) this.#put(" ");
    this.#words(text, mayBreak, (i) => text[i + 1] !== " ");
    this.#afterSpace = false;
    this.#indenting = false;
  }

  /** `breaksAt`: whether a line may be broken at the space there, which is none of several but the first. */
  #words(text: string, mayBreak: boolean, breaksAt: (index: number) => boolean): void {
    if (!mayBreak || this.#column + text.length <= width) return this.#putCounted(text);
    let start = 0;
    for (let at = text.indexOf(" "); at >= 0; at = text.indexOf(" ", at + 1)) {
      if (text[at - 1] === " " || !breaksAt(at)) continue;
      this.#putCounted(text.slice(start, at));
      start = at;
      if (this.#column <= width) continue;
      this.#newLine();
      start = at + 1;
    }
    this.#putCounted(text.slice(start));
  }

  /** Columns are counted in characters, of which some have two units. */
  #putCounted(text: string): void {
    this.#pieces.push(text);
    this.#column += countCharacters(text);
    if (text !== "") this.#indenting = false;
  }

  #quoted(text: string, style: "single" | "double", mayBreak: boolean): void {
    const quote = style === "single" ? "'" : '"';
    this.#mark(quote, { spaced: true });
    if (style === "single") this.#singleQuoted(text, mayBreak);
    else this.#doubleQuoted(text, mayBreak);
    this.#mark(quote);
    this.#indenting = false;
  }

  #singleQuoted(text: string, mayBreak: boolean): void {
    // Breaks of other kinds than the newline, which would make the text a block.
    for (const part of text.replaceAll("'", "''").split(/([\u2028\u2029]+)/)) {
      if (/^[\u2028\u2029]/.test(part)) {
        this.#break(part);
        this.#indenting = true;
      } else if (part !== "") {
        if (this.#indenting) this.#newLine();
        this.#words(part, mayBreak, (i) => i > 0 && i < part.length - 1 && part[i + 1] !== " ");
      }
    }
  }

  #doubleQuoted(text: string, mayBreak: boolean): void {
    const characters = [...text];
    // The library looks for the mark of byte order at the beginning, whatever character it is about to write.
    const escapesAll = text.startsWith("\ufeff");
    let afterSpace = false;
    characters.forEach((character, i) => {
      if (character !== " " || escapesAll) {
        this.#putCounted(escapeOf(character, escapesAll));
        afterSpace = false;
        return;
      }
      if (mayBreak && !afterSpace && this.#column > width && i > 0 && i < characters.length - 1) {
        this.#newLine();
        if (characters[i + 1] === " ") this.#put("\\");
      } else this.#put(" ");
      afterSpace = true;
    });
  }

  #literal(text: string): void {
    const hint = text.startsWith(" ") || isBreak(text[0] ?? "") ? "2" : "";
    const [beforeLast = "", last = ""] = [text.at(-2), text.at(-1)];
    const chomping = !isBreak(last) ? "-" : text.length === 1 || isBreak(beforeLast) ? "+" : "";
    this.#mark(`|${hint}${chomping}`, { spaced: true });
    this.#break();
    this.#indenting = true;
    this.#afterSpace = true;
    for (const line of text.split(/(\n|[\u2028\u2029])/)) {
      if (isBreak(line)) {
        this.#break(line);
        this.#indenting = true;
      } else if (line !== "") {
        this.#newLine();
        this.#putCounted(line);
      }
    }
  }
}

function scalarText(value: unknown): string {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) && value < 2 ** 64 && value >= -(2 ** 63) ? showInteger(value) : showFloat(value);
}

const encoder = new TextEncoder();

function isSimpleKey(key: string): boolean {
  if ([...key].some(isBreak)) return false;
  // No character takes more than three bytes a unit.
  return key.length * 3 <= maxSimpleKey || encoder.encode(key).length <= maxSimpleKey;
}

function countCharacters(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--;
  return count;
}

function styleOf(text: string, isKey: boolean): Style {
  const allowed = analyzeScalar(text);
  if (text.includes("\n")) return allowed.literal && !isKey ? "literal" : "double";
  if (!readsAsText(text)) return "double";
  if (allowed.plain) return "plain";
  return allowed.single ? "single" : "double";
}

// The tokens of a YAML text, as long as they do not nest too deep and are not too many: nodes cost some microseconds each. The
// parser and what makes nodes of its tokens call themselves for each level, so the depth is reckoned from the flat lexemes before
// either sees them: open brackets, and the columns of indentation that are open in block style. An upper bound, some times too
// high: several marks in one line count a level each.
import { CST, Lexer, Parser } from "yaml";
import { maxNesting } from "./nesting.ts";

/** The text nests deeper than maxNesting, or has too many values. */
export class YamlLimitError extends Error {}

export interface YamlTokenOptions {
  readonly maxValues: number;
  /** Called with the offset of each line's beginning. */
  readonly onNewLine: (offset: number) => void;
}

/** Throws YamlLimitError. */
export function* yamlTokens(text: string, { maxValues, onNewLine }: YamlTokenOptions): Generator<CST.Token, void, void> {
  const parser = new Parser(onNewLine);
  const depth = new Depth();
  onNewLine(0);
  // All of them are seen before the first is parsed: that takes many times as long.
  const lexemes: string[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    depth.see(lexeme);
    if (depth.values > maxValues) throw new YamlLimitError(`document has more than ${maxValues} values`);
    lexemes.push(lexeme);
  }
  for (const lexeme of lexemes) yield* parser.next(lexeme);
  yield* parser.end();
}

class Depth {
  /** Columns at which something in block style has begun that is still open, from left to right. */
  #columns: number[] = [];
  #brackets = 0;
  #column = 0;
  #scalarFollows = false;
  /** Scalars, aliases, and lists and maps in brackets so far. */
  values = 0;

  see(lexeme: string): void {
    const type = this.#scalarFollows ? "scalar" : CST.tokenType(lexeme);
    const announced = type === "scalar" && !this.#scalarFollows;
    this.#scalarFollows = announced;
    if (announced) {
      this.values++;
      return;
    }
    this.#count(type);
    const newline = lexeme.lastIndexOf("\n");
    this.#column = newline >= 0 ? lexeme.length - newline - 1 : this.#column + lexeme.length;
    if (this.#columns.length + this.#brackets > maxNesting) throw new YamlLimitError(`exceeded max depth of ${maxNesting}`);
  }

  #count(type: CST.TokenType | null): void {
    switch (type) {
      case "doc-start":
      case "doc-end":
        this.#columns = [];
        this.#brackets = 0;
        return;
      case "flow-map-end":
      case "flow-seq-end":
        if (this.#brackets > 0) this.#brackets--;
        return;
      case "flow-error-end":
        this.#brackets = 0;
        return;
      case "flow-map-start":
      case "flow-seq-start":
        this.values++;
        this.#brackets++;
        return;
      case "alias":
      case "single-quoted-scalar":
      case "double-quoted-scalar":
        this.values++;
        if (this.#brackets === 0) this.#open(this.#column);
        return;
      case "newline":
      case "space":
      case "comment":
      case "comma":
        return;
      default:
        if (this.#brackets === 0) this.#open(this.#column);
    }
  }

  #open(column: number): void {
    while ((this.#columns.at(-1) ?? -1) >= column) this.#columns.pop();
    this.#columns.push(column);
  }
}

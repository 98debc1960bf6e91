// The tokens of a YAML text, as long as they do not nest too deep. The parser and what makes nodes of its tokens call
// themselves for each level, so the depth is reckoned from the flat lexemes before either sees them: open brackets, and the
// columns of indentation that are open in block style. An upper bound, some times too high: several marks in one line count
// a level each.
import { CST, Lexer, Parser } from "yaml";
import { maxNesting } from "./nesting.ts";

/** The text nests deeper than maxNesting. */
export class YamlNestingError extends Error {}

/** `onNewLine` is called with the offset of each line's beginning. Throws YamlNestingError. */
export function* yamlTokens(text: string, onNewLine: (offset: number) => void): Generator<CST.Token, void, void> {
  const parser = new Parser(onNewLine);
  const depth = new Depth();
  onNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    depth.see(lexeme);
    yield* parser.next(lexeme);
  }
  yield* parser.end();
}

class Depth {
  /** Columns at which something in block style has begun that is still open, from left to right. */
  #columns: number[] = [];
  #brackets = 0;
  #column = 0;
  #scalarFollows = false;

  see(lexeme: string): void {
    const type = this.#scalarFollows ? "scalar" : CST.tokenType(lexeme);
    const announced = type === "scalar" && !this.#scalarFollows;
    this.#scalarFollows = announced;
    if (announced) return;
    this.#count(type);
    const newline = lexeme.lastIndexOf("\n");
    this.#column = newline >= 0 ? lexeme.length - newline - 1 : this.#column + lexeme.length;
    if (this.#columns.length + this.#brackets > maxNesting) throw new YamlNestingError(`exceeded max depth of ${maxNesting}`);
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
        this.#brackets++;
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

// Parses an expression into its tree, replacing macros as it goes. The grammar is upstream's. A text that is no expression is
// handed to explain-syntax.ts, which finds upstream's words for it; what the grammar allows and the language does not (reserved
// names, arguments that a macro cannot take) is reported here.

import type { CelExpr } from "./ast.ts";
import { explainSyntax } from "./explain-syntax.ts";
import { ExprFactory } from "./expr-factory.ts";
import { lex, type Token, type TokenKind } from "./lex.ts";
import { type CelMacro, CelMacroError } from "./library.ts";
import { maxExpressionSize, maxRecursion } from "./limits.ts";
import { type CelSource, characters, noPlace, type PlacedProblem } from "./source.ts";
import { UnescapeError, unescapeBytes, unescapeString } from "./unescape.ts";
import { CelUint } from "./values.ts";

export interface ParseOptions {
  readonly macros: ReadonlyMap<string, CelMacro>;
  readonly optionalSyntax: boolean;
}

export interface Parsed {
  readonly expr: CelExpr;
  /** Where each node is in the source, by its id, in UTF-16 units. */
  readonly offsets: ReadonlyMap<number, number>;
}

export type ParseResult = { readonly parsed: Parsed; readonly problems?: undefined } | { readonly problems: readonly PlacedProblem[] };

export const macroKey = (name: string, argumentCount: number | undefined, member: boolean): string =>
  `${name}:${argumentCount ?? "*"}:${member}`;

const reserved = new Set(
  "as break const continue else false for function if import in let loop package namespace null return true var void while".split(" "),
);

const relationNames = new Map<TokenKind, string>(["<", "<=", ">=", ">", "==", "!="].map((sign) => [sign as TokenKind, `_${sign}_`]));
relationNames.set("in", "@in");
const calculations = new Map<TokenKind, { readonly name: string; readonly precedence: number }>([
  ["*", { name: "_*_", precedence: 2 }],
  ["/", { name: "_/_", precedence: 2 }],
  ["%", { name: "_%_", precedence: 2 }],
  ["+", { name: "_+_", precedence: 1 }],
  ["-", { name: "_-_", precedence: 1 }],
]);

class NotAnExpression extends Error {}
class TooDeep extends Error {}

export function parse(source: CelSource, options: ParseOptions): ParseResult {
  const size = characters(source.text);
  if (size > maxExpressionSize) {
    const message = `expression code point size exceeds limit: size: ${size}, limit ${maxExpressionSize}`;
    return { problems: [{ message, place: noPlace }] };
  }
  const lexed = lex(source.text);
  const problems = lexed.problems.map(({ message, offset }) => ({ message, place: source.place(offset) }));
  const parser = new Parser(source, lexed.tokens, options);
  try {
    const expr = parser.parse();
    problems.push(...parser.problems);
    return problems.length > 0 ? { problems } : { parsed: { expr, offsets: parser.offsets } };
  } catch (error) {
    if (error instanceof TooDeep) return { problems: [...problems, { message: error.message, place: noPlace }] };
    if (!(error instanceof NotAnExpression)) throw error;
  }
  const place = (offset: number | undefined) => {
    if (offset === undefined) return noPlace;
    return source.text === "" ? { line: 1, column: -1 } : source.place(offset);
  };
  for (const { message, offset } of explainSyntax(source.text, lexed)) problems.push({ message, place: place(offset) });
  return { problems };
}

class Parser {
  readonly offsets = new Map<number, number>();
  readonly problems: PlacedProblem[] = [];
  readonly #source: CelSource;
  readonly #tokens: readonly Token[];
  readonly #options: ParseOptions;
  readonly #make: ExprFactory;
  #depth = 0;
  /** How deep operators, selections and calls are nested below a node. */
  readonly #heights = new WeakMap<CelExpr, number>();
  #at = 0;

  constructor(source: CelSource, tokens: readonly Token[], options: ParseOptions) {
    this.#source = source;
    this.#tokens = tokens;
    this.#options = options;
    this.#make = new ExprFactory(this.offsets);
  }

  parse(): CelExpr {
    const expr = this.#expr();
    this.#expect("<EOF>");
    if (this.#heightOf([expr]) > maxRecursion) throw new TooDeep("max recursion depth exceeded");
    return expr;
  }

  get #token(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #kind(ahead = 0): TokenKind {
    return this.#tokens[this.#at + ahead]?.kind ?? "<EOF>";
  }

  #expect(kind: TokenKind): Token {
    const token = this.#token;
    if (token.kind !== kind) throw new NotAnExpression();
    if (kind !== "<EOF>") this.#at++;
    return token;
  }

  #accept(kind: TokenKind): Token | undefined {
    return this.#kind() === kind ? this.#expect(kind) : undefined;
  }

  #heightOf(exprs: readonly CelExpr[]): number {
    let height = 0;
    for (const expr of exprs) height = Math.max(height, this.#heights.get(expr) ?? 0);
    return height;
  }

  /** Notes what a node is made of; `levels` is 1 for what upstream counts as a level of recursion. */
  #noted<T extends CelExpr>(expr: T, parts: readonly CelExpr[], levels: 0 | 1): T {
    this.#heights.set(expr, this.#heightOf(parts) + levels);
    return expr;
  }

  #problem(message: string, offset: number): CelExpr {
    this.problems.push({ message, place: this.#source.place(offset) });
    return this.#make.at(offset).literal(null);
  }

  #expr(): CelExpr {
    if (++this.#depth > maxRecursion) throw new TooDeep(`expression recursion limit exceeded: ${maxRecursion}`);
    let result = this.#logical("||");
    const question = this.#accept("?");
    if (question) {
      const whenTrue = this.#logical("||");
      this.#expect(":");
      result = this.#call(question.start, "_?_:_", [result, whenTrue, this.#expr()]);
    }
    this.#depth--;
    return result;
  }

  /** Chains of && and || become balanced trees. */
  #logical(sign: "||" | "&&"): CelExpr {
    const part = () => (sign === "||" ? this.#logical("&&") : this.#relation());
    const terms = [part()];
    const signs: number[] = [];
    for (let token = this.#accept(sign); token; token = this.#accept(sign)) {
      signs.push(token.start);
      terms.push(part());
    }
    /** The tree of the signs between two places, both included. */
    const tree = (from: number, to: number): CelExpr => {
      const middle = Math.floor((from + to + 1) / 2);
      const left = middle === from ? (terms[middle] as CelExpr) : tree(from, middle - 1);
      const right = middle === to ? (terms[middle + 1] as CelExpr) : tree(middle + 1, to);
      return this.#call(signs[middle] as number, `_${sign}_`, [left, right], 0);
    };
    return signs.length === 0 ? (terms[0] as CelExpr) : tree(0, signs.length - 1);
  }

  #relation(): CelExpr {
    let left = this.#calc(1);
    for (let name = relationNames.get(this.#kind()); name !== undefined; name = relationNames.get(this.#kind())) {
      const { start } = this.#expect(this.#kind());
      left = this.#call(start, name, [left, this.#calc(1)]);
    }
    return left;
  }

  #calc(precedence: number): CelExpr {
    let left = this.#unary();
    for (let next = calculations.get(this.#kind()); next && next.precedence >= precedence; next = calculations.get(this.#kind())) {
      const { start } = this.#expect(this.#kind());
      left = this.#call(start, next.name, [left, this.#calc(next.precedence + 1)]);
    }
    return left;
  }

  #unary(): CelExpr {
    const { kind, start } = this.#token;
    const isSign = kind === "!" || (kind === "-" && !this.#isNumber(1));
    if (!isSign) return this.#member();
    let count = 0;
    while (this.#accept(kind)) count++;
    const operand = this.#member();
    return count % 2 === 0 ? operand : this.#call(start, kind === "!" ? "!_" : "-_", [operand], 0);
  }

  #isNumber(ahead: number): boolean {
    const kind = this.#kind(ahead);
    return kind === "NUM_INT" || kind === "NUM_FLOAT";
  }

  #member(): CelExpr {
    let operand = this.#primary();
    for (;;) {
      if (this.#kind() === ".") operand = this.#selection(operand);
      else if (this.#kind() === "[") operand = this.#index(operand);
      else break;
    }
    return operand;
  }

  #selection(operand: CelExpr): CelExpr {
    const dot = this.#expect(".");
    if (this.#kind() === "IDENTIFIER" && this.#kind(1) === "(") {
      const name = this.#expect("IDENTIFIER").text;
      const open = this.#expect("(");
      return this.#macroOrCall(open.start, name, this.#arguments(), operand);
    }
    const optional = this.#accept("?");
    const at = this.#token.start;
    const name = this.#fieldName();
    if (!optional) return this.#noted(this.#make.at(dot.start).select(operand, name), [operand], 1);
    if (!this.#options.optionalSyntax) return this.#problem("unsupported syntax '.?'", dot.start);
    return this.#call(dot.start, "_?._", [operand, this.#make.at(at).literal(name)]);
  }

  #fieldName(): string {
    const escaped = this.#accept("ESC_IDENTIFIER");
    if (!escaped) return this.#expect("IDENTIFIER").text;
    this.#problem("unsupported syntax: '`'", escaped.start);
    return escaped.text.slice(1, -1);
  }

  #index(operand: CelExpr): CelExpr {
    const open = this.#expect("[");
    const optional = this.#accept("?");
    const index = this.#expr();
    this.#expect("]");
    if (optional && !this.#options.optionalSyntax) return this.#problem("unsupported syntax '[?'", open.start);
    return this.#call(open.start, optional ? "_[?_]" : "_[_]", [operand, index]);
  }

  #arguments(): CelExpr[] {
    const args: CelExpr[] = [];
    if (this.#kind() !== ")") {
      do args.push(this.#expr());
      while (this.#accept(","));
    }
    this.#expect(")");
    return args;
  }

  #primary(): CelExpr {
    const { kind, start } = this.#token;
    switch (kind) {
      case "(": {
        this.#at++;
        const inner = this.#expr();
        this.#expect(")");
        return inner;
      }
      case "[":
        return this.#list();
      case "{":
        return this.#map();
      case ".":
      case "IDENTIFIER":
        return this.#name();
      default:
        return this.#literal(start);
    }
  }

  #name(): CelExpr {
    const dot = this.#accept(".");
    const start = dot?.start ?? this.#token.start;
    let ahead = 0;
    while (this.#kind(ahead) === "IDENTIFIER" && this.#kind(ahead + 1) === ".") ahead += 2;
    if (this.#kind(ahead) === "IDENTIFIER" && this.#kind(ahead + 1) === "{") return this.#message(dot !== undefined, ahead);
    const token = this.#expect("IDENTIFIER");
    const name = (dot ? "." : "") + token.text;
    if (reserved.has(token.text)) {
      if (this.#accept("(")) this.#arguments();
      return this.#problem(`reserved identifier: ${token.text}`, start);
    }
    const open = this.#accept("(");
    return open ? this.#macroOrCall(open.start, name, this.#arguments()) : this.#make.at(token.start).ident(name);
  }

  #message(isRooted: boolean, ahead: number): CelExpr {
    const names: string[] = [];
    for (let left = ahead / 2; left >= 0; left--) {
      names.push(this.#expect("IDENTIFIER").text);
      if (left > 0) this.#expect(".");
    }
    const open = this.#expect("{");
    const fields: { id: number; name: string; value: CelExpr; optional: boolean }[] = [];
    this.#separated("}", () => {
      const optional = this.#optional();
      const name = this.#fieldName();
      const colon = this.#expect(":");
      fields.push({ id: this.#make.at(colon.start).id(), name, value: this.#expr(), optional });
    });
    const made = this.#make.at(open.start).struct((isRooted ? "." : "") + names.join("."), fields);
    return this.#noted(
      made,
      fields.map(({ value }) => value),
      0,
    );
  }

  #optional(): boolean {
    const mark = this.#accept("?");
    if (mark && !this.#options.optionalSyntax) this.#problem("unsupported syntax '?'", mark.start);
    return mark !== undefined;
  }

  /** Things separated by commas, and the bracket that ends them; a last comma may be left over. */
  #separated(close: "]" | "}", one: () => void): void {
    if (this.#kind() === "," && this.#kind(1) === close) this.#at++;
    while (this.#kind() !== close) {
      one();
      if (this.#kind() !== close) this.#expect(",");
    }
    this.#expect(close);
  }

  #list(): CelExpr {
    const open = this.#expect("[");
    const elements: CelExpr[] = [];
    const optional: number[] = [];
    this.#separated("]", () => {
      if (this.#optional()) optional.push(elements.length);
      elements.push(this.#expr());
    });
    return this.#noted(this.#make.at(open.start).list(elements, optional), elements, 0);
  }

  #map(): CelExpr {
    const open = this.#expect("{");
    const entries: { id: number; key: CelExpr; value: CelExpr; optional: boolean }[] = [];
    this.#separated("}", () => {
      const optional = this.#optional();
      const key = this.#expr();
      const colon = this.#expect(":");
      entries.push({ id: this.#make.at(colon.start).id(), key, value: this.#expr(), optional });
    });
    const parts = entries.flatMap(({ key, value }) => [key, value]);
    return this.#noted(this.#make.at(open.start).mapOf(entries), parts, 0);
  }

  #literal(start: number): CelExpr {
    const sign = this.#kind() === "-" && this.#isNumber(1) ? this.#expect("-").text : "";
    const { kind, text } = this.#token;
    this.#at++;
    const make = this.#make.at(start);
    switch (kind) {
      case "true":
      case "false":
        return make.literal(kind === "true");
      case "null":
        return make.literal(null);
      case "NUM_INT": {
        const value = sign === "-" ? -BigInt(text) : BigInt(text);
        return value !== BigInt.asIntN(64, value) ? this.#problem("invalid int literal", start) : make.literal(value);
      }
      case "NUM_UINT": {
        const value = BigInt(text.slice(0, -1));
        return value !== BigInt.asUintN(64, value) ? this.#problem("invalid uint literal", start) : make.literal(new CelUint(value));
      }
      case "NUM_FLOAT": {
        const value = Number(sign + text);
        return Number.isFinite(value) ? make.literal(value) : this.#problem("invalid double literal", start);
      }
      case "STRING":
      case "BYTES":
        return this.#text(kind, text, start);
      default:
        throw new NotAnExpression();
    }
  }

  #text(kind: "STRING" | "BYTES", text: string, start: number): CelExpr {
    try {
      return this.#make.at(start).literal(kind === "STRING" ? unescapeString(text) : unescapeBytes(text.slice(1)));
    } catch (error) {
      if (!(error instanceof UnescapeError)) throw error;
      return this.#problem(error.message, start);
    }
  }

  #call(offset: number, name: string, args: readonly CelExpr[], levels: 0 | 1 = 1): CelExpr {
    return this.#noted(this.#make.at(offset).call(name, args), args, levels);
  }

  #macroOrCall(offset: number, name: string, args: readonly CelExpr[], target?: CelExpr): CelExpr {
    const member = target !== undefined;
    const { macros } = this.#options;
    const macro = macros.get(macroKey(name, args.length, member)) ?? macros.get(macroKey(name, undefined, member));
    const make = this.#make.at(offset);
    const parts = target ? [target, ...args] : args;
    const levels = target ? 1 : 0;
    if (macro) {
      try {
        const expanded = macro.expand(target ? { target, args } : { args }, make);
        if (expanded) return this.#noted(expanded, parts, levels);
      } catch (error) {
        if (!(error instanceof CelMacroError)) throw error;
        return this.#problem(error.message, error.at ? (this.offsets.get(error.at.id) ?? offset) : offset);
      }
    }
    return this.#noted(target ? make.memberCall(name, target, args) : make.call(name, args), parts, levels);
  }
}

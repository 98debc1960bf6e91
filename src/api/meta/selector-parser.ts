// The text form of label selectors: "app=web,tier in (a,b),!canary,version>3". Reads it into requirements and checks
// keys and values; errors say what upstream's parser says, for they reach clients that sent a bad ?labelSelector=.
import { FieldError } from "./field-error.ts";
import { isLabelValue, isQualifiedName } from "./names.ts";

export type LabelOperator = "in" | "notin" | "=" | "==" | "!=" | "gt" | "lt" | "exists" | "!";

/** One condition of a label selector. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  /** None for "exists" and "!", one for comparisons, any number for "in" and "notin". */
  readonly values: readonly string[];
}

/** A selector that cannot be understood or that breaks the rules for labels. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SelectorError";
  }
}

const binaryOperators = "in, notin, =, ==, !=, gt, lt";

/** Checks a requirement; returns it when it is in order, throws SelectorError otherwise. */
export function checkRequirement(requirement: LabelRequirement): LabelRequirement {
  const { key, operator, values } = requirement;
  const errors: FieldError[] = [];
  const report = (field: string, value: unknown, detail: string): void => {
    errors.push(new FieldError("FieldValueInvalid", field, value, detail));
  };
  const keyProblems = isQualifiedName(key);
  if (keyProblems.length > 0) report("key", key, keyProblems.join("; "));
  const countProblem = wrongCount(operator, values.length);
  if (countProblem !== undefined) report("values", values, countProblem);
  for (const [i, value] of values.entries()) {
    if ((operator === "gt" || operator === "lt") && parseInt64(value) === undefined)
      report(`values[${i}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer");
    const problems = isLabelValue(value);
    if (problems.length > 0) report(`values[${i}][${key}]`, value, problems.join("; "));
  }
  if (errors.length === 0) return requirement;
  const messages = [...new Set(errors.map((e) => e.message))];
  throw new SelectorError(messages.length === 1 ? String(messages[0]) : `[${messages.join(", ")}]`);
}

function wrongCount(operator: LabelOperator, count: number): string | undefined {
  switch (operator) {
    case "in":
    case "notin":
      return count > 0 ? undefined : "for 'in', 'notin' operators, values set can't be empty";
    case "exists":
    case "!":
      return count === 0 ? undefined : "values set must be empty for exists and does not exist";
    case "gt":
    case "lt":
      return count === 1 ? undefined : "for 'Gt', 'Lt' operators, exactly one value is required";
    default:
      return count === 1 ? undefined : "exact-match compatibility requires one single value";
  }
}

/** A decimal text in the range of 64 bits; undefined for anything else. */
export function parseInt64(text: string): bigint | undefined {
  if (!/^[+-]?\d{1,40}$/.test(text)) return undefined;
  const value = text.startsWith("+") ? BigInt(text.slice(1)) : BigInt(text);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

type TokenKind = "end" | "identifier" | ")" | "(" | "," | "!" | "==" | "=" | ">" | "<" | "in" | "!=" | "notin" | "error";

interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const symbols = "=!(),><";
const words = new Set(["in", "notin"]);
const operatorOf: Readonly<Partial<Record<TokenKind, LabelOperator>>> = {
  in: "in",
  notin: "notin",
  "=": "=",
  "==": "==",
  "!=": "!=",
  ">": "gt",
  "<": "lt",
};

/** To upstream's reader a character NUL is the end of the text, and of a word what ends it. */
function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = /[ \t\r\n]+|==|!=|[=!(),><]|[^ \t\r\n=!(),><\0]+\0?|\0/g;
  for (const [matched] of text.matchAll(pattern)) {
    if (" \t\r\n".includes(matched.charAt(0))) continue;
    if (matched === "\0") break;
    const part = matched.endsWith("\0") ? matched.slice(0, -1) : matched;
    const literal = symbols.includes(part.charAt(0)) || words.has(part);
    tokens.push({ kind: literal ? (part as TokenKind) : "identifier", text: part });
  }
  tokens.push({ kind: "end", text: "" });
  return tokens;
}

const found = (token: Token, expected: string): SelectorError => new SelectorError(`found '${token.text}', expected: ${expected}`);

class Parser {
  readonly #tokens: readonly Token[];
  #position = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    for (;;) {
      const next = this.#peek();
      if (next.kind === "end") return requirements;
      if (next.kind !== "identifier" && next.kind !== "!") throw found(next, "!, identifier, or 'end of string'");
      requirements.push(this.#requirement());
      const separator = this.#take();
      if (separator.kind === "end") return requirements;
      if (separator.kind !== ",") throw found(separator, "',' or 'end of string'");
      const following = this.#peek();
      if (following.kind !== "identifier" && following.kind !== "!") throw found(following, "identifier after ','");
    }
  }

  #requirement(): LabelRequirement {
    try {
      const negated = this.#peek().kind === "!";
      if (negated) this.#take();
      const key = this.#take();
      if (key.kind !== "identifier") throw found(key, "identifier");
      const problems = isQualifiedName(key.text);
      if (problems.length > 0) throw new SelectorError(new FieldError("FieldValueInvalid", "<nil>", key.text, problems.join("; ")).message);
      if (negated) return { key: key.text, operator: "!", values: [] };
      const next = this.#peek().kind;
      if (next === "end" || next === ",") return { key: key.text, operator: "exists", values: [] };
      const operator = this.#operator();
      const values = operator === "in" || operator === "notin" ? this.#valueList() : [this.#exactValue()];
      return checkRequirement({ key: key.text, operator, values });
    } catch (error) {
      if (error instanceof SelectorError) throw new SelectorError(`unable to parse requirement: ${error.message}`);
      throw error;
    }
  }

  #operator(): LabelOperator {
    const token = this.#raw();
    const operator = operatorOf[token.kind];
    if (operator === undefined) throw found(token, binaryOperators);
    return operator;
  }

  #exactValue(): string {
    const next = this.#peek();
    if (next.kind === "end" || next.kind === ",") return "";
    if (this.#take().kind !== "identifier") throw found(next, "identifier");
    return next.text;
  }

  #valueList(): string[] {
    const open = this.#take();
    if (open.kind !== "(") throw new SelectorError(`found '${open.text}' expected: '('`);
    const values = new Set<string>();
    const first = this.#peek();
    if (first.kind !== "identifier" && first.kind !== "," && first.kind !== ")") throw found(first, "',', ')' or identifier");
    if (first.kind === ")") values.add("");
    while (this.#peek().kind !== ")") this.#listItem(values);
    this.#take();
    return [...values].sort();
  }

  /** A value with nothing after it but "," or ")", or a comma: one with no value before or behind it stands for "". */
  #listItem(values: Set<string>): void {
    const token = this.#take();
    const next = this.#peek();
    if (token.kind === "identifier") {
      values.add(token.text);
      if (next.kind !== "," && next.kind !== ")") throw found(next, "',' or ')'");
    } else if (token.kind === ",") {
      if (values.size === 0 || next.kind === "," || next.kind === ")") values.add("");
    } else throw found(token, "',', or identifier");
  }

  /** Where a key or value stands, "in" and "notin" are ordinary words. */
  #peek(): Token {
    const token = this.#tokens[this.#position] ?? { kind: "end", text: "" };
    return token.kind === "in" || token.kind === "notin" ? { kind: "identifier", text: token.text } : token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#position++;
    return token;
  }

  #raw(): Token {
    return this.#tokens[this.#position++] ?? { kind: "end", text: "" };
  }
}

/** Reads a label selector into requirements, in the order of their keys. Throws SelectorError. */
export function parseRequirements(text: string): readonly LabelRequirement[] {
  return text === "" ? [] : sortRequirements(new Parser(text).parse());
}

export function sortRequirements(requirements: LabelRequirement[]): readonly LabelRequirement[] {
  return requirements.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

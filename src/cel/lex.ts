// Splits an expression into tokens. What is no token is noted with the words of upstream's lexer ("token recognition error at:
// …") and skipped as it skips: what was read of a token that came to nothing, and the character that ended it.

export type TokenKind =
  | "=="
  | "!="
  | "in"
  | "<"
  | "<="
  | ">="
  | ">"
  | "&&"
  | "||"
  | "["
  | "]"
  | "{"
  | "}"
  | "("
  | ")"
  | "."
  | ","
  | "-"
  | "!"
  | "?"
  | ":"
  | "+"
  | "*"
  | "/"
  | "%"
  | "true"
  | "false"
  | "null"
  | "NUM_FLOAT"
  | "NUM_INT"
  | "NUM_UINT"
  | "STRING"
  | "BYTES"
  | "IDENTIFIER"
  | "ESC_IDENTIFIER"
  | "<EOF>";

/** In the order in which upstream lists what it expected. */
export const tokenOrder: readonly TokenKind[] = [
  "<EOF>", "==", "!=", "in", "<", "<=", ">=", ">", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*", "/", "%",
  "true", "false", "null", "NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES", "IDENTIFIER", "ESC_IDENTIFIER",
]; // biome-ignore format: a table

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** In UTF-16 units. */
  readonly start: number;
}

export interface LexicalProblem {
  readonly message: string;
  readonly offset: number;
  /** Where the tokens go on. */
  readonly end: number;
}

const words = new Map<string, TokenKind>([
  ["in", "in"],
  ["true", "true"],
  ["false", "false"],
  ["null", "null"],
]);

const space = /[\t \r\n\f]+|\/\/[^\n]*/y;
const identifier = /[A-Za-z_][A-Za-z0-9_]*/y;
const escapedIdentifier = /`[A-Za-z0-9_./ -]+`/y;
const float = /\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?/y;
const integer = /0x[0-9a-fA-F]+[uU]?|\d+[uU]?/y;
const operator = /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/y;
const escaped = "\\\\(?:[abfnrtv\"'\\\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})";
const strings = [
  /[rR]"""[\s\S]*?"""/y,
  /[rR]'''[\s\S]*?'''/y,
  /[rR]"[^"\n\r]*"/y,
  /[rR]'[^'\n\r]*'/y,
  new RegExp(`"""(?:${escaped}|[^\\\\])*?"""`, "y"),
  new RegExp(`'''(?:${escaped}|[^\\\\])*?'''`, "y"),
  new RegExp(`"(?:${escaped}|[^\\\\"\\n\\r])*"`, "y"),
  new RegExp(`'(?:${escaped}|[^\\\\'\\n\\r])*'`, "y"),
];
/** How far a string that never ends can be read. */
const brokenStrings = [
  /[rR]"""[\s\S]*/y,
  /[rR]'''[\s\S]*/y,
  /[rR]"[^"\n\r]*/y,
  /[rR]'[^'\n\r]*/y,
  new RegExp(`"""(?:${escaped}|[^\\\\])*`, "y"),
  new RegExp(`'''(?:${escaped}|[^\\\\])*`, "y"),
  new RegExp(`"(?:${escaped}|[^\\\\"\\n\\r])*`, "y"),
  new RegExp(`'(?:${escaped}|[^\\\\'\\n\\r])*`, "y"),
];
const partialEscape = /\\(?:[0-3][0-7]?|[xX][0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7})?/y;

function match(expression: RegExp, text: string, at: number): string | undefined {
  expression.lastIndex = at;
  return expression.exec(text)?.[0];
}

/** The tokens, "<EOF>" last. */
export function lex(text: string): { readonly tokens: readonly Token[]; readonly problems: readonly LexicalProblem[] } {
  const tokens: Token[] = [];
  const problems: LexicalProblem[] = [];
  let at = 0;
  while (at < text.length) {
    const skipped = match(space, text, at);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    const token = tokenAt(text, at);
    if (token) {
      tokens.push(token);
      at += token.text.length;
      continue;
    }
    const end = brokenEnd(text, at);
    const wrong = end < text.length ? String.fromCodePoint(text.codePointAt(end) ?? 0) : "";
    problems.push({
      message: `Syntax error: token recognition error at: '${text.slice(at, end) + wrong}'`,
      offset: at,
      end: end + wrong.length,
    });
    at = end + wrong.length;
  }
  tokens.push({ kind: "<EOF>", text: "<EOF>", start: text.length });
  return { tokens, problems };
}

function tokenAt(text: string, at: number): Token | undefined {
  const code = text.charCodeAt(at);
  const isDigit = code >= 48 && code <= 57;
  if (isDigit || (code === 46 && isDigitAt(text, at + 1))) return numberAt(text, at);
  const string = stringAt(text, at);
  if (string) return string;
  const name = match(identifier, text, at);
  if (name !== undefined) return { kind: words.get(name) ?? "IDENTIFIER", text: name, start: at };
  if (code === 96) {
    const quoted = match(escapedIdentifier, text, at);
    return quoted === undefined ? undefined : { kind: "ESC_IDENTIFIER", text: quoted, start: at };
  }
  const sign = match(operator, text, at);
  return sign === undefined ? undefined : { kind: sign as TokenKind, text: sign, start: at };
}

function isDigitAt(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

/** The longest of the kinds of number. */
function numberAt(text: string, at: number): Token {
  const real = match(float, text, at);
  const whole = match(integer, text, at) ?? "";
  if (real !== undefined && real.length > whole.length) return { kind: "NUM_FLOAT", text: real, start: at };
  return { kind: /[uU]$/.test(whole) ? "NUM_UINT" : "NUM_INT", text: whole, start: at };
}

function stringAt(text: string, at: number): Token | undefined {
  const code = text[at] ?? "";
  const isBytes = code === "b" || code === "B";
  const from = isBytes ? at + 1 : at;
  const first = text[from] ?? "";
  const quote = first === "r" || first === "R" ? (text[from + 1] ?? "") : first;
  if (quote !== '"' && quote !== "'") return undefined;
  for (const expression of strings) {
    const found = match(expression, text, from);
    if (found !== undefined) return { kind: isBytes ? "BYTES" : "STRING", text: text.slice(at, from + found.length), start: at };
  }
  return undefined;
}

/** Where the character is that no token can go on with. */
function brokenEnd(text: string, at: number): number {
  const first = text[at] ?? "";
  const from = first === "b" || first === "B" ? at + 1 : at;
  let end = at;
  for (const expression of brokenStrings) {
    const found = match(expression, text, from);
    if (found !== undefined) end = Math.max(end, from + found.length);
  }
  if (end > at) return end + (match(partialEscape, text, end)?.length ?? 0);
  if (first === "`") return at + (match(/`[A-Za-z0-9_./ -]*/y, text, at)?.length ?? 1);
  return /[&|=]/.test(first) ? at + 1 : at;
}

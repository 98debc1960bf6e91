// Calico's expressions over labels, by which a pool says for which nodes it is: all(), has(key), key == 'value', key in {'a'},
// contains, starts with, ends with, and, or, not and parentheses. An absent label is no value: != and "not in" hold for it.
import type { Labels } from "../api/meta/selectors.ts";

export type LabelPredicate = (labels: Labels) => boolean;

interface Token {
  readonly kind: "word" | "text" | "sign" | "end";
  readonly value: string;
  readonly at: number;
}

/** Longer ones, or deeper ones, are refused: a stranger's text is parsed on every node. */
const maxLength = 4096;
const maxDepth = 32;
const signs = ["&&", "||", "==", "!=", "!", "(", ")", "{", "}", ","];
const word = /[A-Za-z0-9_][A-Za-z0-9_./-]*/y;

/** Throws where the text is none. The empty one is all(). */
export function parseSelector(text: string): LabelPredicate {
  if (text.length > maxLength) throw new Error(`a selector has at most ${maxLength} characters`);
  const tokens = tokensOf(text);
  if (tokens.length === 1) return () => true;
  const parser = new Parser(tokens);
  const predicate = parser.either(0);
  parser.finish();
  return predicate;
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at] ?? "";
    if (/\s/.test(character)) {
      at++;
      continue;
    }
    const token = quoted(text, at) ?? plain(text, at);
    if (!token) throw new Error(`unexpected ${JSON.stringify(character)} at character ${at + 1}`);
    tokens.push(token);
    at += token.value.length + (token.kind === "text" ? 2 : 0);
  }
  return [...tokens, { kind: "end", value: "the end", at }];
}

function quoted(text: string, at: number): Token | undefined {
  const quote = text[at];
  if (quote !== "'" && quote !== '"') return undefined;
  const end = text.indexOf(quote, at + 1);
  if (end < 0) throw new Error(`the text that begins at character ${at + 1} has no end`);
  return { kind: "text", value: text.slice(at + 1, end), at };
}

function plain(text: string, at: number): Token | undefined {
  const sign = signs.find((each) => text.startsWith(each, at));
  if (sign !== undefined) return { kind: "sign", value: sign, at };
  word.lastIndex = at;
  const [found] = word.exec(text) ?? [];
  return found === undefined ? undefined : { kind: "word", value: found, at };
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  finish(): void {
    const token = this.#take();
    if (token.kind !== "end") throw unexpected(token, "&&, || or the end");
  }

  either(depth: number): LabelPredicate {
    const parts = [this.#both(depth)];
    while (this.#skip("||")) parts.push(this.#both(depth));
    return parts.length === 1 && parts[0] ? parts[0] : (labels) => parts.some((part) => part(labels));
  }

  #both(depth: number): LabelPredicate {
    const parts = [this.#single(depth)];
    while (this.#skip("&&")) parts.push(this.#single(depth));
    return parts.length === 1 && parts[0] ? parts[0] : (labels) => parts.every((part) => part(labels));
  }

  #single(depth: number): LabelPredicate {
    if (depth > maxDepth) throw new Error(`a selector is at most ${maxDepth} levels deep`);
    if (this.#skip("!")) {
      const inner = this.#single(depth + 1);
      return (labels) => !inner(labels);
    }
    if (this.#skip("(")) {
      const inner = this.either(depth + 1);
      this.#expect(")");
      return inner;
    }
    const token = this.#take();
    if (token.kind !== "word") throw unexpected(token, "a label or a function");
    return this.#skip("(") ? this.#call(token) : this.#comparison(token.value);
  }

  #call(name: Token): LabelPredicate {
    if (name.value === "all" || name.value === "global") {
      this.#expect(")");
      return () => true;
    }
    if (name.value !== "has") throw unexpected(name, "all() or has()");
    const key = this.#take();
    if (key.kind !== "word") throw unexpected(key, "a label");
    this.#expect(")");
    return (labels) => Object.hasOwn(labels, key.value);
  }

  #comparison(key: string): LabelPredicate {
    const labelOf = (labels: Labels): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
    const operator = this.#take();
    switch (operator.value) {
      case "==": {
        const wanted = this.#text();
        return (labels) => labelOf(labels) === wanted;
      }
      case "!=": {
        const wanted = this.#text();
        return (labels) => labelOf(labels) !== wanted;
      }
      case "in": {
        const set = this.#set();
        return (labels) => set.has(labelOf(labels));
      }
      case "not": {
        this.#expect("in");
        const set = this.#set();
        return (labels) => !set.has(labelOf(labels));
      }
      case "contains": {
        const part = this.#text();
        return (labels) => labelOf(labels)?.includes(part) === true;
      }
      case "starts":
      case "ends": {
        this.#expect("with");
        const part = this.#text();
        return (labels) => (operator.value === "starts" ? labelOf(labels)?.startsWith(part) : labelOf(labels)?.endsWith(part)) === true;
      }
      default:
        throw unexpected(operator, "==, !=, in, not in, contains, starts with or ends with");
    }
  }

  #set(): ReadonlySet<string | undefined> {
    this.#expect("{");
    const values = new Set<string | undefined>();
    if (this.#skip("}")) return values;
    do values.add(this.#text());
    while (this.#skip(","));
    this.#expect("}");
    return values;
  }

  #text(): string {
    const token = this.#take();
    if (token.kind !== "text") throw unexpected(token, "a text in quotes");
    return token.value;
  }

  #expect(value: string): void {
    const token = this.#take();
    if (token.kind === "text" || token.value !== value) throw unexpected(token, value);
  }

  #skip(value: string): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "sign" || token.value !== value) return false;
    this.#next++;
    return true;
  }

  #take(): Token {
    const token = this.#tokens[this.#next] ?? { kind: "end", value: "the end", at: 0 };
    if (token.kind !== "end") this.#next++;
    return token;
  }
}

function unexpected({ kind, value, at }: Token, expected: string): Error {
  return new Error(`expected ${expected}, not ${kind === "end" ? value : JSON.stringify(value)}, at character ${at + 1}`);
}

// Reads the text of a JSONPath into steps (json-path.ts says what they do). Each place of the text is read once.
import type { Comparison, Operand, Step, StepBuilders } from "./json-path.ts";

/** A path that cannot be read. */
class Unreadable extends Error {}

export class JsonPathReader {
  readonly #text: string;
  readonly #build: StepBuilders;
  #at = 0;

  constructor(text: string, build: StepBuilders) {
    this.#text = text;
    this.#build = build;
  }

  /** undefined where the text is no path. */
  steps(): readonly Step[] | undefined {
    try {
      if (!this.#take("$") && this.#text !== "" && !/^[.[]/.test(this.#text)) return this.#rest([this.#build.fields([this.#name()])]);
      return this.#rest([]);
    } catch (error) {
      if (error instanceof Unreadable) return undefined;
      throw error;
    }
  }

  #rest(steps: Step[]): readonly Step[] {
    while (this.#at < this.#text.length) this.#step(steps);
    return steps;
  }

  #step(steps: Step[]): void {
    if (this.#take("..")) {
      steps.push(this.#build.descend);
      if (this.#peek() !== "[") steps.push(this.#take("*") ? this.#build.every : this.#build.fields([this.#name()]));
      return;
    }
    if (this.#take("[")) {
      steps.push(this.#bracket());
      return;
    }
    if (!this.#take(".")) throw new Unreadable();
    // "." alone, and before a bracket, is the value itself.
    if (this.#at === this.#text.length || this.#peek() === "[") return;
    steps.push(this.#take("*") ? this.#build.every : this.#build.fields([this.#name()]));
  }

  /** A field's name; a backslash takes the next character for a part of it. */
  #name(): string {
    let name = "";
    for (; this.#at < this.#text.length; this.#at++) {
      let char = this.#peek();
      if (char === "." || char === "[" || char === "]" || this.#endsOperand(char)) break;
      if (char === "\\") char = this.#text[++this.#at] ?? "";
      name += char;
    }
    if (name === "") throw new Unreadable();
    return name;
  }

  #inFilter = false;

  #endsOperand(char: string): boolean {
    return this.#inFilter && /[\s=!<>)]/.test(char);
  }

  /** What stands in brackets, after the opening one. */
  #bracket(): Step {
    if (this.#take("?(")) return this.#filter();
    if (this.#take("*")) return this.#closed(this.#build.every);
    if (this.#peek() === "'" || this.#peek() === '"') return this.#closed(this.#build.fields(this.#list(() => this.#quoted())));
    const slice = this.#match(/(-?\d+)?:(-?\d+)?(?::(\d+))?/y);
    if (slice) {
      const [from, to, step] = slice.slice(1).map((part) => (part === undefined ? undefined : Number(part)));
      if (step === 0) throw new Unreadable();
      return this.#closed(this.#build.slice(from, to, step ?? 1));
    }
    return this.#closed(this.#build.indexes(this.#list(() => this.#number())));
  }

  #closed(step: Step): Step {
    if (!this.#take("]")) throw new Unreadable();
    return step;
  }

  #list<T>(read: () => T): readonly T[] {
    const found = [read()];
    while (this.#match(/\s*,\s*/y)) found.push(read());
    return found;
  }

  #number(): number {
    const found = this.#match(/-?\d+/y);
    if (!found) throw new Unreadable();
    return Number(found[0]);
  }

  #quoted(): string {
    const found = this.#match(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/y);
    if (!found) throw new Unreadable();
    return (found[1] ?? found[2] ?? "").replace(/\\(.)/gs, "$1");
  }

  #filter(): Step {
    const left = this.#operand();
    this.#match(/\s*/y);
    const comparison = this.#match(/[=!]=|[<>]=?/y)?.[0] as Comparison | undefined; // the pattern says which there are
    this.#match(/\s*/y);
    const right: Operand = comparison === undefined ? { constant: undefined } : this.#operand();
    this.#match(/\s*/y);
    if (!this.#take(")")) throw new Unreadable();
    return this.#closed(this.#build.filter(left, comparison, right));
  }

  #operand(): Operand {
    this.#match(/\s*/y);
    if (this.#take("@")) return { path: this.#operandPath() };
    if (this.#peek() === "'" || this.#peek() === '"') return { constant: this.#quoted() };
    const word = this.#match(/[^\s=!<>()]+/y)?.[0];
    if (word === undefined) throw new Unreadable();
    if (word === "true" || word === "false") return { constant: word === "true" };
    return { constant: Number.isFinite(Number(word)) ? Number(word) : word };
  }

  #operandPath(): readonly Step[] {
    const outer = this.#inFilter;
    this.#inFilter = true;
    const steps: Step[] = [];
    while (this.#at < this.#text.length && /[.[]/.test(this.#peek())) this.#step(steps);
    this.#inFilter = outer;
    return steps;
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (!found) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }
}

// Environments: declarations, and the way from a text to a program: parse, check, validate, plan.

import type { CelCompilation, CelEnvironment, CelEnvironmentOptions } from "./cel.ts";
import { CelError } from "./cel-error.ts";
import { check } from "./check/check.ts";
import { type Declarations, extendDeclarations, noDeclarations } from "./declarations.ts";
import { plan } from "./evaluate/plan.ts";
import { parse } from "./parse.ts";
import { Program } from "./program.ts";
import { CelSource, type PlacedProblem, sortProblems } from "./source.ts";
import { standardLibrary } from "./standard/standard-library.ts";

const standard = extendDeclarations(noDeclarations, { libraries: [standardLibrary] });

/** An environment with the standard functions and macros, and what the options add. */
export function createCelEnvironment(options: CelEnvironmentOptions = {}): CelEnvironment {
  return new Environment(extendDeclarations(standard, options));
}

class Environment implements CelEnvironment {
  readonly #declarations: Declarations;

  constructor(declarations: Declarations) {
    this.#declarations = declarations;
  }

  extend(options: CelEnvironmentOptions): CelEnvironment {
    return new Environment(extendDeclarations(this.#declarations, options));
  }

  compile(expression: string): CelCompilation {
    const source = new CelSource(expression);
    const result = parse(source, this.#declarations);
    if (result.problems) return failed("parse", source, result.problems);
    const { parsed } = result;
    const { checked, problems } = check(parsed, source, this.#declarations);
    if (problems.length > 0) return failed("check", source, problems);
    const invalid = [...this.#declarations.validators.values()].flatMap((validator) =>
      validator.validate(checked).map(({ message, at }) => ({ message, place: source.place(parsed.offsets.get(at.id) ?? 0) })),
    );
    if (invalid.length > 0) return failed("check", source, invalid);
    try {
      return { program: new Program(expression, { checked, plan: plan(checked), estimateRoot: this.#declarations.estimateRoot }) };
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      const { message } = error;
      return { stage: "plan", message, problems: [{ message, line: 0, column: 0 }], resultType: checked.typeOf(checked.expr) };
    }
  }
}

function failed(stage: "parse" | "check", source: CelSource, problems: readonly PlacedProblem[]): CelCompilation {
  const listed = sortProblems(problems).map(({ message, place }) =>
    place.line < 0 ? { message, line: 0, column: 0 } : { message, line: place.line, column: place.column + 1 },
  );
  return { stage, problems: listed, message: source.displayAll(problems) };
}

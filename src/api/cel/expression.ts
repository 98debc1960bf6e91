// Expressions as objects of the API carry them: compiled in an environment, of a type that their place asks for, with
// upstream's texts for what is wrong with them.
import type { CelCompilation, CelEnvironment, CelProgram } from "../../cel/cel.ts";
import { type CelType, formatCelType } from "../../cel/types.ts";
import { FieldError, invalidValue } from "../meta/field-error.ts";

export interface CompiledExpression {
  readonly text: string;
  readonly program?: CelProgram | undefined;
  /** Why there is no program: "compilation failed: ERROR: …", "must evaluate to bool but got string". */
  readonly problem?: string | undefined;
  /** The expression is well-formed and of a right type, but a constant part of it has no value: upstream's "internal error". */
  readonly isInternal?: boolean;
}

/** `results`: what it may evaluate to; anything where there are none. */
export function compileExpression(environment: CelEnvironment, text: string, results: readonly CelType[] = []): CompiledExpression {
  const { program, ...failure } = environment.compile(text);
  const resultType = program ? program.resultType : failure.resultType;
  const problem = resultType && resultProblem(resultType, results);
  if (problem !== undefined) return { text, problem };
  if (program) return { text, program };
  return { text, problem: compilationProblem(failure), isInternal: failure.stage === "plan" };
}

function resultProblem(type: CelType, results: readonly CelType[]): string | undefined {
  const found = typeText(type);
  const allowed = results.map(typeText);
  if (allowed.length === 0 || allowed.includes(found)) return undefined;
  const [only] = allowed;
  const expected = allowed.length === 1 ? `${only}` : `one of [${allowed.join(" ")}]`;
  return `must evaluate to ${expected} but got ${found}`;
}

/** What is wrong with an expression as an error of its field; nothing where nothing is. */
export function expressionErrors(field: string, text: string, { problem, isInternal }: Partial<CompiledExpression>): readonly FieldError[] {
  if (problem === undefined) return [];
  return [isInternal ? new FieldError("InternalError", field, null, problem) : invalidValue(field, text, problem)];
}

/** What failed, and the problems. */
export const compilationProblem = ({ stage, message }: Pick<CelCompilation, "stage" | "message">): string =>
  `${stage === "plan" ? "program instantiation failed" : "compilation failed"}: ${message}`;

const longNames: Readonly<Record<string, string>> = {
  null: "null_type",
  timestamp: "google.protobuf.Timestamp",
  duration: "google.protobuf.Duration",
};

/** A type as these messages name it. */
export const typeText = (type: CelType): string => longNames[type.kind] ?? formatCelType(type);

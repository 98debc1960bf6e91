// Expressions as objects of the API carry them: compiled in an environment, of a type that their place asks for, with
// upstream's texts for what is wrong with them.
import type { CelCompilation, CelEnvironment, CelProgram } from "../../cel/cel.ts";
import { type CelType, formatCelType } from "../../cel/types.ts";

export interface CompiledExpression {
  readonly text: string;
  readonly program?: CelProgram | undefined;
  /** Why there is no program: "compilation failed: ERROR: …", "must evaluate to bool but got string". */
  readonly problem?: string | undefined;
}

/** `results`: what it may evaluate to; anything where there are none. */
export function compileExpression(environment: CelEnvironment, text: string, results: readonly CelType[] = []): CompiledExpression {
  const { program, ...failure } = environment.compile(text);
  if (!program) return { text, problem: compilationProblem(failure) };
  const found = typeText(program.resultType);
  const allowed = results.map(typeText);
  if (allowed.length === 0 || allowed.includes(found)) return { text, program };
  const [only] = allowed;
  const expected = allowed.length === 1 ? `${only}` : `one of [${allowed.join(" ")}]`;
  return { text, problem: `must evaluate to ${expected} but got ${found}` };
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

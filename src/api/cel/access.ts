// Evaluating expressions that ask the authorizer. Answers come from whoever decides, at once or later; each question is asked
// once for all expressions that share the answers, as upstream caches them for one request.
import type { CelEvaluateOptions, CelProgram, CelResult } from "../../cel/cel.ts";
import type { AccessAnswer, AccessAnswers, AccessQuestion } from "./library/authorizer.ts";

/** Decides a question. What it throws ends the evaluation. */
export type DecideAccess = (question: AccessQuestion) => AccessAnswer | Promise<AccessAnswer>;

/** An answer is on its way; no error. */
class AccessPending extends Error {
  readonly settled: Promise<void>;
  constructor(settled: Promise<void>) {
    super("waiting for authorization");
    this.settled = settled;
  }
}

/** The answers of one request. */
export class KnownAnswers implements AccessAnswers {
  readonly #decide: DecideAccess;
  readonly #known = new Map<string, AccessAnswer>();

  constructor(decide: DecideAccess) {
    this.#decide = decide;
  }

  answer(question: AccessQuestion): AccessAnswer {
    const key = JSON.stringify(question);
    const known = this.#known.get(key);
    if (known) return known;
    const decided = this.#decide(question);
    if (!(decided instanceof Promise)) {
      this.#known.set(key, decided);
      return decided;
    }
    throw new AccessPending(decided.then((answer) => void this.#known.set(key, answer)));
  }
}

/** Evaluates, again where an answer was not there yet. What one evaluation may cost bounds how often. Throws CelError. */
export async function evaluateWithAccess(
  program: CelProgram,
  variables: Readonly<Record<string, unknown>>,
  options?: CelEvaluateOptions,
): Promise<CelResult> {
  for (;;) {
    try {
      return program.evaluate(variables, options);
    } catch (error) {
      if (!(error instanceof AccessPending)) throw error;
      await error.settled;
    }
  }
}

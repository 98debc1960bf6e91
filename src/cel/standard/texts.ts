// contains(), startsWith(), endsWith(), matches().

import { compilePattern, PatternError } from "../../base/regex/pattern.ts";
import { CelError } from "../cel-error.ts";
import { containsCost, matchCost, patternSteps, traversalOf } from "../cost/actual.ts";
import { containsEstimate, matchEstimate, traversalEstimate } from "../cost/call-estimates.ts";
import type { CelCallSite, CelEvaluation, CelFunction, CelOverload } from "../library.ts";
import { boolType, stringType } from "../types.ts";
import { noSuchOverload } from "./operator-traits.ts";

const test = (
  id: string,
  holds: (text: string, part: string, evaluation: CelEvaluation) => boolean,
  rest: Partial<CelOverload>,
): CelOverload => ({
  id,
  member: true,
  parameters: [stringType, stringType],
  result: boolType,
  call: ([text, part], evaluation) => holds(text as string, part as string, evaluation),
  ...rest,
});

/** Whether the pattern (RE2's syntax) matches somewhere in the text. Throws CelError. */
function matches(text: string, pattern: string, evaluation: CelEvaluation): boolean {
  try {
    return compilePattern(pattern).test(text, patternSteps(evaluation));
  } catch (error) {
    if (error instanceof PatternError) throw new CelError(error.message, { cause: error });
    throw error;
  }
}

// Upstream charges the text that is looked for by what is searched, and estimates by what is looked for.
const affix = { cost: traversalOf(0), estimate: (call: CelCallSite) => traversalEstimate(1)(call) };

export const texts: readonly CelFunction[] = [
  {
    name: "contains",
    overloads: [
      test("contains_string", (text, part) => text.includes(part), { cost: containsCost, chargedFirst: true, estimate: containsEstimate }),
    ],
    mismatch: noSuchOverload,
  },
  { name: "endsWith", overloads: [test("ends_with_string", (text, part) => text.endsWith(part), affix)], mismatch: noSuchOverload },
  { name: "startsWith", overloads: [test("starts_with_string", (text, part) => text.startsWith(part), affix)], mismatch: noSuchOverload },
  {
    name: "matches",
    overloads: [
      // Upstream charges the member alone; without the budget a loop over this one would not end.
      test("matches", matches, { member: false, cost: matchCost, chargedFirst: true }),
      test("matches_string", matches, { cost: matchCost, chargedFirst: true, estimate: matchEstimate }),
    ],
    dispatchesByValue: true,
    mismatch: () => "no such overload: matches",
  },
];

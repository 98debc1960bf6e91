// find and findAll: the parts of a text that match a regular expression (in Go's syntax).

import { compilePattern, type Pattern, PatternError, type PatternSteps } from "../../../base/regex/pattern.ts";
import { CelError } from "../../../cel/cel.ts";
import { matchCost, patternSteps } from "../../../cel/cost/actual.ts";
import { matchEstimate } from "../../../cel/cost/call-estimates.ts";
import type { CelLibrary, CelOverload } from "../../../cel/library.ts";
import { intType, listOf, stringType } from "../../../cel/types.ts";
import { CelArray, type CelValue } from "../../../cel/values.ts";

const shared: Pick<CelOverload, "prepare" | "cost" | "chargedFirst" | "estimate"> = {
  prepare: ([, pattern]) => {
    if (typeof pattern === "string") compiled(pattern);
  },
  cost: matchCost,
  chargedFirst: true,
  estimate: (site) => {
    const found = matchEstimate(site);
    return found && site.target && { ...found, resultSize: { min: 0, max: site.target.size.max } };
  },
};

export const regexLibrary: CelLibrary = {
  name: "kubernetes.regex",
  functions: [
    {
      name: "find",
      overloads: [
        {
          id: "string_find_string",
          member: true,
          parameters: [stringType, stringType],
          result: stringType,
          call: ([text, pattern], evaluation) => findFirst(text as string, patternOf(pattern), patternSteps(evaluation)),
          ...shared,
        },
      ],
    },
    {
      name: "findAll",
      overloads: [
        {
          id: "string_find_all_string",
          member: true,
          parameters: [stringType, stringType],
          result: listOf(stringType),
          call: ([text, pattern], evaluation) =>
            findAll(text as string, patternOf(pattern), { limit: -1, steps: patternSteps(evaluation) }),
          ...shared,
        },
        {
          id: "string_find_all_string_int",
          member: true,
          parameters: [stringType, stringType, intType],
          result: listOf(stringType),
          call: ([text, pattern, limit], evaluation) =>
            findAll(text as string, patternOf(pattern), { limit: Number(limit), steps: patternSteps(evaluation) }),
          ...shared,
        },
      ],
    },
  ],
};

const patternOf = (pattern: CelValue | undefined): Pattern => compiled(pattern as string, "Illegal regex: ");

function compiled(pattern: string, prefix = ""): Pattern {
  try {
    return compilePattern(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw new CelError(`${prefix}${error.message}`, { cause: error });
  }
}

function findFirst(text: string, pattern: Pattern, steps: PatternSteps): string {
  const match = pattern.find(text, 0, steps);
  return match ? text.slice(match.start, match.end) : "";
}

/** All matches, or the first `limit` where that is not negative. An empty match right behind another one is none. */
function findAll(text: string, pattern: Pattern, { limit, steps }: { readonly limit: number; readonly steps: PatternSteps }): CelArray {
  const found: string[] = [];
  let previousEnd = -1;
  for (let from = 0; from <= text.length && (limit < 0 || found.length < limit); ) {
    const match = pattern.find(text, from, steps);
    if (!match) break;
    const { start, end } = match;
    if (end > start || start !== previousEnd) found.push(text.slice(start, end));
    previousEnd = end;
    // A character is never cut in two.
    from = end > start ? end : end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
  }
  return new CelArray(found);
}

// find and findAll: the parts of a text that match a regular expression (in Go's syntax).
import { CelError } from "../../../cel/cel.ts";
import type { CelLibrary, CelOverload } from "../../../cel/library.ts";
import { intType, listOf, stringType } from "../../../cel/types.ts";
import { CelArray, type CelValue } from "../../../cel/values.ts";
import { compileGoPattern, GoPatternError } from "../../meta/go-pattern.ts";
import { characterCost, patternCharacterCost, plus, product, sizeOf, times } from "./costs.ts";

const costs: Pick<CelOverload, "cost" | "estimate"> = {
  cost: ([text, pattern]) => Math.ceil((1 + sizeOf(text)) * characterCost) * Math.ceil(sizeOf(pattern) * patternCharacterCost),
  estimate: ({ target, args: [pattern] }) => {
    if (!target || !pattern) return undefined;
    const text = times(plus(target.size, { min: 1, max: 1 }), characterCost);
    return { cost: product(text, times(pattern.size, patternCharacterCost)), resultSize: { min: 0, max: target.size.max } };
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
          call: ([text, pattern]) => patternOf(pattern).exec(text as string)?.[0] ?? "",
          ...costs,
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
          call: ([text, pattern]) => new CelArray(findAll(text as string, patternOf(pattern), -1)),
          ...costs,
        },
        {
          id: "string_find_all_string_int",
          member: true,
          parameters: [stringType, stringType, intType],
          result: listOf(stringType),
          call: ([text, pattern, limit]) => new CelArray(findAll(text as string, patternOf(pattern), Number(limit))),
          ...costs,
        },
      ],
    },
  ],
};

function patternOf(pattern: CelValue | undefined): RegExp {
  try {
    return compileGoPattern(pattern as string);
  } catch (error) {
    if (!(error instanceof GoPatternError)) throw error;
    throw new CelError(`Illegal regex: ${error.message}`, { cause: error });
  }
}

/** All matches, or the first `limit` where that is not negative. An empty match right behind another one is none. */
export function findAll(text: string, pattern: RegExp, limit: number): string[] {
  const found: string[] = [];
  let end = -1;
  for (const match of text.matchAll(new RegExp(pattern.source, `${pattern.flags}g`))) {
    if (limit >= 0 && found.length >= limit) break;
    if (match[0] !== "" || match.index !== end) found.push(match[0]);
    end = match.index + match[0].length;
  }
  return found;
}

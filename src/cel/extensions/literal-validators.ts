// Checks of what literals say before anything runs, as a library: durations, instants and regular expressions that are none, and
// lists and maps whose parts are of different types (but for those that format() takes).

import { compilePattern, PatternError } from "../../base/regex/pattern.ts";
import type { CelExpr } from "../ast.ts";
import { CelError } from "../cel-error.ts";
import { isSameType } from "../check/unify.ts";
import type { CelCheckedExpr, CelLibrary, CelValidator } from "../library.ts";
import { childrenOf } from "../paths.ts";
import { conversions } from "../standard/conversions.ts";
import { type CelType, formatCelType } from "../types.ts";
import type { CelValue } from "../values.ts";

interface Found {
  readonly message: string;
  readonly at: CelExpr;
}

function walk(expr: CelExpr, visit: (expr: CelExpr, isExempt: boolean) => void, isExempt = false): void {
  visit(expr, isExempt);
  const inside = isExempt || (expr.kind === "call" && expr.name === "format");
  for (const child of childrenOf(expr)) walk(child, visit, inside);
}

/** The first argument of calls of a function, where it is a literal. */
function literalArgument(name: string, isValid: (value: CelValue) => boolean): CelValidator {
  return {
    name: `cel.validator.${name}`,
    validate({ expr }) {
      const problems: Found[] = [];
      walk(expr, (call) => {
        const argument = call.kind === "call" && call.name === name ? call.args[0] : undefined;
        if (argument?.kind === "literal" && !isValid(argument.value)) problems.push({ message: `invalid ${name} argument`, at: argument });
      });
      return problems;
    },
  };
}

/** Whether the conversion has a value for it. */
function converts(name: string, value: CelValue): boolean {
  const kind = typeof value === "string" ? "string" : typeof value === "bigint" ? "int" : undefined;
  const overload = conversions
    .find((conversion) => conversion.name === name)
    ?.overloads.find(({ parameters }) => parameters[0]?.kind === kind);
  try {
    overload?.call([value], { charge: () => undefined });
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

function isPattern(value: CelValue): boolean {
  if (typeof value !== "string") return true;
  try {
    compilePattern(value);
    return true;
  } catch (error) {
    if (error instanceof PatternError) return false;
    throw error;
  }
}

const homogeneous: CelValidator = {
  name: "cel.validator.homogeneous_literals",
  validate(checked) {
    const problems: Found[] = [];
    walk(checked.expr, (expr, isExempt) => {
      if (isExempt) return;
      if (expr.kind === "list") {
        const { elements, optional } = expr;
        differing(
          checked,
          elements,
          (index) => optional.includes(index),
          (problem) => problems.push(problem) > 0,
        );
      }
      if (expr.kind === "map") {
        const { entries } = expr;
        const goesOn = (problem: Found) => problems.push(problem) < 0;
        differing(
          checked,
          entries.map(({ key }) => key),
          () => false,
          goesOn,
        );
        differing(
          checked,
          entries.map(({ value }) => value),
          (index) => entries[index]?.optional ?? false,
          goesOn,
        );
      }
    });
    return problems;
  },
};

/** Reports parts that are of another type than the first one: of a list only the first of them. */
function differing(
  checked: CelCheckedExpr,
  parts: readonly CelExpr[],
  isOptional: (index: number) => boolean,
  found: (problem: Found) => boolean,
): void {
  let wanted: CelType | undefined;
  for (const [index, part] of parts.entries()) {
    const whole = checked.typeOf(part);
    const type = isOptional(index) && whole.kind === "optional" ? whole.of : whole;
    wanted ??= type;
    if (isSameType(wanted, type)) continue;
    const isEnough = found({ message: `expected type '${formatCelType(wanted)}' but found '${formatCelType(type)}'`, at: part });
    if (isEnough) return;
  }
}

export const literalValidators: CelLibrary = {
  name: "literal validators",
  validators: [
    literalArgument("duration", (value) => converts("duration", value)),
    literalArgument("timestamp", (value) => converts("timestamp", value)),
    literalArgument("matches", isPattern),
    homogeneous,
  ],
};

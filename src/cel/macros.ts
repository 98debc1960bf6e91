// The macros of the language: has(), and the loops all, exists, exists_one, map and filter. Each becomes a presence test or a
// comprehension.

import { accumulatorName, type CelExpr } from "./ast.ts";
import { type CelExprFactory, type CelMacro, CelMacroError } from "./library.ts";

type Call = Parameters<CelMacro["expand"]>[0];

/** The loops with one variable and the ones with two have the same steps, over the predicate or transformation given. */
export interface LoopVariables {
  readonly variable: string;
  readonly variable2?: string;
}

export function allLoop(make: CelExprFactory, range: CelExpr, variables: LoopVariables, predicate: CelExpr): CelExpr {
  return make.comprehension({
    range,
    ...variables,
    accumulator: accumulatorName,
    init: make.literal(true),
    condition: make.call("@not_strictly_false", [make.ident(accumulatorName)]),
    step: make.call("_&&_", [make.ident(accumulatorName), predicate]),
    result: make.ident(accumulatorName),
  });
}

export function existsLoop(make: CelExprFactory, range: CelExpr, variables: LoopVariables, predicate: CelExpr): CelExpr {
  return make.comprehension({
    range,
    ...variables,
    accumulator: accumulatorName,
    init: make.literal(false),
    condition: make.call("@not_strictly_false", [make.call("!_", [make.ident(accumulatorName)])]),
    step: make.call("_||_", [make.ident(accumulatorName), predicate]),
    result: make.ident(accumulatorName),
  });
}

export function existsOneLoop(make: CelExprFactory, range: CelExpr, variables: LoopVariables, predicate: CelExpr): CelExpr {
  const counted = make.call("_+_", [make.ident(accumulatorName), make.literal(1n)]);
  return make.comprehension({
    range,
    ...variables,
    accumulator: accumulatorName,
    init: make.literal(0n),
    condition: make.literal(true),
    step: make.call("_?_:_", [predicate, counted, make.ident(accumulatorName)]),
    result: make.call("_==_", [make.ident(accumulatorName), make.literal(1n)]),
  });
}

/** A loop that grows a list or map from an empty one, by a step, for elements that the filter takes. */
export function growingLoop(
  make: CelExprFactory,
  range: CelExpr,
  variables: LoopVariables,
  parts: { readonly init: CelExpr; readonly step: CelExpr; readonly filter: CelExpr | undefined },
): CelExpr {
  const { init, step, filter } = parts;
  return make.comprehension({
    range,
    ...variables,
    accumulator: accumulatorName,
    init,
    condition: make.literal(true),
    step: filter ? make.call("_?_:_", [filter, step, make.ident(accumulatorName)]) : step,
    result: make.ident(accumulatorName),
  });
}

export function listLoop(make: CelExprFactory, range: CelExpr, variables: LoopVariables, item: CelExpr, filter?: CelExpr): CelExpr {
  const step = make.call("_+_", [make.ident(accumulatorName), make.list([item])]);
  return growingLoop(make, range, variables, { init: make.list([]), step, filter });
}

/** The name of a loop's variable. Throws CelMacroError. */
export function loopVariable(argument: CelExpr, problem: string): string {
  if (argument.kind !== "ident") throw new CelMacroError(problem, argument);
  if (argument.name === accumulatorName || argument.name === "__result__")
    throw new CelMacroError("iteration variable overwrites accumulator variable", argument);
  return argument.name;
}

function loop(name: string, count: number, expand: (make: CelExprFactory, range: CelExpr, args: readonly CelExpr[]) => CelExpr): CelMacro {
  return { name, member: true, arguments: count, expand: ({ target, args }, make) => target && expand(make, target, args) };
}

const simpleName = "argument must be a simple name";
const identifier = "argument is not an identifier";
type Quantifier = typeof allLoop;
const quantifier = (name: string, over: Quantifier) =>
  loop(name, 2, (make, range, [variable, predicate]) =>
    over(make, range, { variable: loopVariable(variable as CelExpr, simpleName) }, predicate as CelExpr),
  );

function expandHas({ args }: Call, make: CelExprFactory): CelExpr {
  const [field] = args;
  if (field?.kind !== "select") throw new CelMacroError("invalid argument to has() macro", field);
  return make.presence(field.operand, field.field);
}

/** range.map(x, f(x)), as a macro of a library would use it too. */
export function expandMap(make: CelExprFactory, range: CelExpr, args: readonly CelExpr[]): CelExpr {
  const variable = loopVariable(args[0] as CelExpr, identifier);
  const filter = args.length === 3 ? args[1] : undefined;
  return listLoop(make, range, { variable }, args.at(-1) as CelExpr, filter);
}

export const standardMacros: readonly CelMacro[] = [
  { name: "has", member: false, arguments: 1, expand: expandHas },
  quantifier("all", allLoop),
  quantifier("exists", existsLoop),
  quantifier("exists_one", existsOneLoop),
  quantifier("existsOne", existsOneLoop),
  loop("map", 2, expandMap),
  loop("map", 3, expandMap),
  loop("filter", 2, (make, range, args) =>
    listLoop(make, range, { variable: loopVariable(args[0] as CelExpr, identifier) }, args[0] as CelExpr, args[1]),
  ),
];

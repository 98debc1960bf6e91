// The extension of loops with two variables: the index and item of a list, the key and value of a map. all, exists, existsOne,
// transformList, transformMap and transformMapEntry.

import type { CelExpr } from "../ast.ts";
import { accumulatorName } from "../ast.ts";
import { CelError } from "../cel-error.ts";
import { CelEntries } from "../evaluate/literals.ts";
import { goText } from "../go-text.ts";
import { type CelExprFactory, type CelLibrary, type CelMacro, CelMacroError } from "../library.ts";
import { allLoop, existsLoop, existsOneLoop, growingLoop, type LoopVariables, listLoop, loopVariable } from "../macros.ts";
import { mapOf, typeParameter } from "../types.ts";
import type { CelMap, CelValue } from "../values.ts";

const simpleName = "argument must be a simple name";

function loopVariables(first: CelExpr, second: CelExpr): Required<LoopVariables> {
  const [variable, variable2] = [first, second].map((argument) => {
    if (argument.kind !== "ident") throw new CelMacroError(simpleName, argument);
    return argument.name;
  }) as [string, string];
  if (variable === variable2) throw new CelMacroError(`duplicate variable name: ${variable}`, second);
  return { variable: loopVariable(first, simpleName), variable2: loopVariable(second, simpleName) };
}

type Expand = (make: CelExprFactory, range: CelExpr, variables: Required<LoopVariables>, rest: readonly CelExpr[]) => CelExpr;

const loop = (name: string, count: number, expand: Expand): CelMacro => ({
  name,
  member: true,
  arguments: count,
  expand({ target, args: [first, second, ...rest] }, make) {
    if (!target || !first || !second) return undefined;
    return expand(make, target, loopVariables(first, second), rest);
  },
});

const quantifier = (name: string, over: typeof allLoop): CelMacro =>
  loop(name, 3, (make, range, variables, [predicate]) => over(make, range, variables, predicate as CelExpr));

/** With 3 arguments, and with 4 where the third is a filter. */
function transformation(name: string, expand: (make: CelExprFactory, parts: TransformationParts) => CelExpr): CelMacro[] {
  return [3, 4].map((count) =>
    loop(name, count, (make, range, variables, rest) =>
      expand(make, { range, variables, filter: rest.length === 2 ? rest[0] : undefined, result: rest.at(-1) as CelExpr }),
    ),
  );
}

interface TransformationParts {
  readonly range: CelExpr;
  readonly variables: Required<LoopVariables>;
  readonly filter: CelExpr | undefined;
  readonly result: CelExpr;
}

const insertion = "cel.@mapInsert";

function mapLoop(make: CelExprFactory, { range, variables, filter }: TransformationParts, inserted: readonly CelExpr[]): CelExpr {
  const step = make.call(insertion, [make.ident(accumulatorName), ...inserted]);
  return growingLoop(make, range, variables, { init: make.map([]), step, filter });
}

/** Into a map that a loop is making: nobody else has it. */
function insert(map: CelMap, key: CelValue, value: CelValue): CelMap {
  if (map.find(key) !== undefined) throw new CelError(`insert failed: key ${goText(key)} already exists`);
  if (!(map instanceof CelEntries)) throw new CelError("no such overload");
  map.set(key, value);
  return map;
}

function insertAll(map: CelMap, other: CelMap): CelMap {
  for (const key of other.keys()) insert(map, key, other.find(key) ?? null);
  return map;
}

const [K, V] = [typeParameter("K"), typeParameter("V")];
const mapKV = mapOf(K, V);

export const twoVariableComprehensions: CelLibrary = {
  name: "cel.lib.ext.comprev2",
  macros: [
    quantifier("all", allLoop),
    quantifier("exists", existsLoop),
    quantifier("existsOne", existsOneLoop),
    quantifier("exists_one", existsOneLoop),
    ...transformation("transformList", (make, { range, variables, filter, result }) => listLoop(make, range, variables, result, filter)),
    ...transformation("transformMap", (make, parts) => mapLoop(make, parts, [make.ident(parts.variables.variable), parts.result])),
    ...transformation("transformMapEntry", (make, parts) => mapLoop(make, parts, [parts.result])),
  ],
  functions: [
    {
      name: insertion,
      overloads: [
        {
          id: "@mapInsert_map_key_value",
          parameters: [mapKV, K, V],
          result: mapKV,
          call: ([map, key, value]) => insert(map as CelMap, key ?? null, value ?? null),
        },
        {
          id: "@mapInsert_map_map",
          parameters: [mapKV, mapKV],
          result: mapKV,
          call: ([map, other]) => insertAll(map as CelMap, other as CelMap),
        },
      ],
    },
  ],
};

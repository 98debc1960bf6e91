// The extension of optional values: `a.?b`, `a[?b]`, `[?x]`, `{?k: v}`, optional.of() and what can be done with one.

import type { CelExpr } from "../ast.ts";
import { CelError } from "../cel-error.ts";
import { goText } from "../go-text.ts";
import { type CelExprFactory, type CelLibrary, type CelMacro, CelMacroError, type CelOverload } from "../library.ts";
import { planned } from "../standard/logic.ts";
import { boolType, type CelType, dynType, intType, listOf, mapOf, optionalOf, stringType, typeParameter } from "../types.ts";
import { CelArray, CelDuration, CelList, CelMap, CelOpaque, CelOptional, CelTimestamp, CelUint, type CelValue } from "../values.ts";

const [K, V] = [typeParameter("K"), typeParameter("V")];
const optionalV = optionalOf(V);

/** Empty, 0, false, null: what ofNonZeroValue() takes as nothing. */
function isZeroValue(value: CelValue): boolean {
  if (value === null || value === false || value === "" || value === 0 || value === 0n) return true;
  if (typeof value !== "object") return false;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelList || value instanceof CelMap) return value.size === 0;
  if (value instanceof Uint8Array) return value.length === 0;
  if (value instanceof CelDuration) return value.nanoseconds === 0n;
  if (value instanceof CelTimestamp) return value.nanoseconds === -62_135_596_800n * 1_000_000_000n;
  if (value instanceof CelOptional) return value.value === undefined || isZeroValue(value.value);
  return value instanceof CelOpaque && (value.isZero?.() ?? false);
}

function dereference(value: CelValue | undefined): CelValue {
  const inner = value instanceof CelOptional ? value.value : undefined;
  if (inner === undefined) throw new CelError("optional.none() dereference");
  return inner;
}

function unwrap(list: CelList): CelList {
  const values: CelValue[] = [];
  for (const item of list) {
    if (!(item instanceof CelOptional)) throw new CelError(`value ${goText(item)} is not optional`);
    if (item.value !== undefined) values.push(item.value);
  }
  return new CelArray(values);
}

const declared = (id: string, parameters: readonly CelType[], result: CelType, member = false): CelOverload => ({
  id,
  member,
  parameters,
  result,
  call: planned,
});

const member = (id: string, parameter: CelType, result: CelType, of: (value: CelValue) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [parameter],
  result,
  call: ([value]) => of(value ?? null),
});

const at = (list: CelList, index: number): CelOptional => (list.size === 0 ? CelOptional.none : CelOptional.of(list.at(index)));

/** target.optMap(x, f(x)): target.hasValue() ? wrap(f(target.value())) : optional.none(). */
function mapping(name: string, wrap: (make: CelExprFactory, result: CelExpr) => CelExpr): CelMacro {
  return {
    name,
    member: true,
    arguments: 2,
    expand({ target, args: [variable, result] }, make) {
      if (!target || !result) return undefined;
      if (variable?.kind !== "ident") throw new CelMacroError(`${name}() variable name must be a simple identifier`, variable);
      const bound = make.comprehension({
        range: make.list([]),
        variable: "#unused",
        accumulator: variable.name,
        init: make.memberCall("value", make.copy(target), []),
        condition: make.literal(false),
        step: make.ident(variable.name),
        result,
      });
      return make.call("_?_:_", [make.memberCall("hasValue", target, []), wrap(make, bound), make.call("optional.none", [])]);
    },
  };
}

export const optionals: CelLibrary = {
  name: "cel.lib.optional",
  optionalSyntax: true,
  macros: [mapping("optMap", (make, result) => make.call("optional.of", [result])), mapping("optFlatMap", (_, result) => result)],
  functions: [
    {
      name: "optional.of",
      overloads: [{ id: "optional_of", parameters: [V], result: optionalV, call: ([value]) => CelOptional.of(value ?? null) }],
    },
    {
      name: "optional.ofNonZeroValue",
      overloads: [
        {
          id: "optional_ofNonZeroValue",
          parameters: [V],
          result: optionalV,
          call: ([value]) => (isZeroValue(value ?? null) ? CelOptional.none : CelOptional.of(value ?? null)),
        },
      ],
    },
    { name: "optional.none", overloads: [{ id: "optional_none", parameters: [], result: optionalV, call: () => CelOptional.none }] },
    { name: "value", overloads: [member("optional_value", optionalV, V, dereference)] },
    {
      name: "hasValue",
      overloads: [member("optional_hasValue", optionalV, boolType, (value) => (value as CelOptional).value !== undefined)],
    },
    { name: "or", overloads: [declared("optional_or_optional", [optionalV, optionalV], optionalV, true)] },
    { name: "orValue", overloads: [declared("optional_orValue_value", [optionalV, V], V, true)] },
    { name: "_?._", overloads: [declared("select_optional_field", [dynType, stringType], optionalV)] },
    {
      name: "_[?_]",
      overloads: [
        declared("list_optindex_optional_int", [listOf(V), intType], optionalV),
        declared("optional_list_optindex_optional_int", [optionalOf(listOf(V)), intType], optionalV),
        declared("map_optindex_optional_value", [mapOf(K, V), K], optionalV),
        declared("optional_map_optindex_optional_value", [optionalOf(mapOf(K, V)), K], optionalV),
      ],
    },
    {
      name: "_[_]",
      overloads: [
        declared("optional_list_index_int", [optionalOf(listOf(V)), intType], optionalV),
        declared("optional_map_index_value", [optionalOf(mapOf(K, V)), K], optionalV),
      ],
    },
    { name: "first", overloads: [member("list_first", listOf(V), optionalV, (list) => at(list as CelList, 0))] },
    { name: "last", overloads: [member("list_last", listOf(V), optionalV, (list) => at(list as CelList, (list as CelList).size - 1))] },
    {
      name: "optional.unwrap",
      overloads: [{ id: "optional_unwrap", parameters: [listOf(optionalV)], result: listOf(V), call: ([list]) => unwrap(list as CelList) }],
    },
    { name: "unwrapOpt", overloads: [member("optional_unwrapOpt", listOf(optionalV), listOf(V), (list) => unwrap(list as CelList))] },
  ],
};

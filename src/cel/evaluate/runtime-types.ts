// Whether a value is of a type, as far as calls need to know: its kind, and of a list or map the kind of its first element.

import type { CelType } from "../types.ts";
import { stringType } from "../types.ts";
import { CelDuration, CelList, CelMap, CelOptional, CelTimestamp, CelTypeValue, CelUint, type CelValue, celTypeName } from "../values.ts";

type Test = (value: CelValue) => boolean;

/** undefined: any value is. */
function testOfType(type: CelType): Test | undefined {
  switch (type.kind) {
    case "dyn":
    case "error":
    case "parameter":
      return undefined;
    case "bool":
      return (value) => typeof value === "boolean";
    case "int":
      return (value) => typeof value === "bigint";
    case "double":
      return (value) => typeof value === "number";
    case "string":
      return (value) => typeof value === "string";
    case "null":
      return (value) => value === null;
    case "uint":
      return (value) => value instanceof CelUint;
    case "bytes":
      return (value) => value instanceof Uint8Array;
    case "timestamp":
      return (value) => value instanceof CelTimestamp;
    case "duration":
      return (value) => value instanceof CelDuration;
    case "optional":
      return (value) => value instanceof CelOptional;
    case "type":
      return (value) => value instanceof CelTypeValue;
    case "list":
      return listTest(testOfType(type.items));
    case "map":
      return mapTest(testOfType(type.keys ?? stringType), testOfType(type.values));
    case "wrapper": {
      const test = testOfType(type.of);
      return test && ((value) => value === null || test(value));
    }
    case "object":
    case "opaque": {
      const { name } = type;
      return (value) => typeof value === "object" && value !== null && celTypeName(value) === name;
    }
  }
}

const listTest =
  (items: Test | undefined): Test =>
  (value) =>
    value instanceof CelList && (!items || value.size === 0 || items(value.at(0)));

const mapTest =
  (keys: Test | undefined, values: Test | undefined): Test =>
  (value) => {
    if (!(value instanceof CelMap)) return false;
    if (!keys && !values) return true;
    for (const key of value.keys()) {
      const first = value.find(key);
      return (!keys || keys(key)) && (!values || first === undefined || values(first));
    }
    return true;
  };

/** Whether values are of the types of an overload's parameters; undefined where any are. */
export function testOfParameters(parameters: readonly CelType[]): ((args: readonly CelValue[]) => boolean) | undefined {
  const tests = parameters.map(testOfType);
  const [first, second] = tests;
  if (tests.every((test) => test === undefined)) return undefined;
  if (tests.length === 1 && first) return (args) => first(args[0] as CelValue);
  if (tests.length === 2 && first && second) return (args) => first(args[0] as CelValue) && second(args[1] as CelValue);
  return (args) => tests.every((test, index) => test === undefined || test(args[index] as CelValue));
}

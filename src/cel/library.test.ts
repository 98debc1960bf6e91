// How a library of a component looks: values of its own, functions on them, constants, macros, checks.
import { describe, expect, test } from "vitest";
import { CelError, createCelEnvironment } from "./cel.ts";
import type { CelLibrary } from "./library.ts";
import { boolType, type CelType, dynType, intType, listOf, stringType, typeParameter } from "./types.ts";
import { CelArray, type CelList, CelOpaque, type CelValue } from "./values.ts";

const meters: CelType = { kind: "opaque", name: "test.Meters" };

class Meters extends CelOpaque {
  readonly typeName = "test.Meters";
  readonly count: bigint;
  constructor(count: bigint) {
    super();
    this.count = count;
  }
  equals(other: CelValue): boolean {
    return other instanceof Meters && other.count === this.count;
  }
  toJson(): unknown {
    return `${this.count}m`;
  }
  override isZero(): boolean {
    return this.count === 0n;
  }
}

const library: CelLibrary = {
  name: "test",
  constants: [{ name: "test.one", type: meters, value: new Meters(1n) }],
  functions: [
    {
      name: "meters",
      overloads: [
        { id: "int_to_meters", parameters: [intType], result: meters, call: ([count]) => new Meters(count as bigint), cost: () => 7 },
        {
          id: "string_to_meters",
          parameters: [stringType],
          result: meters,
          call([text]) {
            if (!/^\d+m$/.test(text as string)) throw new CelError(`no length: ${text}`);
            return new Meters(BigInt((text as string).slice(0, -1)));
          },
          cost: ([text]) => (text as string).length,
          estimate: ({ args: [text] }) => text && { cost: text.size },
        },
      ],
    },
    {
      name: "isLonger",
      overloads: [
        {
          id: "meters_is_longer",
          member: true,
          parameters: [meters, meters],
          result: boolType,
          call: ([a, b]) => (a as Meters).count > (b as Meters).count,
        },
      ],
    },
    {
      name: "test.pair",
      overloads: [
        {
          id: "pair",
          parameters: [typeParameter("A"), typeParameter("A")],
          result: listOf(typeParameter("A")),
          call: (items) => new CelArray(items),
        },
      ],
    },
  ],
  macros: [
    {
      name: "twice",
      member: false,
      arguments: 1,
      expand: ({ args: [arg] }, make) => arg && make.call("_+_", [arg, make.copy(arg)]),
    },
  ],
  validators: [
    {
      name: "no thirteen",
      validate: ({ expr }) => (expr.kind === "literal" && expr.value === 13n ? [{ message: "13 is not allowed", at: expr }] : []),
    },
  ],
};

const environment = createCelEnvironment({ libraries: [library], variables: { x: dynType, m: meters } });
const run = (expression: string, given: Record<string, unknown> = {}) => {
  const { program, message } = environment.compile(expression);
  if (!program) throw new Error(message);
  return program.evaluate(given);
};

describe("a library", () => {
  test("has values of its own, which are equal as they say", () => {
    expect(run("meters(1) == test.one && meters('2m') != test.one && [meters(1)] == [test.one]").value).toBe(true);
    expect(run("m.isLonger(test.one)", { m: new Meters(2n) }).value).toBe(true);
    expect(run("type(m) == type(test.one)", { m: new Meters(2n) }).value).toBe(true);
  });

  test("chooses among overloads by the types of values, where they are not known before", () => {
    expect(run("meters(x) == test.one", { x: 1 }).value).toBe(true);
    expect(run("meters(x) == test.one", { x: "1m" }).value).toBe(true);
    expect(() => run("meters(x)", { x: 1.5 })).toThrowError("no such overload: meters(double)");
    expect(() => run("x.isLonger(m)", { x: 1, m: new Meters(1n) })).toThrowError("no such overload: isLonger(int, test.Meters)");
  });

  test("charges what it says", () => {
    expect(run("meters(1)").cost).toBe(7);
    expect(run("meters('12345m')").cost).toBe(6);
    expect(run("meters(x)", { x: "12m" }).cost).toBe(4);
    expect(environment.compile("meters('12345m')").program?.cost).toEqual({ min: 6, max: 6 });
  });

  test("has errors of its own, which are set aside as others are", () => {
    expect(() => run("meters('long')")).toThrowError("no length: long");
    expect(run("meters('long') == m || true").value).toBe(true);
  });

  test("binds type parameters", () => {
    const { value } = run("test.pair(1, 2)");
    expect([...(value as CelList)]).toEqual([1n, 2n]);
    expect(environment.compile("test.pair(1, 2)[0] + 'a'").message).toContain(
      "found no matching overload for '_+_' applied to '(int, string)'",
    );
    expect(environment.compile("test.pair(1, 'a')").message).toContain(
      "found no matching overload for 'test.pair' applied to '(int, string)'",
    );
  });

  test("replaces calls by macros, and checks what is written", () => {
    expect(run("twice('a' + 'b')").value).toBe("abab");
    expect(environment.compile("13").message).toBe("ERROR: <input>:1:1: 13 is not allowed\n | 13\n | ^");
  });

  test("gets only values of the types it declared", () => {
    expect(environment.compile("meters(1.5)").message).toContain("found no matching overload for 'meters' applied to '(double)'");
    expect(() => run("m.isLonger(test.one)", { m: { count: 1 } })).toThrowError("invalid data, expected test.Meters, got map");
  });

  test("replaces overloads of an earlier one by their ids", () => {
    const other: CelLibrary = {
      name: "other",
      functions: [
        { name: "meters", overloads: [{ id: "int_to_meters", parameters: [intType], result: meters, call: () => new Meters(9n) }] },
      ],
    };
    const { program } = environment.extend({ libraries: [other] }).compile("meters(1) == meters('9m')");
    expect(program?.evaluate({}).value).toBe(true);
  });
});

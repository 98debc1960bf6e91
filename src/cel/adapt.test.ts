import { describe, expect, test } from "vitest";
import { adaptJson, decodeBase64, encodeBase64 } from "./adapt.ts";
import { createCelEnvironment } from "./cel.ts";
import { celToJson } from "./json.ts";
import {
  bytesType,
  type CelType,
  celObjectType,
  doubleType,
  durationType,
  dynType,
  intType,
  listOf,
  mapOf,
  stringType,
  timestampType,
  uintType,
} from "./types.ts";
import { CelArray, CelList, celTypeName } from "./values.ts";

const evaluate = (expression: string, type: CelType, x: unknown) => {
  const { program, message } = createCelEnvironment({ variables: { x: type } }).compile(expression);
  if (!program) throw new Error(message);
  return program.evaluate({ x }).value;
};

describe("JSON of a declared type", () => {
  test.each([
    ["x == 5", intType, 5],
    ["x == 9007199254740993", intType, 9007199254740993n],
    ["x == 5.0", doubleType, 5],
    ["x == 5u", uintType, 5],
    ["x == b'\\xff'", bytesType, "/w=="],
    ["x.getFullYear() == 2024", timestampType, "2024-01-02T03:04:05Z"],
    ["x == timestamp('2024-01-02T00:00:00Z')", timestampType, "2024-01-02"],
    ["x.getMinutes() == 90", durationType, "1h30m"],
    ["x[1] == 'b' && x.size() == 2", listOf(stringType), ["a", "b"]],
    ["x['a'][0] == 1", mapOf(stringType, listOf(intType)), { a: [1] }],
    ["x.a == 1 && x.b == 1.5 && x.c == null && x.d[0].e == 'f'", dynType, { a: 1, b: 1.5, c: null, d: [{ e: "f" }] }],
    ["x.all(k, k == 'a')", dynType, { a: 1 }],
    ["x == {'a': [1]}", dynType, { a: [1] }],
    ["type(x) == int", dynType, 3],
  ] as const)("%s", (expression, type, value) => {
    expect(evaluate(expression, type, value)).toBe(true);
  });

  test.each([
    ["x == 5", intType, "5", "invalid data, expected int, got string"],
    ["x == 5", intType, 1.5, "invalid data, expected int, got float64"],
    ["x == 'a'", stringType, 1, "invalid data, expected string, got int64"],
    ["x.size() == 1", listOf(intType), {}, "invalid data, expected list, got map"],
    ["x.getDate() == 1", timestampType, "yesterday", "Invalid date-time formatted string yesterday"],
    ["x.getHours() == 1", durationType, "long", "Invalid duration long"],
    ["x.size() == 1", bytesType, "!", "Invalid byte formatted string !"],
  ] as const)("%s of what is none", (expression, type, value, message) => {
    expect(() => evaluate(expression, type, value)).toThrowError(message);
  });

  test("objects have the declared fields that are set", () => {
    const type: CelType = celObjectType(
      "Thing",
      () =>
        new Map([
          ["name", { type: stringType }],
          ["__namespace__", { type: stringType, property: "namespace" }],
          ["next", { type }],
        ]),
    );
    const thing = { name: "a", namespace: "b", next: { name: "c" }, unknown: 1 };
    expect(evaluate("x.name == 'a' && x.__namespace__ == 'b' && x.next.name == 'c' && !has(x.next.next)", type, thing)).toBe(true);
    expect(evaluate("x.next == x.next && x != x.next && type(x) == type(x.next)", type, thing)).toBe(true);
    expect(() => evaluate("x.next.next.name", type, thing)).toThrowError("no such key: next");
    expect(() => evaluate("x.name", type, Object.create({ name: "inherited" }))).toThrowError("no such key: name");
  });

  test("is never copied, and not looked at where it is not read", () => {
    const value = {
      get broken(): never {
        throw new Error("read");
      },
      list: [1],
    };
    expect(evaluate("x.list[0] == 1", dynType, value)).toBe(true);
    const list = [{ a: 1 }];
    expect(celToJson(evaluate("x", dynType, list))).toBe(list);
  });

  test("types can say themselves what their JSON is", () => {
    class SetList extends CelArray {
      override equals(other: unknown): boolean {
        return other instanceof CelList && other.size === this.size && [...other].every((item) => this.items.includes(item));
      }
    }
    const set: CelType = {
      ...listOf(stringType),
      adapt: (json) => new SetList((json as unknown[]).map((item) => adaptJson(item, stringType))),
    };
    expect(evaluate("x == ['b', 'a'] && x + ['c'] == ['a', 'b', 'c']", set, ["a", "b"])).toBe(true);
  });
});

test("base64 is read and written", () => {
  for (const text of ["", "a", "ab", "abc", "abcd"]) {
    const bytes = new TextEncoder().encode(text);
    expect(encodeBase64(bytes)).toBe(Buffer.from(text).toString("base64"));
    expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes);
  }
  expect(decodeBase64("a")).toBeUndefined();
});

test("values of JSON are named by their types", () => {
  expect([1, 1.5, "a", true, null, [], {}].map((json) => celTypeName(adaptJson(json, dynType)))).toEqual([
    "int",
    "double",
    "string",
    "bool",
    "null_type",
    "list",
    "map",
  ]);
});

test("a large map's keys are counted once, however many rules ask for its size", () => {
  const json = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, ""]));
  const startMs = performance.now();
  // Counted each time this takes half a minute.
  for (let i = 0; i < 1000; i++) expect((adaptJson(json, mapOf(stringType, stringType)) as { size: number }).size).toBe(100_000);
  expect(performance.now() - startMs).toBeLessThan(3000);
});

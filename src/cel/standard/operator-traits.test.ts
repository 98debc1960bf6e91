// What operators say of values that they do not take.
import { expect, test } from "vitest";
import { CelDuration, type CelValue } from "../values.ts";
import { operatorMismatch } from "./operator-traits.ts";

const named = (name: string): string => `no such overload: ${name}`;
const plain = "no such overload";

test.each<readonly [string, CelValue, string]>([
  ["_+_", true, named("_+_")],
  ["_+_", null, named("_+_")],
  ["_+_", new Uint8Array(), plain],
  ["_+_", 1n, plain],
  ["_-_", "a", plain],
  ["_*_", new CelDuration(1n), plain],
  ["_%_", 1.5, named("_%_")],
  ["_<_", true, plain],
  ["_<_", null, named("_<_")],
  ["-_", true, plain],
  ["-_", new Uint8Array(), named("-_")],
])("%s (%#)", (name, value, text) => {
  expect(operatorMismatch(name)([value, 1n])).toBe(text);
});

import { expect, it } from "vitest";
import { compileJsonPath } from "./json-path.ts";

const object = {
  spec: { replicas: 3, "a.b": 1, list: [{ n: 1 }, { n: 2 }, { n: 3 }], names: ["x", "y"] },
  status: {
    conditions: [
      { type: "Ready", status: "True", age: 4 },
      { type: "Done", status: "False" },
    ],
  },
};

it.each<readonly [string, readonly unknown[]]>([
  [".spec.replicas", [3]],
  ["{.spec.replicas}", [3]],
  ["spec.replicas", [3]],
  ["$.spec.replicas", [3]],
  [".spec['a.b']", [1]],
  [".spec.a\\.b", [1]],
  [".spec['replicas','a.b']", [3, 1]],
  [".spec.list[0].n", [1]],
  [".spec.list[-1].n", [3]],
  [".spec.list[0,2].n", [1, 3]],
  [".spec.list[1:].n", [2, 3]],
  [".spec.list[:-1].n", [1, 2]],
  [".spec.list[::2].n", [1, 3]],
  [".spec.list[*].n", [1, 2, 3]],
  [".spec.names.*", ["x", "y"]],
  ["..n", [1, 2, 3]],
  ['.status.conditions[?(@.type=="Ready")].status', ["True"]],
  [".status.conditions[?(@.type == 'Done')].status", ["False"]],
  [".status.conditions[?(@.type!='Done')].status", ["True"]],
  [".status.conditions[?(@.age)].type", ["Ready"]],
  [".status.conditions[?(@.age>3)].type", ["Ready"]],
  [".spec.list[?(@.n<=2)].n", [1, 2]],
  ['.spec.list[?(@.n=="2")].n', []],
  [".spec.nothing.here", []],
  [".spec.list.n", []],
  [".spec.list[0", []],
  [".spec.list[?(@.n]", []],
  [".spec..", []],
])("%s", (path, expected) => {
  expect(compileJsonPath(path)(object)).toEqual(expected);
});

it("finds no more than it has to of what has no end", () => {
  const deep = Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => [1, 2]));
  expect(compileJsonPath("..*")({ deep }).length).toBeLessThanOrEqual(10_000);
});

import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { customTable } from "./custom-table.ts";

const columns = [
  { name: "A", type: "string", jsonPath: ".spec.a" },
  { name: "N", type: "integer", jsonPath: ".spec.n" },
  { name: "D", type: "date", jsonPath: ".spec.d" },
];
const cellsOf = (spec: object): readonly unknown[] => {
  const object = { apiVersion: "example.com/v1", kind: "Foo", metadata: { name: "x" }, spec } as unknown as KubernetesObject;
  return customTable(columns).cells(object, Date.parse("2020-01-01T00:01:00Z"));
};

describe("customTable()", () => {
  it.each([
    [{ a: "b", n: 2.7, d: "2020-01-01T00:00:00Z" }, ["x", "b", 2, "60s"]],
    [{ a: { b: 1 }, n: "2", d: "soon" }, ["x", '{"b":1}', null, "<invalid>"]],
    [{ a: null, n: null, d: "" }, ["x", "<no value>", null, "<unknown>"]],
    [{}, ["x", null, null, null]],
  ])("shows %j", (spec, cells) => {
    expect(cellsOf(spec)).toEqual(cells);
  });

  it("has nothing to show of a bookmark", () => {
    expect(customTable(columns).emptyCells).toEqual(["", null, null, null]);
    expect(customTable(undefined).emptyCells).toEqual(["", null]);
  });
});

it("thousands of columns share what one object may take", () => {
  const asking = (jsonPath: string, count: number) =>
    customTable(Array.from({ length: count }, () => ({ name: "A", type: "string", jsonPath })));
  const spec = { text: "x".repeat(1_000_000), list: Array.from({ length: 200_000 }, (_, i) => ({ i })) };
  const object = { apiVersion: "example.com/v1", kind: "Foo", metadata: { name: "x" }, spec } as unknown as KubernetesObject;
  const texts = asking(".spec.text", 1000).cells(object, 0);
  expect([texts.length, texts[1], texts.at(-1)]).toEqual([1001, spec.text, null]);
  const filters = asking(".spec.list[?(@.i==199999)].i", 1000).cells(object, 0);
  expect([filters.length, filters[1], filters.at(-1)]).toEqual([1001, "199999", null]);
  expect(asking(`.spec${"..*".repeat(10_000)}`, 2).cells(object, 0)).toHaveLength(3);
});

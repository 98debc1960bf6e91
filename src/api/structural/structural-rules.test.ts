import { describe, expect, it } from "vitest";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { validateStructural } from "./structural-rules.ts";

const problems = (schema: JSONSchemaProps): readonly string[] => validateStructural(schema, "s").map((error) => error.message);
const object = (more: JSONSchemaProps): JSONSchemaProps => ({ type: "object", properties: { a: { type: "object" } }, ...more });

describe("validateStructural()", () => {
  it("refuses any default within a combination, an empty one too", () => {
    for (const value of [{}, 1, false, "x"])
      expect(problems(object({ anyOf: [{ default: value }] }))).toEqual([
        "s.anyOf[0].default: Forbidden: must be undefined to be structural",
      ]);
    expect(problems(object({ not: { properties: { a: { default: {} } } } }))).toEqual([
      "s.not.properties[a].default: Forbidden: must be undefined to be structural",
    ]);
    expect(problems(object({ allOf: [{ required: ["a"] }] }))).toEqual([]);
  });
});

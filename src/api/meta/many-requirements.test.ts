import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manyFields, manyLabels } from "./many-requirements.ts";
import type { LabelRequirement } from "./selector-parser.ts";
import { compileFields, compileLabels, type FieldRequirement, parseLabelSelector } from "./selectors.ts";

const key = fc.constantFrom("a", "b", "c");
const value = fc.constantFrom("", "1", "2", "3", "x");
const requirement: fc.Arbitrary<LabelRequirement> = fc.oneof(
  fc.record({ key, operator: fc.constantFrom("in" as const, "notin" as const), values: fc.array(value, { minLength: 1, maxLength: 3 }) }),
  fc.record({
    key,
    operator: fc.constantFrom("=" as const, "==" as const, "!=" as const, "gt" as const, "lt" as const),
    values: fc.tuple(value),
  }),
  fc.record({ key, operator: fc.constantFrom("exists" as const, "!" as const), values: fc.constant([]) }),
);
const field: fc.Arbitrary<FieldRequirement> = fc.record({ field: key, operator: fc.constantFrom("=" as const, "!=" as const), value });

describe("manyLabels()", () => {
  it("selects what the terms select one by one", () => {
    fc.assert(
      fc.property(fc.array(requirement, { maxLength: 5 }), fc.dictionary(key, value), (requirements, labels) => {
        expect(manyLabels(requirements)(labels)).toBe(requirements.every((each) => compileLabels([each]).matches(labels)));
      }),
      { numRuns: 2000 },
    );
  });

  it("asks as much of an object as it has labels, not as the selector has terms", () => {
    const { matches } = parseLabelSelector(Array.from({ length: 20_000 }, (_, i) => `!k${i}`).join(","));
    const startMs = performance.now();
    // One by one these are 200 million look-ups.
    for (let i = 0; i < 10_000; i++) expect(matches({ app: "web" })).toBe(true);
    expect(performance.now() - startMs).toBeLessThan(5000);
    expect(matches({ k19999: "" })).toBe(false);
  });
});

describe("manyFields()", () => {
  it("selects what the terms select one by one", () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), fc.dictionary(key, value), (requirements, fields) => {
        const fieldOf = (name: string): string | undefined => fields[name];
        expect(manyFields(requirements)(fieldOf)).toBe(requirements.every((each) => compileFields([each]).matches(fieldOf)));
      }),
      { numRuns: 2000 },
    );
  });
});

import { describe, expect, it } from "vitest";
import { addWarning, warningHeaders } from "./warnings.ts";

describe("addWarning()", () => {
  it("notes each text once", () => {
    const warnings: string[] = [];
    for (const text of ["a", "b", "a"]) addWarning(warnings, text);
    expect(warnings).toEqual(["a", "b"]);
  });

  it("drops what an answer could not tell, and says the same as without that", () => {
    const texts = Array.from({ length: 100_000 }, (_, i) => `unknown field "f${i}"`);
    const warnings: string[] = [];
    const beganMs = performance.now();
    for (const text of texts) addWarning(warnings, text);
    expect(performance.now() - beganMs).toBeLessThan(1000);
    expect(warningHeaders(warnings)).toEqual(warningHeaders(texts));
  });
});

import { describe, expect, it } from "vitest";
import { unifiedDiff } from "./unified-diff.ts";

const lines = (count: number, text = (i: number): string => `line ${i}`): string[] => Array.from({ length: count }, (_, i) => text(i));

describe("unifiedDiff()", () => {
  it("is empty for equal texts", () => {
    expect(unifiedDiff("a\nb", "a\nb")).toBe("");
  });

  it("shows a change with three lines of context", () => {
    const before = lines(20);
    const after = before.with(10, "other");
    expect(unifiedDiff(before.join("\n"), after.join("\n"))).toBe(
      "@@ -8,7 +8,7 @@\n line 7\n line 8\n line 9\n-line 10\n+other\n line 11\n line 12\n line 13\n",
    );
  });

  it("joins changes that are close, and parts those that are not", () => {
    const before = lines(40);
    const near = before.with(5, "x").with(11, "y");
    const far = before.with(5, "x").with(30, "y");
    expect(unifiedDiff(before.join("\n"), near.join("\n")).match(/^@@/gm)).toHaveLength(1);
    expect(unifiedDiff(before.join("\n"), far.join("\n")).match(/^@@.*/gm)).toEqual(["@@ -3,7 +3,7 @@", "@@ -28,7 +28,7 @@"]);
  });

  it("writes one line without its number of lines", () => {
    expect(unifiedDiff("a", "b")).toBe("@@ -1 +1 @@\n-a\n+b\n");
  });

  it("does not start a match at lines that are everywhere in a long text", () => {
    // With so many equal lines only the rare ones tell where the texts belong together.
    const before = ["first", ...lines(150, (i) => (i % 2 === 0 ? "null" : `field ${i}`)), ...lines(100, () => "null"), "last"];
    const after = before.toSpliced(60, 0, "null", "new");
    const difference = unifiedDiff(before.join("\n"), after.join("\n"));
    expect(difference.match(/^\+.*/gm)).toEqual(["+null", "+new"]);
    expect(difference.match(/^-.*/gm)).toBeNull();
  });
});

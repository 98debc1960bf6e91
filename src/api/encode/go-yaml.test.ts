import { describe, expect, it } from "vitest";
import { writeGoYaml } from "./go-yaml.ts";

describe("writeGoYaml()", () => {
  it("writes maps in natural order, and lists at the column of their key", () => {
    const value = { spec: { b10: 1, b9: { x: [] }, list: [{ a: 1, b: [true, null] }, ["x", "y"]] }, metadata: {}, "-": 1.5, B: 1e21 };
    expect(writeGoYaml(value)).toBe(
      `'-': 1.5
B: 1e+21
metadata: {}
spec:
  b9:
    x: []
  b10: 1
  list:
  - a: 1
    b:
    - true
    - null
  - - x
    - "y"
`,
    );
  });

  it.each([
    ["web", "web"],
    ["", '""'],
    ["yes", '"yes"'],
    ["012", '"012"'],
    ["1.5", '"1.5"'],
    ["12:30:45", '"12:30:45"'],
    ["2026-11-30T03:08:11Z", '"2026-11-30T03:08:11Z"'],
    ["2026-02-30", "2026-02-30"],
    ["busybox:1", "busybox:1"],
    ["a: b", "'a: b'"],
    ["*", "'*'"],
    ["it's #1", "'it''s #1'"],
    ["<<", "<<"],
    ["a\tb", '"a\\tb"'],
    ["\u00e9\u{1f600}", '"\u00e9\\U0001F600"'],
    [" padded ", "' padded '"],
  ])("writes %j as %s", (text, yaml) => {
    expect(writeGoYaml({ a: text })).toBe(`a: ${yaml}\n`);
  });

  it("writes texts of several lines as blocks, but for those that end a line with a space", () => {
    expect(writeGoYaml({ a: "x\n\n  y\n", b: ["p\nq", " r\n\n"], c: "s \nt" })).toBe(
      'a: |\n  x\n\n    y\nb:\n- |-\n  p\n  q\n- |2+\n   r\n\nc: "s \\nt"\n',
    );
  });

  it("breaks long lines at the first single space beyond column 80", () => {
    const words = `${"word ".repeat(15)}beyond the  end of it`;
    const folded = (quote: string): string => `a: ${quote}${"word ".repeat(15)}beyond\n  the  end of it${quote}\n`;
    expect(writeGoYaml({ a: words })).toBe(folded(""));
    expect(writeGoYaml({ a: `*${words.slice(1)}` })).toBe(folded("'").replace("'word", "'*ord"));
    expect(writeGoYaml({ a: "x".repeat(200) })).toBe(`a: ${"x".repeat(200)}\n`);
  });

  it("marks keys over 128 bytes", () => {
    const key = "k".repeat(129);
    expect(writeGoYaml({ [key]: { a: 1, b: 2 } })).toBe(`? ${key}\n: a: 1\n  b: 2\n`);
  });
});

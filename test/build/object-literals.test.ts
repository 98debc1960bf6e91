import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
// @ts-expect-error: the build's own scripts have no types
import { withSharedClasses } from "../../scripts/object-literals.mjs";

const rewrite = withSharedClasses as (source: string) => string;

/** What a program prints as JSON after it was rewritten. */
function evaluated(source: string): unknown {
  // The rewriting reads TypeScript, which knows nothing of V8's own words.
  const written = rewrite(source.replace("%HaveSameMap", "HaveSameMap")).replace("!HaveSameMap", "!%HaveSameMap");
  return JSON.parse(execFileSync(process.execPath, ["--allow-natives-syntax", "-e", written], { encoding: "utf8" }));
}

describe("withSharedClasses()", () => {
  it.each([
    ["f({ ...a, b })", "f({ ...{}, ...a, b })"],
    ["f({ ...a })", "f({ ...a })"],
    ["f({ b, ...a })", "f({ b, ...a })"],
    ["f({ ...{ a, b: 1 }, c })", "f({  a, b: 1, c })"],
    ["f({ x, ...{ ...a, b } })", "f({ x,  ...{}, ...a, b })"],
    ["f({ ...(a ? { b } : {}), c: { ...d, e } })", "f({ ...{}, ...(a ? { b } : {}), c: { ...{}, ...d, e } })"],
    ["const a = { ...b };", "const a = { ...{}, ...b };"],
    ["let a: Labels = { ...b };", "let a: Labels = { ...{}, ...b };"],
    ["a ??= { ...b }", "a ??= { ...{}, ...b }"],
    ["a = b ? [...b] : ({ ...c })", "a = b ? [...b] : ({ ...{}, ...c })"],
    ["a = f({ ...b })", "a = f({ ...b })"],
    ["const { a, ...rest } = b; f(...c, [...d, e])", "const { a, ...rest } = b; f(...c, [...d, e])"],
  ])("%s", (source, written) => {
    expect(rewrite(source)).toBe(written);
  });

  it("takes the comma that ends a literal with it", () => {
    expect(rewrite("f({\n  ...{\n    a,\n    b,\n  },\n  c,\n})")).toBe("f({\n  \n    a,\n    b,\n  c,\n})");
  });

  it("lets copies share a hidden class after something was added to them", () => {
    const source = `
      const labelled = (i) => { const labels = { ...JSON.parse('{"app":"a"}') }; labels.zone = i; return labels; };
      const objects = Array.from({ length: 3000 }, (_, i) => labelled(i));
      let classes = 0;
      for (let i = 2001; i < objects.length; i++) if (!%HaveSameMap(objects[i], objects[i - 1])) classes++;
      console.log(JSON.stringify([labelled(7), classes]));`;
    expect(evaluated(source)).toEqual([{ app: "a", zone: 7 }, 0]);
  });

  it("means the same, and all objects of a literal share a hidden class", () => {
    const source = `
      const made = (i) => ({ ...{ a: i, b: 2 }, ...(i % 2 === 0 ? { c: 3 } : { c: 4 }), d: { ...{ e: i }, f: { ...JSON.parse('{"g":1}'), h: i } } });
      const objects = Array.from({ length: 3000 }, (_, i) => made(i).d.f);
      let classes = 0;
      for (let i = 2001; i < objects.length; i++) if (!%HaveSameMap(objects[i], objects[i - 1])) classes++;
      console.log(JSON.stringify([made(7), classes]));`;
    expect(evaluated(source)).toEqual([{ a: 7, b: 2, c: 4, d: { e: 7, f: { g: 1, h: 7 } } }, 0]);
  });
});

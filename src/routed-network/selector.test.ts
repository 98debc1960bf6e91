import { describe, expect, it } from "vitest";
import { parseSelector } from "./selector.ts";

const labels = { zone: "west", rack: "r1", "node.example.com/ssd": "", "kubernetes.io/hostname": "vm-1" };

describe("parseSelector()", () => {
  it.each([
    ["", true],
    ["all()", true],
    ["!all()", false],
    ["global()", true],
    ["zone == 'west'", true],
    ['zone == "east"', false],
    ["zone != 'east'", true],
    ["absent != 'x'", true],
    ["absent == ''", false],
    ["has(node.example.com/ssd)", true],
    ["!has(absent)", true],
    ["rack in {'r1', \"r2\"}", true],
    ["rack in { }", false],
    ["rack not in {'r1'}", false],
    ["absent not in {'r1'}", true],
    ["kubernetes.io/hostname starts with 'vm-'", true],
    ["kubernetes.io/hostname ends with '-2'", false],
    ["kubernetes.io/hostname contains 'm-'", true],
    ["zone == 'east' || rack == 'r1' && has(zone)", true],
    ["(zone == 'east' || rack == 'r1') && !has(zone)", false],
    ["!(zone == 'east') && !!has(rack)", true],
    ["has(toString)", false],
  ])("%s is %s", (text, expected) => {
    expect(parseSelector(text)(labels)).toBe(expected);
  });

  it.each([
    ["zone", "expected ==, !=, in, not in, contains, starts with or ends with, not the end, at character 5"],
    ["zone = 'west'", 'unexpected "=" at character 6'],
    ["zone == west", 'expected a text in quotes, not "west", at character 9'],
    ["zone == 'west", "the text that begins at character 9 has no end"],
    ["all() all()", 'expected &&, || or the end, not "all", at character 7'],
    ["some()", 'expected all() or has(), not "some", at character 1'],
    ["(all()", "expected ), not the end, at character 7"],
    ["zone in {'a' 'b'}", 'expected }, not "b", at character 14'],
    [`${"!".repeat(40)}all()`, "a selector is at most 32 levels deep"],
    ["x".repeat(5000), "a selector has at most 4096 characters"],
  ])("refuses %s", (text, message) => {
    expect(() => parseSelector(text)).toThrow(message);
  });
});

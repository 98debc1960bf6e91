import { describe, expect, it } from "vitest";
import { envFileValue } from "./env-file.ts";

const text = ["# a comment", "", "  COLOR='red' # why not", "EMPTY= 'x'", "LINES='one", "  two'", "LAST='$HOME \\n'"].join("\n");

describe("envFileValue()", () => {
  it.each([
    ["COLOR", "red"],
    ["EMPTY", ""],
    ["LINES", "one\n  two"],
    ["LAST", "$HOME \\n"],
    ["NONE", ""],
  ])("%s is %j", (key, value) => expect(envFileValue(text, key)).toBe(value));

  it.each([
    ["COLOR", "at line 1: missing '='"],
    ["='x'", "at line 1: empty variable name"],
    ["A ='x'", "at line 1: whitespace before '=' is not allowed"],
    ["\nA=x", "at line 2: value must be enclosed in single quotes"],
    ["A='x' y", "at line 1: unexpected content after closing quote"],
    ["A='x\ny", "starting at line 1: unclosed single quote"],
  ])("refuses %j", (wrong, message) => expect(() => envFileValue(wrong, "A")).toThrow(`invalid environment variable format ${message}`));
});

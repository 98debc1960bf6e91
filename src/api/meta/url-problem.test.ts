import { describe, expect, it } from "vitest";
import { urlProblem } from "./url-problem.ts";

describe("urlProblem()", () => {
  it.each([
    "https://a",
    "https://a/b?c#d",
    "http://[::1]:80/x",
    "a",
    "",
    "mailto:x",
    "https://u:p@a",
    "https://a/%41",
    "https://%C3%A4",
    "*",
  ])("finds nothing wrong with %s", (url) => expect(urlProblem(url)).toBeUndefined());

  it.each([
    ["%", 'parse "%": invalid URL escape "%"'],
    ["https://a/50%", 'parse "https://a/50%": invalid URL escape "%"'],
    ["https://a/%zz", 'parse "https://a/%zz": invalid URL escape "%zz"'],
    ["https://[::1", "parse \"https://[::1\": missing ']' in host"],
    ["https://a:port", 'parse "https://a:port": invalid port ":port" after host'],
    ["https://a b", 'parse "https://a b": invalid character " " in host name'],
    ["https://%41", 'parse "https://%41": invalid URL escape "%41"'],
    ["https://u{@a", 'parse "https://u{@a": net/url: invalid userinfo'],
    [":", 'parse ":": missing protocol scheme'],
    ["1:2", 'parse "1:2": first path segment in URL cannot contain colon'],
    ["https://a#%z", 'parse "https://a#%z": invalid URL escape "%z"'],
    ["https://a\n", 'parse "https://a\\n": net/url: invalid control character in URL'],
  ])("says why %s is none", (url, problem) => expect(urlProblem(url)).toBe(problem));
});

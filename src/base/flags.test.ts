import { describe, expect, it } from "vitest";
import { boolean, describeFlags, durationMs, FlagError, flag, integer, list, oneOf, optionalText, parseFlags, text } from "./flags.ts";

const flags = {
  storage: flag(oneOf("memory", "lmdb"), "lmdb", "where objects are kept"),
  "secure-port": flag(integer({ min: 0, max: 65535 }), 6443, "port to serve on"),
  "data-dir": flag(text, "", "directory"),
  "token-file": flag(optionalText, undefined, "tokens"),
  plugins: flag(list, [], "plugins"),
  wait: flag(boolean, true, "wait"),
  timeout: flag(durationMs, 60_000, "limit"),
  v: flag(integer(), 0, "verbosity", "v"),
};
const parse = (...args: string[]) => parseFlags(flags, args);

describe("parseFlags()", () => {
  it("gives defaults for what is not said", () => {
    const { values, given, positional } = parse();
    expect(values).toEqual({
      storage: "lmdb",
      "secure-port": 6443,
      "data-dir": "",
      "token-file": undefined,
      plugins: [],
      wait: true,
      timeout: 60_000,
      v: 0,
    });
    expect([given.size, positional.length]).toEqual([0, 0]);
  });

  it("reads values after = and as the next argument, and shorthands", () => {
    const { values, given } = parse("--storage=memory", "--secure-port", "0", "-v", "4", "--data-dir=a=b");
    expect(values).toMatchObject({ storage: "memory", "secure-port": 0, v: 4, "data-dir": "a=b" });
    expect([...given]).toEqual(["storage", "secure-port", "v", "data-dir"]);
    expect(parse("-v2").values.v).toBe(2);
    expect(parse("-v=3").values.v).toBe(3);
  });

  it("reads switches, which never take the next argument", () => {
    expect(parse("--wait=false", "rest")).toMatchObject({ values: { wait: false }, positional: ["rest"] });
    expect(parse("--wait", "false")).toMatchObject({ values: { wait: true }, positional: ["false"] });
  });

  it("joins repeated lists and lets the last single value win", () => {
    expect(parse("--plugins=a,b", "--plugins", "c", "--data-dir=x", "--data-dir=y").values).toMatchObject({
      plugins: ["a", "b", "c"],
      "data-dir": "y",
    });
  });

  it("leaves everything after -- alone", () => {
    expect(parse("a", "--", "--storage=x", "-v").positional).toEqual(["a", "--storage=x", "-v"]);
  });

  it.each([
    [["--foo=1"], "unknown flag: --foo"],
    [["-x"], "unknown shorthand flag: 'x' in -x"],
    [["--data-dir"], "flag needs an argument: --data-dir"],
    [["--secure-port=70000"], 'invalid argument "70000" for --secure-port: expected a whole number from 0 to 65535'],
    [["--secure-port=1e3"], 'invalid argument "1e3" for --secure-port: expected a whole number from 0 to 65535'],
    [["--storage=disk"], 'invalid argument "disk" for --storage: expected "memory" or "lmdb"'],
    [["--wait=maybe"], 'invalid argument "maybe" for --wait: expected true or false'],
    [["--timeout=5"], 'invalid argument "5" for --timeout: expected a duration such as "30s" or "1h15m"'],
  ])("refuses %j", (args, message) => {
    expect(() => parse(...args)).toThrow(new FlagError(message));
  });

  it("stops at --help and lists the flags with their defaults", () => {
    expect(parse("--help", "--nonsense").help).toBe(true);
    const help = describeFlags(flags);
    expect(help).toContain("--secure-port int");
    expect(help).toContain("port to serve on (default 6443)");
    expect(help).toContain("-v, --v int");
    expect(help).toMatch(/--timeout duration +limit \(default 1m0s\)\n/);
    expect(help).toMatch(/--plugins strings +plugins\n/);
  });

  it("shows defaults that are maps as pairs, and those that are empty not at all", () => {
    const pairs = (value: object) => describeFlags({ pairs: flag({ placeholder: "", parse: () => value }, value, "pairs") });
    expect(pairs({ a: 1, b: true })).toMatch(/pairs \(default a=1,b=true\)$/);
    expect(pairs(new Map([["a", "1"]]))).toMatch(/pairs \(default a=1\)$/);
    expect([pairs({}), pairs(new Map())]).not.toContainEqual(expect.stringContaining("default"));
  });
});

import { describe, expect, it } from "vitest";
import {
  allParts,
  boolean,
  deprecated,
  deprecationWarnings,
  describeFlags,
  durationMs,
  FlagError,
  flag,
  flagsWithoutEffect,
  integer,
  list,
  oneOf,
  optionalText,
  orDefault,
  parseFlags,
  periodMs,
  refuse,
  text,
} from "./flags.ts";

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

describe("allParts()", () => {
  it("gives what all parts make", () => {
    expect(allParts({ a: () => 1, b: () => "x" })).toEqual({ a: 1, b: "x" });
  });

  it("throws the problems of all parts at once, in their order", () => {
    const parts = {
      first: () => refuse([true, "--a: wrong"], [false, "--b: wrong"], [true, "--c: wrong"]),
      second: () => 1,
      third: () => refuse([true, "--d: wrong"]),
    };
    expect(() => allParts(parts)).toThrow(new FlagError("--a: wrong", "--c: wrong", "--d: wrong"));
    expect(() => allParts(parts)).toThrow("[--a: wrong, --c: wrong, --d: wrong]");
  });
});

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

  it.each([
    ["0x1F", 31],
    ["-0b11", -3],
    ["0o17", 15],
    ["017", 15],
    ["1_000", 1000],
    ["0x_ff", 255],
    ["+5", 5],
  ])("reads the whole number %s as Go does", (given, expected) => {
    expect(parse(`-v=${given}`).values.v).toBe(expected);
  });

  it.each(["", "x", "08", "1__0", "_1", "1_", "0x", "0b2", "1.0", " 1", "--1"])("takes %j for no whole number", (given) => {
    expect(() => parse(`-v=${given}`)).toThrow("expected a whole number");
  });

  it("checks what flags without effect are given, and keeps it as it was written", () => {
    const ignored = flagsWithoutEffect({ workers: integer(), period: durationMs, collect: "true", directory: undefined });
    const given = parseFlags(ignored, ["--workers=0x10", "--period", "1m", "--collect", "--directory=/x"]).values;
    expect(given).toEqual({ workers: "0x10", period: "1m", collect: "true", directory: "/x" });
    expect(() => parseFlags(ignored, ["--workers=many"])).toThrow('invalid argument "many" for --workers: expected a whole number');
    expect(() => parseFlags(ignored, ["--collect=yes"])).toThrow("expected true or false");
    expect(() => parseFlags(ignored, ["--period=1"])).toThrow("expected a duration");
  });

  it("refuses periods below zero, and takes an empty value for none where that is said", () => {
    const own = { wait: flag(periodMs, 0, "wait"), form: flag(orDefault(oneOf("a", "b"), "a"), "a", "form") };
    expect(() => parseFlags(own, ["--wait=-1s"])).toThrow("expected a duration that is not negative");
    expect(parseFlags(own, ["--form=b", "--form="]).values.form).toBe("a");
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

describe("deprecated()", () => {
  const flags = { old: deprecated(flag(text, "", "what it does"), "use --new"), new: flag(text, "", "the same") };

  it("has a line said when the flag is given, and stands in the help", () => {
    expect(deprecationWarnings(flags, parseFlags(flags, ["--old=a", "--new=b"]).given)).toEqual([
      "Flag --old has been deprecated, use --new",
    ]);
    expect(deprecationWarnings(flags, parseFlags(flags, ["--new=b"]).given)).toEqual([]);
    expect(describeFlags(flags)).toContain("what it does (DEPRECATED: use --new)");
  });
});

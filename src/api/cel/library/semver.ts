// Semantic versions (2.0.0): parsed, compared, and their numbers.
import { CelError } from "../../../cel/cel.ts";
import type { CelLibrary, CelOverload } from "../../../cel/library.ts";
import { boolType, type CelObjectType, type CelType, intType, stringType } from "../../../cel/types.ts";
import { CelOpaque, type CelValue } from "../../../cel/values.ts";
import { costByText, withUnitResults } from "./costs.ts";
import { fieldless } from "./values.ts";

const semverType: CelObjectType = fieldless("kubernetes.Semver");

export class CelSemver extends CelOpaque {
  readonly typeName = semverType.name;
  /** Major, minor, patch. */
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly prerelease: readonly string[];
  readonly build: readonly string[];

  constructor(numbers: readonly [bigint, bigint, bigint], prerelease: readonly string[], build: readonly string[]) {
    super();
    this.numbers = numbers;
    this.prerelease = prerelease;
    this.build = build;
  }

  /** -1, 0 or 1; builds do not count. */
  compare(other: CelSemver): number {
    for (const [i, number] of this.numbers.entries()) {
      const difference = order(number, other.numbers[i] ?? 0n);
      if (difference !== 0) return difference;
    }
    if (this.prerelease.length === 0 || other.prerelease.length === 0) return order(other.prerelease.length, this.prerelease.length);
    for (const [i, part] of this.prerelease.entries()) {
      const before = other.prerelease[i];
      const difference = before === undefined ? 1 : comparePrereleases(part, before);
      if (difference !== 0) return difference;
    }
    return order(this.prerelease.length, other.prerelease.length);
  }

  equals(other: CelValue): boolean {
    return other instanceof CelSemver && this.compare(other) === 0;
  }

  toJson(): unknown {
    const prerelease = this.prerelease.length > 0 ? `-${this.prerelease.join(".")}` : "";
    return `${this.numbers.join(".")}${prerelease}${this.build.length > 0 ? `+${this.build.join(".")}` : ""}`;
  }
}

function order<T extends bigint | number | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const isNumeric = (text: string): boolean => /^\d+$/.test(text);

/** Numbers are below texts. */
function comparePrereleases(a: string, b: string): number {
  if (isNumeric(a) !== isNumeric(b)) return isNumeric(a) ? -1 : 1;
  // Without zeros before them the longer number is the greater: none is made, which takes long and costs nothing here.
  return isNumeric(a) ? order(a.length, b.length) || order(a, b) : order(a, b);
}

const quoted = (text: string): string => JSON.stringify(text);
const maxUint64 = 2n ** 64n - 1n;
/** Of it. */
const maxDigits = 20;

/** Throws CelError. */
export function parseSemver(text: string): CelSemver {
  if (text === "") throw new CelError("Version string empty");
  const [major = "", minor, ...rest] = text.split(".");
  if (minor === undefined || rest.length === 0) throw new CelError("No Major.Minor.Patch elements found");
  const numbers = [numberOf("major", major), numberOf("minor", minor)] as const;
  const [beforeBuild = "", ...build] = splitAtFirst(rest.join("."), "+");
  const [patch = "", ...prerelease] = splitAtFirst(beforeBuild, "-");
  const all = [...numbers, numberOf("patch", patch)] as const;
  return new CelSemver(
    all,
    prerelease.flatMap((parts) => parts.split(".").map(prereleaseOf)),
    build.flatMap((parts) => parts.split(".").map(buildOf)),
  );
}

function splitAtFirst(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function numberOf(which: "major" | "minor" | "patch", text: string): bigint {
  if (text !== "" && !isNumeric(text)) throw new CelError(`Invalid character(s) found in ${which} number ${quoted(text)}`);
  const name = `${which.charAt(0).toUpperCase()}${which.slice(1)}`;
  if (text.length > 1 && text.startsWith("0")) throw new CelError(`${name} number must not contain leading zeroes ${quoted(text)}`);
  if (text === "") throw new CelError('strconv.ParseUint: parsing "": invalid syntax');
  const number = text.length > maxDigits ? undefined : BigInt(text);
  if (number === undefined || number > maxUint64) throw new CelError(`strconv.ParseUint: parsing ${quoted(text)}: value out of range`);
  return number;
}

function prereleaseOf(text: string): string {
  if (text === "") throw new CelError("Prerelease is empty");
  if (isNumeric(text) && text.length > 1 && text.startsWith("0"))
    throw new CelError(`Numeric PreRelease version must not contain leading zeroes ${quoted(text)}`);
  if (!/^[0-9A-Za-z-]+$/.test(text)) throw new CelError(`Invalid character(s) found in prerelease ${quoted(text)}`);
  return text;
}

function buildOf(text: string): string {
  if (text === "") throw new CelError("Build meta data is empty");
  if (!/^[0-9A-Za-z-]+$/.test(text)) throw new CelError(`Invalid character(s) found in build meta data ${quoted(text)}`);
  return text;
}

/** With a leading v, leading zeros and missing numbers put right. */
function normalizeSemver(text: string): string {
  const [major = "", minor, ...rest] = text.replace(/^v/, "").split(".");
  const parts = [major, ...(minor === undefined ? [] : [minor]), ...(rest.length > 0 ? [rest.join(".")] : [])].map(withoutZeros);
  if (parts.length < 3 && /[+-]/.test(parts.at(-1) ?? "")) throw new CelError("short version cannot contain PreRelease/Build meta data");
  return [...parts, "0", "0"].slice(0, 3).join(".");
}

function withoutZeros(part: string): string {
  if (part.length <= 1) return part;
  const rest = part.replace(/^0+/, "");
  return /^\d/.test(rest) ? rest : `0${rest}`;
}

const parse = (text: CelValue | undefined, normalize: CelValue | undefined): CelSemver =>
  parseSemver(normalize === true ? normalizeSemver(text as string) : (text as string));

function isSemver(text: CelValue | undefined, normalize: CelValue | undefined): boolean {
  try {
    parse(text, normalize);
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

const compareOverload = (id: string, result: CelType, read: (order: number) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [semverType, semverType],
  result,
  call: ([version, other]) => read((version as CelSemver).compare(other as CelSemver)),
});

const numberOverload = (id: string, index: 0 | 1 | 2): CelOverload => ({
  id,
  member: true,
  parameters: [semverType],
  result: intType,
  call: ([version]) => BigInt.asIntN(64, (version as CelSemver).numbers[index]),
});

const fromText = (
  ids: readonly [string, string],
  result: CelType,
  read: (text: CelValue | undefined, normalize: CelValue | undefined) => CelValue,
): readonly CelOverload[] => [
  { id: ids[0], parameters: [stringType], result, call: ([text]) => read(text, false), ...costByText() },
  { id: ids[1], parameters: [stringType, boolType], result, call: ([text, normalize]) => read(text, normalize), ...costByText() },
];

export const semverLibrary: CelLibrary = {
  name: "kubernetes.Semver",
  functions: withUnitResults([
    { name: "semver", overloads: fromText(["string_to_semver", "string_bool_to_semver"], semverType, parse) },
    { name: "isSemver", overloads: fromText(["is_semver_string", "is_semver_string_bool"], boolType, isSemver) },
    { name: "isGreaterThan", overloads: [compareOverload("semver_is_greater_than", boolType, (order) => order > 0)] },
    { name: "isLessThan", overloads: [compareOverload("semver_is_less_than", boolType, (order) => order < 0)] },
    { name: "compareTo", overloads: [compareOverload("semver_compare_to", intType, (order) => BigInt(order))] },
    { name: "major", overloads: [numberOverload("semver_major", 0)] },
    { name: "minor", overloads: [numberOverload("semver_minor", 1)] },
    { name: "patch", overloads: [numberOverload("semver_patch", 2)] },
  ]),
};

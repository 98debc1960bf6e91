// Shard selectors of lists and watches (gate ShardedListAndWatch): expressions that name ranges of hashes, of an object's uid or
// of its namespace, so that several clients share the objects of a kind between them:
// shardRange(object.metadata.uid, '0x0000000000000000', '0x8000000000000000') || shardRange(…).
import type { KubernetesObject } from "../../api/meta/object.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import { fnv64Hex } from "../../base/fnv64.ts";
import { goQuoted } from "../../base/go-quoted.ts";
import type { CelExpr } from "../../cel/ast.ts";
import { parse } from "../../cel/parse.ts";
import { CelSource } from "../../cel/source.ts";
import { CelUint } from "../../cel/values.ts";

export interface ShardSelector {
  readonly field: "object.metadata.uid" | "object.metadata.namespace";
  readonly ranges: readonly ShardRange[];
}

/** Hashes in 16 hexadecimal digits, or 2^64 in 17. */
interface ShardRange {
  readonly from: string;
  /** Not in the range. */
  readonly to: string;
}

/** How a version's uid is read; one function for all kinds, so that its value is kept with versions that are not decoded. */
export const uidOf = ({ metadata }: KubernetesObject): string => metadata.uid ?? "";

/** Throws StatusError. */
export function parseShardSelector(text: string): ShardSelector {
  try {
    return selectorOf(parsed(text.trim()));
  } catch (error) {
    if (!(error instanceof ShardProblem)) throw error;
    throw new StatusError({ code: 500, message: `invalid shard selector: ${error.message}` });
  }
}

/** Whether the hash of a field's value is in one of the ranges. */
export function isInShard({ ranges }: ShardSelector, value: string): boolean {
  const hash = fnv64Hex(value);
  return ranges.some(({ from, to }) => !isLess(hash, from) && isLess(hash, to));
}

/** As it is told in the list's metadata. */
export function shardSelectorText({ field, ranges }: ShardSelector): string {
  return ranges.map(({ from, to }) => `shardRange(${field}, '0x${from}', '0x${to}')`).join(" || ");
}

class ShardProblem extends Error {}

function problem(text: string): never {
  throw new ShardProblem(text);
}

const isLess = (a: string, b: string): boolean => (a.length === b.length ? a < b : a.length < b.length);

function parsed(text: string): CelExpr {
  if (text === "") problem("empty shard selector is not allowed; omit the parameter for unfiltered lists");
  const result = parse(new CelSource(text), { macros: new Map(), optionalSyntax: false });
  return result.problems ? problem(`CEL parse error: ${result.problems[0]?.message}`) : result.parsed.expr;
}

interface FieldRange extends ShardRange {
  readonly field: ShardSelector["field"];
}

function selectorOf(expr: CelExpr): ShardSelector {
  const ranges: FieldRange[] = [];
  // From left to right, without a call for each level.
  const waiting = [expr];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (next.kind === "call" && next.name === "_||_") waiting.push(...[...next.args].reverse());
    else ranges.push(rangeOf(next));
  }
  const [{ field }] = ranges as [FieldRange];
  const other = ranges.find((range) => range.field !== field);
  if (other) problem(`all shard ranges must use the same field, got "${field}" and "${other.field}"`);
  return { field, ranges: ranges.map(({ from, to }) => ({ from, to })) };
}

function rangeOf(expr: CelExpr): FieldRange {
  if (expr.kind !== "call")
    return problem(`unexpected expression kind ${kindNumbers[expr.kind]}; expected shardRange() call or || operator`);
  const { name, args } = expr;
  if (name !== "shardRange") return problem(`unsupported function ${goQuoted(name)}; only shardRange() and || are allowed`);
  const [path, start, end] = args;
  if (!path || !start || !end || args.length !== 3) return problem(`shardRange() requires exactly 3 arguments, got ${args.length}`);
  const field = pathOf(path);
  if (field !== "object.metadata.uid" && field !== "object.metadata.namespace")
    return problem(`unsupported field path ${goQuoted(field)}; supported: object.metadata.uid, object.metadata.namespace`);
  const [from, to] = [hashOf(start, "hexStart"), hashOf(end, "hexEnd")];
  if (!isLess(from, to)) problem(`shard range start 0x${from} must be less than end 0x${to}`);
  return { field, from, to };
}

/** "object.metadata.uid". */
function pathOf(expr: CelExpr): string {
  if (expr.kind === "ident") return expr.name;
  if (expr.kind === "select") return `${pathOf(expr.operand)}.${expr.field}`;
  return problem(
    `shardRange() first argument: expected field path (e.g. object.metadata.uid), got expression kind ${kindNumbers[expr.kind]}`,
  );
}

function hashOf(expr: CelExpr, name: string): string {
  if (expr.kind !== "literal")
    return problem(`${name} must be a string literal (e.g. '0xff'), got expression kind ${kindNumbers[expr.kind]}`);
  const { value } = expr;
  if (typeof value !== "string") return problem(`${name} must be a string literal, got ${goTypeOf(value)}`);
  if (!value.startsWith("0x")) return problem(`${name} must have '0x' prefix, got ${goQuoted(value)}`);
  const hex = value.slice(2);
  if (hex === "") return problem(`${name}: hex value is required after '0x'`);
  const bytes = Buffer.byteLength(hex);
  if (bytes > 17) return problem(`${name}: hex value too long (${bytes} chars, max 17): ${goQuoted(hex)}`);
  const wrong = /[^0-9a-f]/u.exec(hex)?.[0];
  if (wrong !== undefined) return problem(`${name}: invalid hex character ${goQuoted(wrong)} in ${goQuoted(value)}`);
  if (bytes === 17 && hex !== end) return problem(`${name}: 17-digit hex value must be '0x${end}' (2^64), got ${goQuoted(value)}`);
  if (bytes < 16) {
    const padded = goQuoted(`0x${hex.padStart(16, "0")}`);
    return problem(`${name} must be a 0x-prefixed 16-digit hex value, got ${goQuoted(value)} (did you mean ${padded}?)`);
  }
  return hex;
}

/** 2^64: what no hash reaches. */
const end = "10000000000000000";

/** What kinds of expressions are told as. */
const kindNumbers: Readonly<Record<CelExpr["kind"], number>> = {
  call: 1,
  comprehension: 2,
  ident: 3,
  list: 4,
  literal: 5,
  map: 6,
  select: 7,
  struct: 8,
};

function goTypeOf(value: unknown): string {
  switch (typeof value) {
    case "bigint":
      return "int64";
    case "number":
      return "float64";
    case "boolean":
      return "bool";
    default:
      if (value === null) return "structpb.NullValue";
      return value instanceof CelUint ? "uint64" : "[]uint8";
  }
}

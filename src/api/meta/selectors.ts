// Label selectors and field selectors, as texts (?labelSelector=, ?fieldSelector=) and as LabelSelector objects. A
// selector is compiled once into closures and then asked for many objects; those of LabelSelector objects are remembered
// with the object, so asking again costs a look-up.
import type { LabelSelector, LabelSelectorRequirement } from "../types/meta-v1.ts";
import { manyFields, manyLabels, manyRequirements } from "./many-requirements.ts";
import {
  checkRequirement,
  type LabelOperator,
  type LabelRequirement,
  parseInt64,
  parseRequirements,
  SelectorError,
  sortRequirements,
} from "./selector-parser.ts";

export { type LabelOperator, type LabelRequirement, SelectorError } from "./selector-parser.ts";

export type Labels = Readonly<Record<string, string>>;

/** A compiled label selector. */
export interface LabelMatcher {
  matches(labels: Labels | undefined): boolean;
  /** Sorted by key. */
  readonly requirements: readonly LabelRequirement[];
  /** Matches every object because it asks for nothing. */
  readonly everything: boolean;
  /** Matches no object whatever its labels: what an absent LabelSelector means. */
  readonly nothing: boolean;
  /** The only value that the label can have in a matching object, where one value is asked for. */
  exactValue(key: string): string | undefined;
  /** Canonical text: "app=web,tier in (a,b)". */
  toString(): string;
}

type Test = (labels: Labels) => boolean;

const noLabels: Labels = {};

function compileRequirement({ key, operator, values }: LabelRequirement): Test {
  const [first = ""] = values;
  switch (operator) {
    case "=":
    case "==":
      return (labels) => labels[key] === first;
    case "in": {
      if (values.length === 1) return (labels) => labels[key] === first;
      const set = new Set<unknown>(values);
      return (labels) => set.has(labels[key]);
    }
    case "!=":
      return (labels) => labels[key] !== first;
    case "notin": {
      const set = new Set<unknown>(values);
      return (labels) => !set.has(labels[key]);
    }
    case "exists":
      return (labels) => typeof labels[key] === "string";
    case "!":
      return (labels) => typeof labels[key] !== "string";
    default:
      return compareInteger(key, operator, first);
  }
}

function compareInteger(key: string, operator: LabelOperator, bound: string): Test {
  const limit = parseInt64(bound);
  return (labels) => {
    const text = labels[key];
    const value = typeof text === "string" ? parseInt64(text) : undefined;
    if (value === undefined || limit === undefined) return false;
    return operator === "gt" ? value > limit : value < limit;
  };
}

const symbolOf: Readonly<Partial<Record<LabelOperator, string>>> = { gt: ">", lt: "<" };

function requirementText({ key, operator, values }: LabelRequirement): string {
  if (operator === "exists") return key;
  if (operator === "!") return `!${key}`;
  const list = [...values].sort().join(",");
  if (operator === "in" || operator === "notin") return `${key} ${operator} (${list})`;
  return `${key}${symbolOf[operator] ?? operator}${list}`;
}

function allOf(tests: readonly Test[]): Test {
  const [only] = tests;
  return tests.length === 1 && only ? only : (labels) => tests.every((test) => test(labels));
}

/** Compiles requirements that have been checked. */
export function compileLabels(requirements: readonly LabelRequirement[]): LabelMatcher {
  const all = requirements.length > manyRequirements ? manyLabels(requirements) : allOf(requirements.map(compileRequirement));
  return {
    matches: requirements.length === 0 ? () => true : (labels) => all(labels ?? noLabels),
    requirements,
    everything: requirements.length === 0,
    nothing: false,
    exactValue(key) {
      const requirement = requirements.find((r) => r.key === key);
      if (requirement?.values.length !== 1) return undefined;
      return ["=", "==", "in"].includes(requirement.operator) ? requirement.values[0] : undefined;
    },
    toString: () => requirements.map(requirementText).join(","),
  };
}

export const everyLabels: LabelMatcher = compileLabels([]);

export const noLabelsMatcher: LabelMatcher = {
  matches: () => false,
  requirements: [],
  everything: false,
  nothing: true,
  exactValue: () => undefined,
  toString: () => "",
};

/** Compiles a selector's text. Throws SelectorError with upstream's message. */
export function parseLabelSelector(text: string): LabelMatcher {
  return text === "" ? everyLabels : compileLabels(parseRequirements(text));
}

/** The selector that asks for exactly these labels: those of ReplicationControllers, services and nodeSelectors. */
export function labelsMatcher(labels: Labels | undefined): LabelMatcher {
  const entries = Object.entries(labels ?? noLabels);
  return compileLabels(sortRequirements(entries.map(([key, value]) => ({ key, operator: "=", values: [value] }))));
}

const compiled = new WeakMap<LabelSelector, LabelMatcher>();
const expressionOperators = new Map<string, LabelOperator>([
  ["In", "in"],
  ["NotIn", "notin"],
  ["Exists", "exists"],
  ["DoesNotExist", "!"],
]);

/**
 * Compiles a LabelSelector: absent matches nothing, an empty one everything. Throws SelectorError for unknown operators
 * and malformed labels.
 */
export function labelMatcher(selector: LabelSelector | undefined): LabelMatcher {
  if (!selector) return noLabelsMatcher;
  const known = compiled.get(selector);
  if (known) return known;
  const requirements = Object.entries(selector.matchLabels ?? {}).map(([key, value]) =>
    checkRequirement({ key, operator: "=", values: [value] }),
  );
  for (const expression of selector.matchExpressions ?? []) requirements.push(expressionRequirement(expression));
  const matcher = compileLabels(sortRequirements(requirements));
  compiled.set(selector, matcher);
  return matcher;
}

/** Throws SelectorError for unknown operators and malformed labels. */
export function expressionRequirement({ key, operator, values = [] }: LabelSelectorRequirement): LabelRequirement {
  const known = expressionOperators.get(operator);
  if (!known) throw new SelectorError(`${JSON.stringify(operator)} is not a valid label selector operator`);
  return checkRequirement({ key, operator: known, values });
}

/** Whether a LabelSelector selects an object with these labels. */
export function selects(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
  return labelMatcher(selector).matches(labels);
}

export interface FieldRequirement {
  /** "metadata.name". */
  readonly field: string;
  readonly operator: "=" | "!=";
  readonly value: string;
}

/** A compiled field selector. */
export interface FieldMatcher {
  /** `fieldOf` returns a field's value as text; an absent field is "". */
  matches(fieldOf: (field: string) => string | undefined): boolean;
  readonly requirements: readonly FieldRequirement[];
  readonly everything: boolean;
  /** The value that a field must have, where one is asked for. */
  exactValue(field: string): string | undefined;
  toString(): string;
}

export function compileFields(requirements: readonly FieldRequirement[]): FieldMatcher {
  const many = requirements.length > manyRequirements ? manyFields(requirements) : undefined;
  return {
    matches: many ?? ((fieldOf) => requirements.every((r) => ((fieldOf(r.field) ?? "") === r.value) === (r.operator === "="))),
    requirements,
    everything: requirements.length === 0,
    exactValue: (field) => requirements.find((r) => r.field === field && r.operator === "=")?.value,
    toString: () => requirements.map((r) => `${r.field}${r.operator}${escapeFieldValue(r.value)}`).join(","),
  };
}

export const everyFields: FieldMatcher = compileFields([]);

/** Compiles a field selector's text, terms in the order of their texts. Throws SelectorError with upstream's message. */
export function parseFieldSelector(text: string): FieldMatcher {
  if (text === "") return everyFields;
  const terms = text.match(/(?:\\.|[^\\,])+\\?|\\$/gs) ?? [];
  const requirements = terms.sort().map((term) => fieldRequirement(text, term));
  // A term without field and value ("=") asks for nothing.
  return compileFields(requirements.filter(({ field, value }) => field !== "" || value !== ""));
}

function fieldRequirement(selector: string, term: string): FieldRequirement {
  const match = /^(.*?)(!=|==|=)(.*)$/s.exec(term);
  if (!match) throw new SelectorError(`invalid selector: '${selector}'; can't understand '${term}'`);
  const [, field = "", operator, value = ""] = match;
  return { field, operator: operator === "!=" ? "!=" : "=", value: unescapeFieldValue(value) };
}

/** Escapes a value for use in a field selector. */
export function escapeFieldValue(value: string): string {
  return value.replace(/[\\,=]/g, "\\$&");
}

function unescapeFieldValue(value: string): string {
  return value.replace(/\\(.?)|[,=]/gsu, (sequence: string, escaped?: string) => {
    if (escaped === undefined)
      throw new SelectorError(`invalid field selector: unescaped character in value: ${sequence.codePointAt(0) ?? 0}`);
    if (!/^[\\,=]$/.test(escaped)) throw new SelectorError(`invalid field selector: invalid escape sequence: ${sequence}`);
    return escaped;
  });
}

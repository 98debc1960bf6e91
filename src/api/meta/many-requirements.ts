// Selectors of many terms, of which one text holds a hundred thousand: asked one by one for each object, and for each watch
// at each write, they would hold the server for minutes. Here all terms on one key become one test, and an object's labels
// look up the tests, not the other way round: an object costs what its labels are, whatever the selector is.

import { type LabelRequirement, parseInt64 } from "./selector-parser.ts";
import type { FieldRequirement } from "./selectors.ts";

/** Up to so many terms are asked one by one. */
export const manyRequirements = 16;

/** What all terms on one key, or field, say together. */
class Terms {
  /** The only values that are allowed; undefined while any is. */
  #allowed: Set<string> | undefined = undefined;
  readonly #excluded = new Set<string>();
  /** The key has to be there. */
  #present = false;
  #absent = false;
  #above: bigint | undefined = undefined;
  #below: bigint | undefined = undefined;
  /** Some bound is no number: nothing compares with it. */
  #incomparable = false;

  get present(): boolean {
    return this.#present;
  }

  add({ operator, values }: Pick<LabelRequirement, "operator" | "values">): void {
    switch (operator) {
      case "!=":
      case "notin":
        for (const value of values) this.#excluded.add(value);
        return;
      case "!":
        this.#absent = true;
        return;
      case "gt":
      case "lt":
        this.#bound(operator, parseInt64(values[0] ?? ""));
        break;
      case "exists":
        break;
      default:
        this.#allow(values);
    }
    this.#present = true;
  }

  allows(value: string): boolean {
    if (this.#absent || this.#excluded.has(value) || this.#allowed?.has(value) === false) return false;
    if (!this.#incomparable && this.#above === undefined && this.#below === undefined) return true;
    const number = parseInt64(value);
    if (this.#incomparable || number === undefined) return false;
    return (this.#above === undefined || number > this.#above) && (this.#below === undefined || number < this.#below);
  }

  #allow(values: readonly string[]): void {
    const known = this.#allowed;
    this.#allowed = new Set(known ? values.filter((value) => known.has(value)) : values);
  }

  #bound(operator: "gt" | "lt", limit: bigint | undefined): void {
    if (limit === undefined) this.#incomparable = true;
    else if (operator === "gt") this.#above = this.#above === undefined || limit > this.#above ? limit : this.#above;
    else this.#below = this.#below === undefined || limit < this.#below ? limit : this.#below;
  }
}

/** Whether labels meet all of them. */
export function manyLabels(requirements: readonly LabelRequirement[]): (labels: Readonly<Record<string, string>>) => boolean {
  const byKey = termsBy(requirements, ({ key }) => key);
  let needed = 0;
  for (const terms of byKey.values()) if (terms.present) needed++;
  return (labels) => {
    let met = 0;
    for (const key of Object.keys(labels)) {
      const terms = byKey.get(key);
      const value: unknown = labels[key];
      if (!terms || typeof value !== "string") continue;
      if (!terms.allows(value)) return false;
      if (terms.present) met++;
    }
    return met === needed;
  };
}

/** Whether an object's fields meet all of them; an absent field is "". */
export function manyFields(requirements: readonly FieldRequirement[]): (fieldOf: (field: string) => string | undefined) => boolean {
  const byField = termsBy(
    requirements.map(({ field, operator, value }) => ({ field, operator, values: [value] })),
    ({ field }) => field,
  );
  return (fieldOf) => {
    for (const [field, terms] of byField) if (!terms.allows(fieldOf(field) ?? "")) return false;
    return true;
  };
}

function termsBy<R extends Pick<LabelRequirement, "operator" | "values">>(
  requirements: readonly R[],
  nameOf: (requirement: R) => string,
): Map<string, Terms> {
  const found = new Map<string, Terms>();
  for (const requirement of requirements) {
    const name = nameOf(requirement);
    let terms = found.get(name);
    if (!terms) found.set(name, (terms = new Terms()));
    terms.add(requirement);
  }
  return found;
}

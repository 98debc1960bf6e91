// What an expression may cost, from the sizes that its variables' types declare: upstream's estimate, which decides which rules a
// custom resource definition may have. Sizes are known of literals, of what functions say they give, and of what is reached by
// a path of declarations from a variable; elements of literals and of what loops make are followed as well.

import type { CelCall, CelComprehension, CelExpr, CelMapExpr } from "../ast.ts";
import type { CelCostEstimate } from "../cel.ts";
import type { CallReference, Checked } from "../check/check.ts";
import type { DeclaredOverload } from "../declarations.ts";
import type { CelCallSite, CelSizedNode } from "../library.ts";
import { maxCelCost } from "../limits.ts";
import { characters } from "../source.ts";
import { type CelType, stringType } from "../types.ts";
import { listCost, mapCost, structCost } from "./actual.ts";
import { addRanges, fixed, multiplyRanges, type Range, uniteRanges, unknownSize } from "./estimates.ts";

const nothing = fixed(0);
/** Less than any range: what uniting begins with. */
const noRange: Range = { min: maxCelCost, max: 0 };

/** Sizes of a container's keys (or indices) and values. */
interface Entries {
  readonly container: "list" | "map";
  readonly keys: Range;
  readonly values: Range;
}

interface Local {
  readonly declared: CelType | undefined;
  readonly size: Range | undefined;
  readonly entries: Entries | undefined;
}

/** `root`: CelEnvironmentOptions.estimateRoot. */
export function estimateCost(checked: Checked, root?: CelType): CelCostEstimate {
  return new Estimator(checked, root).cost(checked.expr);
}

/** The declaration of what is reached by a path that leads out of the declared types. */
const unknownDeclaration: CelType = { kind: "dyn" };

class Estimator {
  readonly #checked: Checked;
  /** The declaration that a node is reached by, from a variable. */
  readonly #declared = new Map<number, CelType | undefined>();
  readonly #sizes = new Map<number, Range>();
  readonly #entries = new Map<number, Entries>();
  readonly #locals = new Map<string, Local[]>();

  readonly #root: CelType | undefined;

  constructor(checked: Checked, root: CelType | undefined) {
    this.#checked = checked;
    this.#root = root;
  }

  /** A part of a declaration; what has no path has the root for all of its parts. */
  #part(declared: CelType | undefined, part: (declared: CelType) => CelType | undefined): CelType | undefined {
    if (!declared) return this.#root;
    return part(declared) ?? unknownDeclaration;
  }

  cost(expr: CelExpr): Range {
    switch (expr.kind) {
      case "literal":
        return nothing;
      case "ident":
        return this.#name(expr.id, expr.name);
      case "select":
        return this.#select(expr);
      case "call":
        return this.#call(expr);
      case "list":
        return this.#list(expr);
      case "map":
        return this.#map(expr);
      case "struct":
        return expr.fields.reduce((sum, { value }) => addRanges(sum, this.cost(value)), fixed(structCost));
      case "comprehension":
        return this.#isBinding(expr) ? this.#binding(expr) : this.#loop(expr);
    }
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }

  #push(name: string, local: Local): void {
    const known = this.#locals.get(name);
    if (known) known.push(local);
    else this.#locals.set(name, [local]);
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }

  #name(id: number, name: string): Range {
    const reference = this.#checked.names.get(id);
    const local = this.#local(name);
    if (local) this.#declared.set(id, local.declared);
    else if (reference?.kind === "variable") this.#declared.set(id, reference.type);
    // Upstream looks names of types and constants up as if they were the root's.
    else if (reference?.kind === "type" || reference?.kind === "value") this.#declared.set(id, this.#root);
    return fixed(1);
  }

  #select(expr: CelExpr & { kind: "select" }): Range {
    const { operand, field } = expr;
    if (this.#checked.names.has(expr.id)) return this.#name(expr.id, field);
    const cost = this.cost(operand);
    if (expr.testOnly) return cost;
    this.#declared.set(
      expr.id,
      this.#part(this.#declaredOf(operand), (declared) => fieldOf(declared, field)),
    );
    const { kind } = this.#checked.typeOf(operand);
    return kind === "map" || kind === "object" || kind === "parameter" ? addRanges(cost, fixed(1)) : cost;
  }

  #declaredOf(expr: CelExpr): CelType | undefined {
    if (expr.kind === "ident") {
      const local = this.#local(expr.name);
      if (local) return local.declared;
    }
    return this.#declared.get(expr.id);
  }

  /** The size of a node, where something is known of it. */
  #size(expr: CelExpr): Range | undefined {
    const known = this.#sizes.get(expr.id) ?? literalSize(expr);
    if (known) return known;
    const declared = this.#declaredOf(expr);
    if (declared?.maxSize !== undefined) {
      const size = { min: 0, max: declared.maxSize };
      this.#sizes.set(expr.id, size);
      return size;
    }
    if (isScalar(this.#checked.typeOf(expr))) return fixed(1);
    return expr.kind === "ident" ? this.#local(expr.name)?.size : undefined;
  }

  #entriesOf(expr: CelExpr): Entries | undefined {
    return this.#entries.get(expr.id) ?? (expr.kind === "ident" ? this.#local(expr.name)?.entries : undefined);
  }

  #node(expr: CelExpr): CelSizedNode {
    const size = this.#size(expr);
    const type = this.#checked.typeOf(expr);
    const declared = this.#declaredOf(expr);
    return {
      type,
      size: size ?? unknownSize,
      knownSize: size,
      ...(expr.kind === "literal" && { literal: expr.value }),
      ...(type.kind === "list" && { element: () => declaredNode(type.items, declared?.kind === "list" ? declared.items : undefined) }),
    };
  }

  #call(expr: CelCall): Range {
    if (expr.name === "dyn") return this.#dyn(expr);
    const costs = expr.args.map((arg) => this.cost(arg));
    const args = expr.args.map((arg) => this.#node(arg));
    const reference = this.#checked.calls.get(expr.id);
    if (!reference) return nothing;
    const target = reference.target && { cost: this.cost(reference.target), node: this.#node(reference.target) };
    const site: CelCallSite = target ? { target: target.node, args } : { args };
    let total = noRange;
    let resultSize: Range | undefined;
    for (const overload of reference.overloads) {
      const { cost, resultSize: size } = this.#overload(expr, { overload, reference, site, costs });
      total = uniteRanges(total, cost);
      if (size) resultSize = resultSize ? uniteRanges(resultSize, size) : size;
      if (overload.id === "index_list" || overload.id === "index_map") {
        const [container] = expr.args as [CelExpr];
        resultSize = this.#entriesOf(container)?.values;
        this.#declared.set(expr.id, this.#part(this.#declaredOf(container), elementOf));
      }
      resultSize ??= this.#size(expr);
    }
    if (resultSize) this.#sizes.set(expr.id, resultSize);
    return target ? addRanges(target.cost, total) : total;
  }

  #dyn(expr: CelCall): Range {
    const [arg] = expr.args as [CelExpr];
    const cost = addRanges(fixed(1), this.cost(arg));
    this.#copySizes(expr, arg);
    return cost;
  }

  #copySizes(to: CelExpr, from: CelExpr): void {
    const size = this.#size(from);
    if (size) this.#sizes.set(to.id, size);
    const entries = this.#entriesOf(from);
    if (entries) this.#entries.set(to.id, entries);
  }

  #overload(
    expr: CelCall,
    call: { overload: DeclaredOverload; reference: CallReference; site: CelCallSite; costs: readonly Range[] },
  ): { readonly cost: Range; readonly resultSize?: Range | undefined } {
    const { overload, costs, site } = call;
    const all = costs.reduce(addRanges, nothing);
    switch (overload.id) {
      case "logical_and":
      case "logical_or":
        return { cost: { min: costs[0]?.min ?? 0, max: all.max } };
      case "conditional":
        return this.#conditional(expr, costs);
      case "add_string":
      case "add_bytes":
      case "add_list":
        this.#unitedEntries(expr, expr.args[0] as CelExpr, expr.args[1] as CelExpr);
    }
    const estimate = overload.estimate?.(site);
    return { cost: addRanges(estimate?.cost ?? fixed(1), all), resultSize: estimate?.resultSize };
  }

  #conditional(expr: CelCall, costs: readonly Range[]): { readonly cost: Range; readonly resultSize: Range } {
    const [condition, whenTrue, whenFalse] = costs as [Range, Range, Range];
    const [, first, second] = expr.args as [CelExpr, CelExpr, CelExpr];
    this.#unitedEntries(expr, first, second);
    const resultSize = uniteRanges(this.#size(first) ?? unknownSize, this.#size(second) ?? unknownSize);
    return { cost: addRanges(condition, uniteRanges(whenTrue, whenFalse)), resultSize };
  }

  #unitedEntries(expr: CelExpr, first: CelExpr, second: CelExpr): void {
    const [a, b] = [this.#entriesOf(first), this.#entriesOf(second)];
    if (a && b)
      this.#entries.set(expr.id, { container: a.container, keys: uniteRanges(a.keys, b.keys), values: uniteRanges(a.values, b.values) });
  }

  #list(expr: CelExpr & { kind: "list" }): Range {
    let cost = fixed(listCost);
    let values = expr.elements.length === 0 ? nothing : noRange;
    for (const element of expr.elements) {
      cost = addRanges(cost, this.cost(element));
      values = uniteRanges(values, this.#size(element) ?? unknownSize);
    }
    this.#entries.set(expr.id, { container: "list", keys: fixed(1), values });
    return cost;
  }

  #map(expr: CelMapExpr): Range {
    let cost = fixed(mapCost);
    let [keys, values] = expr.entries.length === 0 ? [nothing, nothing] : [noRange, noRange];
    for (const { key, value } of expr.entries) {
      cost = addRanges(addRanges(cost, this.cost(key)), this.cost(value));
      keys = uniteRanges(keys, this.#size(key) ?? unknownSize);
      values = uniteRanges(values, this.#size(value) ?? unknownSize);
    }
    this.#entries.set(expr.id, { container: "map", keys, values });
    return cost;
  }

  /** cel.bind() and the like: a loop over nothing, for a variable. */
  #isBinding({ range, condition, accumulator }: CelComprehension): boolean {
    const isOverNothing = range.kind === "list" && range.elements.length === 0;
    return isOverNothing && condition.kind === "literal" && condition.value === false && accumulator !== "__result__";
  }

  #binding(expr: CelComprehension): Range {
    let cost = addRanges(this.cost(expr.range), this.cost(expr.init));
    this.#push(expr.accumulator, this.#localOf(expr.init));
    cost = addRanges(cost, this.cost(expr.result));
    this.#copySizes(expr, expr.result);
    this.#pop(expr.accumulator);
    return cost;
  }

  #localOf(expr: CelExpr): Local {
    return { declared: this.#declaredOf(expr), size: this.#size(expr), entries: this.#entriesOf(expr) };
  }

  #loop(expr: CelComprehension): Range {
    const before = addRanges(this.cost(expr.range), this.cost(expr.init));
    this.#push(expr.accumulator, { ...this.#localOf(expr.init), declared: undefined });
    this.#pushVariables(expr);
    const each = addRanges(this.cost(expr.condition), this.cost(expr.step));
    this.#pop(expr.variable);
    if (expr.variable2 !== undefined) this.#pop(expr.variable2);
    const after = this.cost(expr.result);
    this.#pop(expr.accumulator);
    const count = this.#size(expr.range) ?? unknownSize;
    this.#noteResult(expr, count);
    return addRanges(addRanges(before, after), multiplyRanges(count, each));
  }

  #pushVariables(expr: CelComprehension): void {
    const entries = this.#entriesOf(expr.range);
    const declared = this.#declaredOf(expr.range);
    const isList = (entries?.container ?? this.#checked.typeOf(expr.range).kind) === "list";
    const value = { declared: this.#part(declared, elementOf), size: entries?.values, entries: undefined };
    const key = { declared: this.#part(declared, isList ? () => undefined : keyOf), size: entries?.keys, entries: undefined };
    if (expr.variable2 === undefined) this.#push(expr.variable, isList ? value : key);
    else {
      this.#push(expr.variable, key);
      this.#push(expr.variable2, value);
    }
  }

  #noteResult(expr: CelComprehension, count: Range): void {
    if (expr.init.kind === "literal") {
      const size = this.#size(expr.init);
      if (size) this.#sizes.set(expr.id, size);
    } else if (expr.init.kind === "list" || expr.init.kind === "map") {
      this.#sizes.set(expr.id, count);
      const entries = this.#entriesOf(expr.step);
      if (entries) this.#entries.set(expr.id, entries);
    }
  }
}

function declaredNode(type: CelType, declared: CelType | undefined): CelSizedNode {
  const size = declared?.maxSize === undefined ? undefined : { min: 0, max: declared.maxSize };
  return {
    type,
    size: size ?? unknownSize,
    knownSize: size,
    ...(type.kind === "list" && { element: () => declaredNode(type.items, declared?.kind === "list" ? declared.items : undefined) }),
  };
}

/** Upstream knows nothing of the values of a map that are read as its fields. */
const fieldOf = (declared: CelType, field: string): CelType | undefined =>
  declared.kind === "object" ? declared.field(field)?.type : undefined;

function elementOf(declared: CelType): CelType | undefined {
  if (declared.kind === "list") return declared.items;
  return declared.kind === "map" ? declared.values : undefined;
}

function keyOf(declared: CelType): CelType | undefined {
  return declared.kind === "map" ? (declared.keys ?? stringType) : undefined;
}

function literalSize(expr: CelExpr): Range | undefined {
  switch (expr.kind) {
    case "literal":
      if (typeof expr.value === "string") return fixed(characters(expr.value));
      return fixed(expr.value instanceof Uint8Array ? expr.value.length : 1);
    case "list":
      return fixed(expr.elements.length);
    case "map":
      return fixed(expr.entries.length);
    default:
      return undefined;
  }
}

/** Of a size that is known to be 1. */
function isScalar(type: CelType): boolean {
  if (type.kind === "optional") return isScalar(type.of);
  return ["bool", "double", "duration", "int", "timestamp", "uint"].includes(type.kind);
}

// Gives every node of an expression its type, and every name and call what it refers to. Problems are upstream's; an expression
// that has one is of the type "error", which fits everywhere, so that one mistake is reported once.

import type { CelCall, CelComprehension, CelExpr, CelListExpr, CelMapExpr, CelSelect, CelStructExpr } from "../ast.ts";
import { type Declarations, type DeclaredFunction, type DeclaredOverload, lookUp, lookUpFunction, type Named } from "../declarations.ts";
import type { CelCheckedExpr } from "../library.ts";
import type { Parsed } from "../parse.ts";
import type { CelSource, PlacedProblem } from "../source.ts";
import {
  boolType,
  bytesType,
  type CelObjectType,
  type CelType,
  doubleType,
  dynType,
  errorType,
  formatCelType,
  intType,
  nullType,
  stringType,
  uintType,
} from "../types.ts";
import { CelUint, type CelValue } from "../values.ts";
import { Bindings, isDyn, isSameType, mostGeneral, renameParameters } from "./unify.ts";

/** What a name refers to: a declared variable, a constant, or a variable of a loop around it. */
export type NameReference =
  | { readonly kind: "variable"; readonly name: string; readonly type: CelType }
  | { readonly kind: "value"; readonly value: CelValue }
  | { readonly kind: "type"; readonly type: CelType }
  | { readonly kind: "local"; readonly name: string };

/** What a call refers to: the overloads that fit, and its arguments with the one it is called on first. */
export interface CallReference {
  readonly declared: DeclaredFunction;
  readonly overloads: readonly DeclaredOverload[];
  readonly target: CelExpr | undefined;
}

export interface Checked extends CelCheckedExpr {
  readonly names: ReadonlyMap<number, NameReference>;
  readonly calls: ReadonlyMap<number, CallReference>;
}

export function check(
  parsed: Parsed,
  source: CelSource,
  declarations: Declarations,
): { readonly checked: Checked; readonly problems: readonly PlacedProblem[] } {
  const checker = new Checker(parsed, source, declarations);
  return { checked: checker.check(), problems: checker.problems };
}

/** "a.b.c" of an expression that is written so. */
function qualifiedName(expr: CelExpr): string | undefined {
  if (expr.kind === "ident") return expr.name;
  if (expr.kind !== "select" || expr.testOnly) return undefined;
  const operand = qualifiedName(expr.operand);
  return operand === undefined ? undefined : `${operand}.${expr.field}`;
}

class Checker {
  readonly problems: PlacedProblem[] = [];
  readonly #parsed: Parsed;
  readonly #source: CelSource;
  readonly #declarations: Declarations;
  readonly #bindings = new Bindings();
  readonly #types = new Map<number, CelType>();
  readonly #names = new Map<number, NameReference>();
  readonly #calls = new Map<number, CallReference>();
  /** Variables of the loops around, the innermost last. */
  readonly #locals: { readonly name: string; readonly type: CelType }[] = [];

  constructor(parsed: Parsed, source: CelSource, declarations: Declarations) {
    this.#parsed = parsed;
    this.#source = source;
    this.#declarations = declarations;
  }

  check(): Checked {
    const { expr } = this.#parsed;
    this.#check(expr);
    for (const [id, type] of this.#types) this.#types.set(id, this.#bindings.resolve(type, true));
    return { expr, typeOf: (node) => this.#types.get(node.id) ?? dynType, names: this.#names, calls: this.#calls };
  }

  #problem(message: string, id: number): void {
    this.problems.push({ message, place: this.#source.place(this.#parsed.offsets.get(id) ?? 0) });
  }

  #check(expr: CelExpr): CelType {
    const type = this.#typeOf(expr);
    this.#types.set(expr.id, type);
    return type;
  }

  #typeOf(expr: CelExpr): CelType {
    switch (expr.kind) {
      case "literal":
        return literalType(expr.value);
      case "ident":
        return this.#named(expr.id, expr.name) ?? this.#undeclared(expr.id, expr.name);
      case "select":
        return this.#select(expr);
      case "call":
        return this.#call(expr);
      case "list":
        return this.#list(expr);
      case "map":
        return this.#map(expr);
      case "struct":
        return this.#struct(expr);
      case "comprehension":
        return this.#comprehension(expr);
    }
  }

  #undeclared(id: number, name: string): CelType {
    this.#problem(`undeclared reference to '${name}' (in container '')`, id);
    return errorType;
  }

  /** The type of what a name stands for; notes what that is. */
  #named(id: number, name: string): CelType | undefined {
    const local = this.#locals.findLast((one) => one.name === (name.startsWith(".") ? name.slice(1) : name));
    if (local) {
      this.#names.set(id, { kind: "local", name: local.name });
      return local.type;
    }
    const found = lookUp(this.#declarations, name);
    if (!found) return undefined;
    this.#names.set(id, referenceTo(found));
    if (found.kind === "constant") return found.constant.type;
    return found.kind === "type" ? { kind: "type", of: found.type } : found.type;
  }

  #select(expr: CelSelect): CelType {
    const name = qualifiedName(expr);
    const named = name === undefined ? undefined : this.#named(expr.id, name);
    if (named) return named;
    const field = this.#field(expr.id, expr.operand, { field: expr.field, optional: false });
    return expr.testOnly ? boolType : this.#bindings.resolve(field);
  }

  #field(id: number, operand: CelExpr, selection: { readonly field: string; readonly optional: boolean }): CelType {
    const operandType = this.#bindings.resolve(this.#check(operand));
    const isOptional = operandType.kind === "optional";
    const type = this.#fieldOf(isOptional ? operandType.of : operandType, id, selection.field);
    return isOptional || selection.optional ? { kind: "optional", of: type } : type;
  }

  #fieldOf(type: CelType, id: number, field: string): CelType {
    switch (type.kind) {
      case "map":
        return type.values;
      case "object":
        return this.#fieldType(type, id, field);
      case "parameter":
        this.#bindings.isAssignable(dynType, type);
        return dynType;
      case "dyn":
      case "error":
        return dynType;
      default:
        this.#problem(`type '${formatCelType(type)}' does not support field selection`, id);
        return dynType;
    }
  }

  #fieldType(type: CelObjectType, id: number, field: string): CelType {
    const found = type.field(field);
    if (found) return found.type;
    this.#problem(`undefined field '${field}'`, id);
    return errorType;
  }

  #call(expr: CelCall): CelType {
    if (expr.name === "_?._") return this.#optionalSelect(expr);
    for (const arg of expr.args) this.#check(arg);
    if (!expr.target) {
      const declared = lookUpFunction(this.#declarations, expr.name);
      return declared ? this.#resolve(expr, declared, undefined) : this.#undeclared(expr.id, expr.name);
    }
    const prefix = qualifiedName(expr.target);
    const qualified = prefix === undefined ? undefined : lookUpFunction(this.#declarations, `${prefix}.${expr.name}`);
    if (qualified) return this.#resolve(expr, qualified, undefined);
    this.#check(expr.target);
    const declared = lookUpFunction(this.#declarations, expr.name);
    return declared ? this.#resolve(expr, declared, expr.target) : this.#undeclared(expr.id, expr.name);
  }

  #optionalSelect(expr: CelCall): CelType {
    const [operand, field] = expr.args as [CelExpr, CelExpr];
    this.#check(field);
    const name = field.kind === "literal" ? String(field.value) : "";
    const declared = lookUpFunction(this.#declarations, expr.name);
    if (declared) this.#calls.set(expr.id, { declared, overloads: declared.overloads, target: undefined });
    return this.#bindings.resolve(this.#field(expr.id, operand, { field: name, optional: true }));
  }

  #typeSoFar(expr: CelExpr): CelType {
    return this.#types.get(expr.id) ?? dynType;
  }

  #resolve(expr: CelCall, declared: DeclaredFunction, target: CelExpr | undefined): CelType {
    const argumentTypes = (target ? [target, ...expr.args] : expr.args).map((arg) => this.#typeSoFar(arg));
    if (declared.name === "_&&_" || declared.name === "_||_") return this.#logical(expr, declared);
    const overloads: DeclaredOverload[] = [];
    let result: CelType | undefined;
    for (const overload of declared.overloads) {
      if (overload.isMember !== (target !== undefined)) continue;
      const { parameters, result: given } = this.#instance(overload);
      if (!this.#bindings.areAssignable(argumentTypes, parameters)) continue;
      overloads.push(overload);
      const type = this.#bindings.resolve(given);
      if (!result) result = type;
      else if (!isDyn(result) && !isSameType(type, result)) result = dynType;
    }
    if (!result) {
      this.#noOverload(expr.id, declared.name, { argumentTypes, isMember: target !== undefined });
      return errorType;
    }
    this.#calls.set(expr.id, { declared, overloads, target });
    return result;
  }

  /** An overload's types, with type parameters of their own. */
  #instance(overload: DeclaredOverload): { readonly parameters: readonly CelType[]; readonly result: CelType } {
    if (overload.typeParameters.size === 0) return overload;
    const names = new Map([...overload.typeParameters].map((name) => [name, this.#bindings.freshParameter()]));
    return {
      parameters: overload.parameters.map((parameter) => renameParameters(parameter, names)),
      result: renameParameters(overload.result, names),
    };
  }

  #logical(expr: CelCall, declared: DeclaredFunction): CelType {
    let fits = true;
    for (const arg of expr.args) {
      const type = this.#typeSoFar(arg);
      if (this.#bindings.isAssignable(type, boolType)) continue;
      this.#mismatch(arg.id, boolType, type);
      fits = false;
    }
    if (!fits) return errorType;
    this.#calls.set(expr.id, { declared, overloads: declared.overloads, target: undefined });
    return boolType;
  }

  #noOverload(id: number, name: string, call: { readonly argumentTypes: readonly CelType[]; readonly isMember: boolean }): void {
    const types = call.argumentTypes.map((type) => formatCelType(this.#bindings.resolve(type, true)));
    const target = call.isMember ? `${types.shift()}.` : "";
    this.#problem(`found no matching overload for '${name}' applied to '${target}(${types.join(", ")})'`, id);
  }

  #mismatch(id: number, expected: CelType, found: CelType): void {
    this.#problem(`expected type '${formatCelType(expected)}' but found '${formatCelType(found)}'`, id);
  }

  /** The type inside of an optional element's or entry's type. */
  #unwrapped(expr: CelExpr, type: CelType): CelType {
    if (type.kind === "optional") return type.of;
    if (!isDyn(type)) this.#mismatch(expr.id, { kind: "optional", of: type }, type);
    return type;
  }

  #list(expr: CelListExpr): CelType {
    let items: CelType | undefined;
    for (const [index, element] of expr.elements.entries()) {
      const type = this.#check(element);
      items = this.#join(element, items, expr.optional.includes(index) ? this.#unwrapped(element, type) : type);
    }
    return { kind: "list", items: items ?? this.#bindings.freshParameter() };
  }

  #map(expr: CelMapExpr): CelType {
    let keys: CelType | undefined;
    let values: CelType | undefined;
    for (const { key, value, optional } of expr.entries) {
      keys = this.#join(key, keys, this.#check(key));
      const type = this.#check(value);
      values = this.#join(value, values, optional ? this.#unwrapped(value, type) : type);
    }
    return { kind: "map", keys: keys ?? this.#bindings.freshParameter(), values: values ?? this.#bindings.freshParameter() };
  }

  #join(expr: CelExpr, previous: CelType | undefined, current: CelType): CelType {
    if (!previous) return current;
    if (this.#bindings.isAssignable(previous, current)) return mostGeneral(previous, current);
    if (!this.#declarations.homogeneousLiterals) return dynType;
    this.#mismatch(expr.id, previous, current);
    return errorType;
  }

  #struct(expr: CelStructExpr): CelType {
    const type = this.#structType(expr);
    if (!type) return this.#undeclared(expr.id, expr.name);
    for (const field of expr.fields) {
      let valueType = this.#check(field.value);
      const fieldType = type.kind === "object" ? this.#fieldType(type, field.id, field.name) : errorType;
      if (field.optional) valueType = this.#unwrapped(field.value, valueType);
      if (this.#bindings.isAssignable(fieldType, valueType)) continue;
      const [wanted, given] = [formatCelType(fieldType), formatCelType(valueType)];
      this.#problem(`expected type of field '${field.name}' is '${wanted}' but provided type is '${given}'`, field.id);
    }
    return type;
  }

  /** undefined: there is nothing of the name. */
  #structType(expr: CelStructExpr): CelType | undefined {
    const found = lookUp(this.#declarations, expr.name);
    if (!found) return undefined;
    const type =
      found.kind === "type"
        ? found.type
        : found.kind === "constant" && found.constant.type.kind === "type"
          ? found.constant.type.of
          : undefined;
    if (!type) {
      this.#problem(`'${formatCelType(found.kind === "variable" ? found.type : dynType)}' is not a type`, expr.id);
      return errorType;
    }
    if (type.kind !== "object") {
      this.#problem(`'${formatCelType(type)}' is not a message type`, expr.id);
      return errorType;
    }
    this.#names.set(expr.id, { kind: "type", type });
    return type;
  }

  #comprehension(expr: CelComprehension): CelType {
    const range = this.#bindings.resolve(this.#check(expr.range));
    const accumulator = this.#check(expr.init);
    this.#locals.push({ name: expr.accumulator, type: accumulator });
    const [first, second] = this.#elements(expr, range);
    const outside = this.#locals.length;
    this.#locals.push({ name: expr.variable, type: first });
    if (expr.variable2 !== undefined) this.#locals.push({ name: expr.variable2, type: second });
    this.#assert(expr.condition, boolType);
    this.#assert(expr.step, accumulator);
    this.#locals.length = outside;
    const result = this.#check(expr.result);
    this.#locals.pop();
    return this.#bindings.resolve(result);
  }

  #assert(expr: CelExpr, wanted: CelType): void {
    const type = this.#check(expr);
    if (!this.#bindings.isAssignable(wanted, type)) this.#mismatch(expr.id, wanted, type);
  }

  /** The types of a loop's variables. */
  #elements(expr: CelComprehension, range: CelType): readonly [CelType, CelType] {
    switch (range.kind) {
      case "list":
        return expr.variable2 === undefined ? [range.items, dynType] : [intType, range.items];
      case "map":
        return [range.keys ?? stringType, range.values];
      case "dyn":
      case "error":
      case "parameter":
        this.#bindings.isAssignable(dynType, range);
        return [dynType, dynType];
      default:
        this.#problem(
          `expression of type '${formatCelType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
          expr.range.id,
        );
        return [errorType, errorType];
    }
  }
}

function referenceTo(found: Named): NameReference {
  if (found.kind === "constant") return { kind: "value", value: found.constant.value };
  return found;
}

function literalType(value: CelValue): CelType {
  switch (typeof value) {
    case "string":
      return stringType;
    case "bigint":
      return intType;
    case "number":
      return doubleType;
    case "boolean":
      return boolType;
  }
  if (value === null) return nullType;
  return value instanceof CelUint ? uintType : bytesType;
}

// Which types can stand where which are wanted, with type parameters that are bound as calls are resolved: upstream's rules.
// dyn stands for anything; null for objects, opaque types, timestamps, durations and wrappers; containers need parts that fit.

import { type CelType, dynType, stringType } from "../types.ts";

export const isDyn = (type: CelType): boolean => type.kind === "dyn";
const isDynOrError = (type: CelType): boolean => type.kind === "dyn" || type.kind === "error";

/** Whether two types are the same, without regard to sizes. */
export function isSameType(a: CelType, b: CelType): boolean {
  if (a === b) return true;
  switch (a.kind) {
    case "list":
      return b.kind === "list" && isSameType(a.items, b.items);
    case "map":
      return b.kind === "map" && isSameType(a.keys ?? stringType, b.keys ?? stringType) && isSameType(a.values, b.values);
    case "object":
    case "opaque":
    case "parameter":
      return a.kind === b.kind && a.name === b.name;
    case "optional":
    case "wrapper":
      return a.kind === b.kind && isSameType(a.of, b.of);
    case "type":
      return b.kind === "type" && (a.of && b.of ? isSameType(a.of, b.of) : a.of === b.of);
    default:
      return a.kind === b.kind;
  }
}

function partsOf(type: CelType): readonly CelType[] {
  switch (type.kind) {
    case "list":
      return [type.items];
    case "map":
      return [type.keys ?? stringType, type.values];
    case "optional":
      return [type.of];
    case "type":
      return type.of ? [type.of] : [];
    default:
      return [];
  }
}

/** Whether a is b or leaves more open: dyn and type parameters leave everything open. */
function isAtMostAsSpecific(a: CelType, b: CelType): boolean {
  if (isDyn(a) || a.kind === "parameter") return true;
  if (isDyn(b) || b.kind === "parameter" || a.kind !== b.kind) return false;
  if (a.kind === "type") return true;
  const [parts, others] = [partsOf(a), partsOf(b)];
  if (parts.length === 0) return isSameType(a, b);
  return parts.every((part, index) => isAtMostAsSpecific(part, others[index] as CelType));
}

export const mostGeneral = (a: CelType, b: CelType): CelType => (isAtMostAsSpecific(a, b) ? a : b);

/** What type parameters are bound to. */
export class Bindings {
  readonly #bound = new Map<string, CelType>();
  /** What was changed since the attempt in hand began: names and what they were before. */
  #changes: (readonly [string, CelType | undefined])[] = [];
  #fresh = 0;

  /** A type parameter that nothing is known of. */
  freshParameter(): CelType {
    return { kind: "parameter", name: `_var${this.#fresh++}` };
  }

  /** Whether a value of one type can stand where the other is wanted. If so, parameters are bound by that. */
  isAssignable(from: CelType, to: CelType): boolean {
    return this.#attempt(() => this.#assigns(from, to));
  }

  areAssignable(from: readonly CelType[], to: readonly CelType[]): boolean {
    return from.length === to.length && this.#attempt(() => this.#allAssign(from, to));
  }

  #attempt(attempt: () => boolean): boolean {
    this.#changes = [];
    if (attempt()) return true;
    for (const [name, before] of this.#changes.reverse()) {
      if (before === undefined) this.#bound.delete(name);
      else this.#bound.set(name, before);
    }
    return false;
  }

  #bind(name: string, type: CelType): void {
    this.#changes.push([name, this.#bound.get(name)]);
    this.#bound.set(name, type);
  }

  #allAssign(from: readonly CelType[], to: readonly CelType[]): boolean {
    return from.length === to.length && from.every((type, index) => this.#assigns(type, to[index] as CelType));
  }

  #assigns(from: CelType, to: CelType): boolean {
    if (to.kind === "parameter") {
      const found = this.#standsFor(from, to);
      if (found === "yes") return true;
      if (found === "bound otherwise") return false;
    }
    if (from.kind === "parameter") return this.#standsFor(to, from) === "yes";
    if (isDynOrError(from) || isDynOrError(to)) return true;
    if (from.kind === "null") return takesNull(to);
    if (to.kind === "null") return takesNull(from);
    if (to.kind === "wrapper") return this.#assigns(from.kind === "wrapper" ? from.of : from, to.of);
    if (from.kind === "wrapper") return this.#assigns(from.of, to);
    if (from.kind !== to.kind) return false;
    switch (from.kind) {
      case "type":
        return true;
      case "object":
      case "opaque":
        return isSameType(from, to);
      default:
        return this.#allAssign(partsOf(from), partsOf(to));
    }
  }

  /** Whether the parameter can stand for the type; binds it. */
  #standsFor(type: CelType, parameter: CelType & { kind: "parameter" }): "yes" | "no" | "bound otherwise" {
    if (isSameType(type, parameter)) return "yes";
    const bound = this.#bound.get(parameter.name);
    if (bound) {
      if (isSameType(type, bound)) return "yes";
      if (!this.#assigns(type, bound)) return "bound otherwise";
      const wider = mostGeneral(type, bound);
      if (!this.#occursIn(parameter, wider)) this.#bind(parameter.name, wider);
      return "yes";
    }
    if (this.#occursIn(parameter, type)) return "no";
    this.#bind(parameter.name, type);
    return "yes";
  }

  #occursIn(parameter: CelType, type: CelType): boolean {
    if (isSameType(parameter, type)) return true;
    if (type.kind === "parameter") {
      const bound = this.#bound.get(type.name);
      return bound !== undefined && this.#occursIn(parameter, bound);
    }
    return partsOf(type).some((part) => this.#occursIn(parameter, part));
  }

  /** The type with what its parameters are bound to; with `toDyn`, free ones become dyn. */
  resolve(type: CelType, toDyn = false): CelType {
    switch (type.kind) {
      case "parameter": {
        const bound = this.#bound.get(type.name);
        if (bound) return this.resolve(bound, toDyn);
        return toDyn ? dynType : type;
      }
      case "list": {
        const items = this.resolve(type.items, toDyn);
        return items === type.items ? type : { kind: "list", items };
      }
      case "map": {
        const keys = this.resolve(type.keys ?? stringType, toDyn);
        const values = this.resolve(type.values, toDyn);
        return keys === (type.keys ?? stringType) && values === type.values ? type : { kind: "map", keys, values };
      }
      case "optional": {
        const of = this.resolve(type.of, toDyn);
        return of === type.of ? type : { kind: "optional", of };
      }
      case "type": {
        const of = type.of && this.resolve(type.of, toDyn);
        return of === undefined || of === type.of ? type : { kind: "type", of };
      }
      default:
        return type;
    }
  }
}

function takesNull(type: CelType): boolean {
  // The type of what has none.
  if (type.kind === "opaque" && type.name === "") return false;
  return ["object", "opaque", "optional", "timestamp", "duration", "wrapper", "null"].includes(type.kind);
}

/** Replaces type parameters by others, by name. */
export function renameParameters(type: CelType, names: ReadonlyMap<string, CelType>): CelType {
  switch (type.kind) {
    case "parameter":
      return names.get(type.name) ?? type;
    case "list":
      return { kind: "list", items: renameParameters(type.items, names) };
    case "map":
      return { kind: "map", keys: renameParameters(type.keys ?? stringType, names), values: renameParameters(type.values, names) };
    case "optional":
      return { kind: "optional", of: renameParameters(type.of, names) };
    case "type":
      return type.of ? { kind: "type", of: renameParameters(type.of, names) } : type;
    default:
      return type;
  }
}

/** Names of the type parameters that types mention. */
export function parameterNames(types: readonly CelType[], names = new Set<string>()): ReadonlySet<string> {
  for (const type of types) {
    if (type.kind === "parameter") names.add(type.name);
    else parameterNames(partsOf(type), names);
  }
  return names;
}

// Types of expressions: what a variable is declared as, what a function takes and gives, what a result is. A type can carry the
// largest size of its values, which is what the estimate of an expression's cost is computed from. Types are plain values:
// made by whoever knows the schema, compared by their structure, shared freely.

import type { CelValue } from "./values.ts";

/** The type of a declared variable, of a parameter, of an expression's result. */
export type CelType =
  | CelSimpleType
  | CelListType
  | CelMapType
  | CelObjectType
  | CelOpaqueType
  | CelOptionalType
  | CelTypeType
  | CelNullableType
  | CelTypeParameter;

/** "error" is what the checker gives to an expression that it has complained about; no compiled expression has it. */
export type CelSimpleKind = "dyn" | "bool" | "int" | "uint" | "double" | "string" | "bytes" | "null" | "timestamp" | "duration" | "error";

interface Declared {
  /**
   * The largest number of elements that a value has: characters of a string, bytes, items, entries. What upstream calls
   * MaxElements of a declaration: where it is set (also to 0, as upstream does for numbers), estimates take 0…maxSize as the
   * size of what is reached by this declaration; where it is absent, strings and collections are of unknown size.
   */
  readonly maxSize?: number;
  /**
   * Makes the value of JSON of this type, where it is not what adapt.ts makes of it by the kind: a list that is a set or a map has
   * its own equality and `+` (a CelList of its own), a string of some format is something else. Throws CelError.
   */
  readonly adapt?: (json: unknown) => CelValue;
}

export interface CelSimpleType extends Declared {
  readonly kind: CelSimpleKind;
}

export interface CelListType extends Declared {
  readonly kind: "list";
  readonly items: CelType;
}

export interface CelMapType extends Declared {
  readonly kind: "map";
  /** Default: string. */
  readonly keys?: CelType;
  readonly values: CelType;
}

export interface CelObjectType extends Declared {
  readonly kind: "object";
  /** As error messages and `type(x)` name it: "apps.v1.Deployment", "Object.spec", "kubernetes.Quantity". */
  readonly name: string;
  /** A field by the name that an expression uses (escaped where the schema's name is no identifier). Asked lazily: types may refer to each other in circles. */
  readonly field: (name: string) => CelField | undefined;
  /** Every field's name, in no special order. Absent where any name is a field: values then list what their JSON has. */
  readonly fieldNames?: () => Iterable<string>;
  /** What `Name{field: value}` makes. Default: a CelRecord of the fields. Throws CelError. */
  readonly create?: (fields: ReadonlyMap<string, CelValue>) => CelValue;
}

export interface CelField {
  readonly type: CelType;
  /** The property of the JSON object, where it is not the field's name (`__namespace__` is "namespace"). */
  readonly property?: string;
}

/** A type of a library whose values only its functions know: "net.IP", "kubernetes.NamedFormat". */
export interface CelOpaqueType extends Declared {
  readonly kind: "opaque";
  readonly name: string;
}

/** optional_type(of). */
export interface CelOptionalType extends Declared {
  readonly kind: "optional";
  readonly of: CelType;
}

/** The type of a type: of `int`, of `type(x)`. */
export interface CelTypeType extends Declared {
  readonly kind: "type";
  readonly of?: CelType;
}

/** wrapper(of): a scalar or null. */
export interface CelNullableType extends Declared {
  readonly kind: "wrapper";
  readonly of: CelSimpleType;
}

/** A type parameter of an overload ("A" in list(A) + list(A)): any type, the same one at each place in one call. */
export interface CelTypeParameter extends Declared {
  readonly kind: "parameter";
  readonly name: string;
}

export const dynType: CelSimpleType = { kind: "dyn" };
export const boolType: CelSimpleType = { kind: "bool" };
export const intType: CelSimpleType = { kind: "int" };
export const uintType: CelSimpleType = { kind: "uint" };
export const doubleType: CelSimpleType = { kind: "double" };
export const stringType: CelSimpleType = { kind: "string" };
export const bytesType: CelSimpleType = { kind: "bytes" };
export const nullType: CelSimpleType = { kind: "null" };
export const timestampType: CelSimpleType = { kind: "timestamp" };
export const durationType: CelSimpleType = { kind: "duration" };
export const errorType: CelSimpleType = { kind: "error" };
export const typeType: CelTypeType = { kind: "type" };

export const listOf = (items: CelType): CelListType => ({ kind: "list", items });
export const mapOf = (keys: CelType, values: CelType): CelMapType => ({ kind: "map", keys, values });
export const optionalOf = (of: CelType): CelOptionalType => ({ kind: "optional", of });
export const typeParameter = (name: string): CelTypeParameter => ({ kind: "parameter", name });

/** An object type whose fields are known once asked for. */
export function celObjectType(name: string, fields: () => ReadonlyMap<string, CelField>): CelObjectType {
  let known: ReadonlyMap<string, CelField> | undefined;
  const all = (): ReadonlyMap<string, CelField> => (known ??= fields());
  return { kind: "object", name, field: (field) => all().get(field), fieldNames: () => all().keys() };
}

const simpleNames: Readonly<Record<CelSimpleKind, string>> = {
  dyn: "dyn",
  bool: "bool",
  int: "int",
  uint: "uint",
  double: "double",
  string: "string",
  bytes: "bytes",
  null: "null",
  timestamp: "timestamp",
  duration: "duration",
  error: "!error!",
};

/** A type as messages show it: "list(int)", "map(string, dyn)", "optional_type(string)". */
export function formatCelType(type: CelType): string {
  switch (type.kind) {
    case "list":
      return `list(${formatCelType(type.items)})`;
    case "map":
      return `map(${formatCelType(type.keys ?? stringType)}, ${formatCelType(type.values)})`;
    case "object":
    case "opaque":
    case "parameter":
      return type.name;
    case "optional":
      return `optional_type(${formatCelType(type.of)})`;
    case "type":
      return type.of ? `type(${formatCelType(type.of)})` : "type";
    case "wrapper":
      return `wrapper(${formatCelType(type.of)})`;
    default:
      return simpleNames[type.kind];
  }
}

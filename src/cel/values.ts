// What expressions compute with. Five kinds are plain JavaScript values: null, boolean, bigint (int), number (double), string;
// Uint8Array is bytes; the others are classes of this file. JSON becomes values lazily (adapt.ts): a list or object of JSON is
// wrapped where it lies and its parts are wrapped when they are read, by their declared types.
//
// A library that has values of its own extends CelOpaque. Values are immutable.

export type CelValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | CelUint
  | CelTimestamp
  | CelDuration
  | CelList
  | CelMap
  | CelObject
  | CelOptional
  | CelTypeValue
  | CelOpaque;

/** An unsigned integer of 64 bits. */
export class CelUint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** An instant between the years 1 and 9999, in nanoseconds since the epoch. */
export class CelTimestamp {
  readonly nanoseconds: bigint;
  /** The zone it was written in, seconds east of UTC: what string() writes it in again. */
  readonly offset: number;
  constructor(nanoseconds: bigint, offset = 0) {
    this.nanoseconds = nanoseconds;
    this.offset = offset;
  }
}

/** Nanoseconds, within 64 bits. */
export class CelDuration {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export abstract class CelList {
  abstract readonly size: number;
  /** The item at an index that is within the list. */
  abstract at(index: number): CelValue;
  /** Whether another value is equal; undefined for the usual answer: a list of the same size with equal items. */
  equals?(other: CelValue): boolean;
  /** `+`; absent for the usual one: the items of both, in order. */
  concat?(other: CelList): CelList;

  *[Symbol.iterator](): Iterator<CelValue> {
    for (let index = 0; index < this.size; index++) yield this.at(index);
  }
}

/** A list whose items are values already. */
export class CelArray extends CelList {
  readonly items: readonly CelValue[];
  constructor(items: readonly CelValue[]) {
    super();
    this.items = items;
  }
  get size(): number {
    return this.items.length;
  }
  at(index: number): CelValue {
    return this.items[index] as CelValue;
  }
}

export abstract class CelMap {
  abstract readonly size: number;
  /** The value of a key (an equal number of another type finds it too), undefined where there is none. */
  abstract find(key: CelValue): CelValue | undefined;
  /** What `in` says of a key, where find() gives something for keys that are not in the map. */
  has?(key: CelValue): boolean;
  abstract keys(): Iterable<CelValue>;
  equals?(other: CelValue): boolean;
}

/** A structure with declared fields: what an object type's JSON is wrapped as, and what `Name{…}` makes. */
export abstract class CelObject {
  abstract readonly typeName: string;
  /** How many fields are set. */
  abstract readonly size: number;
  /** A field's value by the name that an expression uses; undefined where it is not set. Throws CelError where there is no such field. */
  abstract find(field: string): CelValue | undefined;
  /** Names of the fields that are set. */
  abstract fields(): Iterable<string>;
  abstract toJson(): unknown;
  equals?(other: CelValue): boolean;
}

export class CelOptional {
  static readonly none = new CelOptional(undefined);
  /** undefined: none. */
  readonly value: CelValue | undefined;
  private constructor(value: CelValue | undefined) {
    this.value = value;
  }
  static of(value: CelValue): CelOptional {
    return new CelOptional(value);
  }
}

/** A type as a value: `int`, `type(x)`. */
export class CelTypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A value of a library: a quantity, an address, an authorizer. */
export abstract class CelOpaque {
  /** The name of its CelOpaqueType or CelObjectType. */
  abstract readonly typeName: string;
  abstract equals(other: CelValue): boolean;
  /** What it is as JSON. Throws CelError where it is nothing (an authorizer). */
  abstract toJson(): unknown;
  /** Its size for costs; absent: 1. */
  readonly size?: number;
  /** Whether optional.ofNonZeroValue takes it as empty. Absent: never. */
  isZero?(): boolean;
}

/** The type of a value as `type(x)` names it: "int", "list", "google.protobuf.Timestamp", "net.IP". */
export function celTypeName(value: CelValue): string {
  switch (typeof value) {
    case "string":
      return "string";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "boolean":
      return "bool";
  }
  if (value === null) return "null_type";
  if (value instanceof CelList) return "list";
  if (value instanceof CelMap) return "map";
  if (value instanceof CelObject || value instanceof CelOpaque) return value.typeName;
  if (value instanceof CelUint) return "uint";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof CelTimestamp) return "google.protobuf.Timestamp";
  if (value instanceof CelDuration) return "google.protobuf.Duration";
  if (value instanceof CelOptional) return "optional_type";
  return "type";
}

/** Whether something given as a variable is a value already, and not JSON to be wrapped. Plain JavaScript values are JSON. */
export function isCelInstance(value: unknown): value is CelValue {
  return (
    value instanceof CelList ||
    value instanceof CelMap ||
    value instanceof CelObject ||
    value instanceof CelOpaque ||
    value instanceof CelUint ||
    value instanceof CelTimestamp ||
    value instanceof CelDuration ||
    value instanceof CelOptional ||
    value instanceof CelTypeValue ||
    value instanceof Uint8Array
  );
}

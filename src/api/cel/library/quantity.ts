// Quantities of resources: parsed, compared, added, and turned into numbers where they are whole.
import { CelError } from "../../../cel/cel.ts";
import type { CelLibrary, CelOverload } from "../../../cel/library.ts";
import { boolType, type CelObjectType, type CelType, doubleType, intType, stringType } from "../../../cel/types.ts";
import { CelOpaque, type CelValue } from "../../../cel/values.ts";
import { isQuantity, parseQuantity, Quantity, QuantityError } from "../../meta/quantity.ts";
import { costByText, withUnitResults } from "./costs.ts";
import { fieldless } from "./values.ts";

export const quantityType: CelObjectType = fieldless("kubernetes.Quantity");

const maxInt = 2n ** 63n - 1n;
const nanosPerUnit = 1_000_000_000n;

class CelQuantity extends CelOpaque {
  readonly typeName = quantityType.name;
  readonly quantity: Quantity;
  /** The power of ten that it is kept in; undefined where upstream keeps it in its slow form, which never counts as an integer. */
  readonly scale: number | undefined;

  constructor(quantity: Quantity, scale: number | undefined) {
    super();
    this.quantity = quantity;
    this.scale = scale;
  }

  /** As a whole number, where upstream can tell it is one. */
  get integer(): bigint | undefined {
    if (this.scale === undefined || this.scale < 0) return undefined;
    const units = this.quantity.nanos / nanosPerUnit;
    return units > maxInt || units < -maxInt ? undefined : units;
  }

  plus(other: CelQuantity): CelQuantity {
    return new CelQuantity(this.quantity.add(other.quantity), this.#scaleWith(other));
  }

  minus(other: CelQuantity): CelQuantity {
    return new CelQuantity(this.quantity.sub(other.quantity), this.#scaleWith(other));
  }

  #scaleWith(other: CelQuantity): number | undefined {
    if (this.scale === undefined || other.scale === undefined) return undefined;
    if (this.quantity.isZero) return other.scale;
    return other.quantity.isZero ? this.scale : Math.min(this.scale, other.scale);
  }

  equals(other: CelValue): boolean {
    return other instanceof CelQuantity && other.quantity.equals(this.quantity);
  }

  toJson(): unknown {
    return this.quantity.toString();
  }
}

const ofInteger = (value: CelValue | undefined): CelQuantity =>
  new CelQuantity(Quantity.ofNanos((value as bigint) * nanosPerUnit, "DecimalExponent"), 0);

/** Throws CelError. */
export const celQuantity = (text: string | number): CelOpaque => parse(String(text));

function parse(text: string): CelQuantity {
  try {
    return new CelQuantity(parseQuantity(text), scaleOf(text));
  } catch (error) {
    if (!(error instanceof QuantityError)) throw error;
    throw new CelError(error.message, { cause: error });
  }
}

const exponents: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

function scaleOf(text: string): number | undefined {
  const [, whole = "", fraction = "", suffix = ""] = /^[+-]?0*(\d*)(?:\.(\d*))?(.*)$/.exec(text) ?? [];
  const binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].indexOf(suffix) + 1;
  if (binary > 0) return fraction === "" && 14 - whole.length - Math.trunc(binary * 3) >= 0 ? 0 : undefined;
  const exponent = exponents[suffix] ?? Number(suffix.slice(1));
  const scale = exponent - fraction.length;
  return whole.length + fraction.length <= 18 && scale >= -9 ? scale : undefined;
}

type Read<T> = (quantity: CelQuantity, other: CelQuantity) => T;

const on = (id: string, result: CelType, read: Read<CelValue>, member = true): CelOverload => ({
  id,
  member,
  parameters: [quantityType],
  result,
  call: ([quantity]) => read(quantity as CelQuantity, quantity as CelQuantity),
});

const onTwo = (id: string, result: CelType, read: Read<CelValue>): CelOverload => ({
  id,
  member: true,
  parameters: [quantityType, quantityType],
  result,
  call: ([quantity, other]) => read(quantity as CelQuantity, other as CelQuantity),
});

const withInteger = (id: string, read: Read<CelValue>): CelOverload => ({
  id,
  member: true,
  parameters: [quantityType, intType],
  result: quantityType,
  call: ([quantity, number]) => read(quantity as CelQuantity, ofInteger(number)),
});

function integerOf({ integer }: CelQuantity): bigint {
  if (integer === undefined) throw new CelError("cannot convert value to integer");
  return integer;
}

const compare: Read<number> = ({ quantity }, { quantity: other }) => quantity.compare(other);

export const quantityLibrary: CelLibrary = {
  name: "kubernetes.quantity",
  functions: withUnitResults([
    {
      name: "quantity",
      overloads: [
        {
          id: "string_to_quantity",
          parameters: [stringType],
          result: quantityType,
          call: ([text]) => parse(text as string),
          ...costByText(),
        },
      ],
    },
    {
      name: "isQuantity",
      overloads: [
        {
          id: "is_quantity_string",
          parameters: [stringType],
          result: boolType,
          call: ([text]) => isQuantity(text as string),
          ...costByText(),
        },
      ],
    },
    { name: "sign", overloads: [on("quantity_sign", intType, ({ quantity }) => BigInt(quantity.sign), false)] },
    { name: "isGreaterThan", overloads: [onTwo("quantity_is_greater_than", boolType, (a, b) => compare(a, b) > 0)] },
    { name: "isLessThan", overloads: [onTwo("quantity_is_less_than", boolType, (a, b) => compare(a, b) < 0)] },
    { name: "compareTo", overloads: [onTwo("quantity_compare_to", intType, (a, b) => BigInt(compare(a, b)))] },
    { name: "asApproximateFloat", overloads: [on("quantity_get_float", doubleType, ({ quantity }) => quantity.toNumber())] },
    { name: "asInteger", overloads: [on("quantity_get_int", intType, integerOf)] },
    { name: "isInteger", overloads: [on("quantity_is_integer", boolType, ({ integer }) => integer !== undefined)] },
    {
      name: "add",
      overloads: [onTwo("quantity_add", quantityType, (a, b) => a.plus(b)), withInteger("quantity_add_int", (a, b) => a.plus(b))],
    },
    {
      name: "sub",
      overloads: [onTwo("quantity_sub", quantityType, (a, b) => a.minus(b)), withInteger("quantity_sub_int", (a, b) => a.minus(b))],
    },
  ]),
};

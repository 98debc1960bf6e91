// Amounts of resources finer than a thousandth are rounded up to one, wherever objects list them.
import { parseQuantity } from "../meta/quantity.ts";
import { change } from "./fill.ts";

type Quantities = Readonly<Record<string, string | number>>;

/** Texts that may be finer than a thousandth: micros, nanos, negative exponents or many decimals. */
const mayBeFine = /[nu]$|[eE]-|\.\d{4}/;

export function roundedQuantities<Q extends Quantities>(quantities: Q): Q {
  let rounded: Record<string, string | number> | undefined;
  for (const name in quantities) {
    const text = quantities[name] ?? "";
    if (typeof text !== "string" || !mayBeFine.test(text)) continue;
    const quantity = parseQuantity(text);
    const coarse = quantity.roundUp(-3);
    if (coarse === quantity) continue;
    rounded ??= { ...quantities };
    rounded[name] = coarse.toString();
  }
  return (rounded ?? quantities) as Q;
}

/** `change` for fields that list quantities. */
export function roundFields<T extends object>(object: T, ...fields: readonly (keyof T)[]): T {
  let next = object;
  for (const field of fields) next = change(next, field, (quantities) => roundedQuantities(quantities as Quantities) as T[typeof field]);
  return next;
}

// Lists whose items are told apart by what they are (sets) or by their keys (map lists): equal in any order, and added so that
// no item is there twice.
import { adaptJson } from "../../cel/adapt.ts";
import { CelError } from "../../cel/cel-error.ts";
import { celEquals } from "../../cel/compare.ts";
import { celToJson } from "../../cel/json.ts";
import type { CelListType, CelType } from "../../cel/types.ts";
import { CelList, type CelValue } from "../../cel/values.ts";
import { isJsonObject, jsonKey } from "../structural/json.ts";

type KeyOf = (item: unknown) => string;

class KeyedList extends CelList {
  readonly #items: readonly unknown[];
  readonly #itemType: CelType;
  readonly #keyOf: KeyOf;
  #byKey: ReadonlyMap<string, number> | undefined;

  constructor(items: readonly unknown[], itemType: CelType, keyOf: KeyOf) {
    super();
    this.#items = items;
    this.#itemType = itemType;
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#items.length;
  }

  at(index: number): CelValue {
    return adaptJson(this.#items[index], this.#itemType);
  }

  /** Indexes by keys. */
  get #indexes(): ReadonlyMap<string, number> {
    return (this.#byKey ??= new Map(this.#items.map((item, i) => [this.#keyOf(item), i])));
  }

  override equals(other: CelValue): boolean {
    if (!(other instanceof CelList) || other.size !== this.size) return false;
    for (const item of other) {
      const index = this.#indexes.get(this.#keyOf(celToJson(item)));
      if (index === undefined || !celEquals(this.at(index), item)) return false;
    }
    return true;
  }

  /** Items of the other list take the place of those with their keys. */
  override concat(other: CelList): CelList {
    const items = [...this.#items];
    const indexes = new Map(this.#indexes);
    for (const value of other) {
      const item = celToJson(value);
      const key = this.#keyOf(item);
      const index = indexes.get(key) ?? items.length;
      items[index] = item;
      indexes.set(key, index);
    }
    return new KeyedList(items, this.#itemType, this.#keyOf);
  }
}

/** What a list type says of its values where items are told apart by themselves. */
export const setOf = (items: CelType): Pick<CelListType, "adapt"> => keyed(items, jsonKey);

/** The same where they are told apart by keys. */
export const mapListOf = (items: CelType, keys: readonly string[]): Pick<CelListType, "adapt"> =>
  keyed(items, (item) => jsonKey(keys.map((key) => (isJsonObject(item) ? (item[key] ?? null) : null))));

const keyed = (items: CelType, keyOf: KeyOf): Pick<CelListType, "adapt"> => ({
  adapt: (json) => {
    if (Array.isArray(json)) return new KeyedList(json, items, keyOf);
    throw new CelError("invalid data, expected an array for the provided schema with type=array");
  },
});

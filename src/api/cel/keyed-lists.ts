// Lists whose items are told apart by what they are (sets) or by their keys (map lists): equal in any order, and added so that
// no item is there twice.
import { adaptJson } from "../../cel/adapt.ts";
import { celEquals } from "../../cel/equality.ts";
import type { CelListType } from "../../cel/types.ts";
import { CelList, type CelValue, celToJson } from "../../cel/values.ts";
import { isJsonObject, jsonKey } from "../structural/json.ts";

type KeyOf = (item: unknown) => string;

class KeyedList extends CelList {
  readonly #items: readonly unknown[];
  readonly #type: CelListType;
  readonly #keyOf: KeyOf;
  #byKey: ReadonlyMap<string, number> | undefined;

  constructor(items: readonly unknown[], type: CelListType, keyOf: KeyOf) {
    super();
    this.#items = items;
    this.#type = type;
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#items.length;
  }

  at(index: number): CelValue {
    return adaptJson(this.#items[index], this.#type.items);
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
    return new KeyedList(items, this.#type, this.#keyOf);
  }
}

export const wrapSet: NonNullable<CelListType["wrap"]> = (items, type) => new KeyedList(items, type, jsonKey);

export function wrapMapList(keys: readonly string[]): NonNullable<CelListType["wrap"]> {
  const keyOf: KeyOf = (item) => jsonKey(keys.map((key) => (isJsonObject(item) ? (item[key] ?? null) : null)));
  return (items, type) => new KeyedList(items, type, keyOf);
}

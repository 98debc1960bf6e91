// Small values and types that several libraries make.
import type { CelObjectType } from "../../../cel/types.ts";
import { CelMap, type CelValue } from "../../../cel/values.ts";

/** The type of values that only functions look into. */
export const fieldless = (name: string): CelObjectType => ({ kind: "object", name, field: () => undefined, fieldNames: () => [] });

/** A map of texts to values. */
export class CelEntries extends CelMap {
  readonly #entries: ReadonlyMap<string, CelValue>;

  constructor(entries: ReadonlyMap<string, CelValue>) {
    super();
    this.#entries = entries;
  }

  get size(): number {
    return this.#entries.size;
  }

  find(key: CelValue): CelValue | undefined {
    return typeof key === "string" ? this.#entries.get(key) : undefined;
  }

  keys(): Iterable<CelValue> {
    return this.#entries.keys();
  }
}

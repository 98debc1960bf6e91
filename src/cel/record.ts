// A structure that an expression made: `Name{field: value}` of a type that has no value of its own.

import { celToJson } from "./json.ts";
import type { CelObjectType } from "./types.ts";
import { CelObject, type CelValue } from "./values.ts";

export class CelRecord extends CelObject {
  readonly #type: CelObjectType;
  readonly #fields: ReadonlyMap<string, CelValue>;

  constructor(type: CelObjectType, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.#type = type;
    this.#fields = fields;
  }

  get typeName(): string {
    return this.#type.name;
  }

  get size(): number {
    return this.#fields.size;
  }

  find(field: string): CelValue | undefined {
    return this.#fields.get(field);
  }

  fields(): Iterable<string> {
    return this.#fields.keys();
  }

  toJson(): unknown {
    return Object.fromEntries([...this.#fields].map(([name, value]) => [this.#type.field(name)?.property ?? name, celToJson(value)]));
  }
}

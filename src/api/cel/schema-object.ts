// Objects of a schema as values: a field that is null counts as one that is not there, and what the schema does not know counts
// where two are compared.

import { adaptJson, JsonObject } from "../../cel/adapt.ts";
import { CelError } from "../../cel/cel-error.ts";
import { celEquals } from "../../cel/compare.ts";
import type { CelObjectType, CelType } from "../../cel/types.ts";
import type { CelValue } from "../../cel/values.ts";
import { isJsonObject, sameJson } from "../structural/json.ts";

class SchemaObject extends JsonObject {
  readonly #type: CelObjectType;

  constructor(json: Readonly<Record<string, unknown>>, type: CelObjectType) {
    super(json, type);
    this.#type = type;
  }

  get #propertyTypes(): ReadonlyMap<string, CelType> {
    const types = new Map<string, CelType>();
    for (const name of this.#type.fieldNames?.() ?? []) {
      const field = this.#type.field(name);
      if (field) types.set(field.property ?? name, field.type);
    }
    return types;
  }

  override find(name: string): CelValue | undefined {
    return super.find(name) ?? undefined;
  }

  override equals(other: CelValue): boolean {
    if (!(other instanceof SchemaObject) || other.size !== this.size) return false;
    const types = this.#propertyTypes;
    return Object.entries(this.json).every(([property, value]) => {
      const type = types.get(property);
      const isThere = Object.hasOwn(other.json, property);
      if (!type) return !isThere || sameJson(value, other.json[property]);
      return isThere && celEquals(adaptJson(value, type), adaptJson(other.json[property], type));
    });
  }
}

/** The type with values of this kind. */
export function withoutNulls(type: CelObjectType): CelObjectType {
  return {
    ...type,
    adapt: (json) => {
      if (isJsonObject(json)) return new SchemaObject(json, type);
      throw new CelError("invalid data, expected a map for the provided schema with type=object");
    },
  };
}

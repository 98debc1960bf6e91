// Objects of a schema as values: a field that is null counts as one that is not there.

import { JsonObject } from "../../cel/adapt.ts";
import { CelError } from "../../cel/cel-error.ts";
import type { CelObjectType } from "../../cel/types.ts";
import type { CelValue } from "../../cel/values.ts";
import { isJsonObject } from "../structural/json.ts";

class SchemaObject extends JsonObject {
  override find(name: string): CelValue | undefined {
    return super.find(name) ?? undefined;
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

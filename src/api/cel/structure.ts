// Types of objects that are written down here rather than found in a schema.
import { type CelField, type CelObjectType, type CelType, celObjectType } from "../../cel/types.ts";

/** An object type of these fields; what they may hold is not bounded. */
export function structure(name: string, fields: Readonly<Record<string, CelType>>): CelObjectType {
  return celObjectType(name, () => new Map(Object.entries(fields).map(([field, type]): [string, CelField] => [field, { type }])));
}

// Names of types as values: `type(x) == int`.

import type { CelConstant } from "../library.ts";
import {
  boolType, bytesType, type CelType, doubleType, durationType, dynType, intType, listOf, mapOf, nullType, stringType, timestampType, typeParameter, typeType, uintType,
} from "../types.ts"; // biome-ignore format: a list
import { CelTypeValue } from "../values.ts";

const named: readonly (readonly [string, CelType])[] = [
  ["bool", boolType],
  ["bytes", bytesType],
  ["double", doubleType],
  ["google.protobuf.Duration", durationType],
  ["int", intType],
  ["list", listOf(typeParameter("A"))],
  ["map", mapOf(typeParameter("A"), typeParameter("B"))],
  ["null_type", nullType],
  ["string", stringType],
  ["google.protobuf.Timestamp", timestampType],
  ["type", typeType],
  ["uint", uintType],
];

const runtimeNames: Readonly<Partial<Record<CelType["kind"], string>>> = {
  null: "null_type",
  timestamp: "google.protobuf.Timestamp",
  duration: "google.protobuf.Duration",
  optional: "optional_type",
};

/** The value of a type's name. */
export function typeValueOf(type: CelType): CelTypeValue {
  const name = type.kind === "object" || type.kind === "opaque" ? type.name : type.kind === "wrapper" ? type.of.kind : type.kind;
  return new CelTypeValue(runtimeNames[type.kind] ?? name);
}

/** A constant that is a type's name. */
function typeConstant(name: string, type: CelType): CelConstant {
  return { name, type: { kind: "type", of: type }, value: typeValueOf(type) };
}

export const typeNames: readonly CelConstant[] = [
  ...named.map(([name, type]) => typeConstant(name, type)),
  typeConstant("optional_type", { kind: "optional", of: dynType }),
];

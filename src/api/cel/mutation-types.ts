// Types that expressions of mutating policies make values of: JSONPatch{op: …} and Object{spec: Object.spec{…}}, whose fields
// are whatever the expression says; the path of an object's type has to be that of the field it stands in.
import type { CelLibrary } from "../../cel/library.ts";
import { type CelObjectType, type CelType, dynType, stringType } from "../../cel/types.ts";
import { CelList, CelMap, CelObject, type CelValue } from "../../cel/values.ts";
import { costByText } from "./library/costs.ts";
import { structure } from "./structure.ts";

export const jsonPatchType: CelObjectType = structure("JSONPatch", { op: stringType, path: stringType, from: stringType, value: dynType });

export const configurationType: CelObjectType = configurationTypeOf("Object");

function configurationTypeOf(name: string): CelObjectType {
  return { kind: "object", name, field: () => ({ type: dynType }) };
}

/** The types of mutating policies by name. */
export function mutationType(name: string): CelType | undefined {
  if (name === jsonPatchType.name) return jsonPatchType;
  return name === "Object" || name.startsWith("Object.") ? configurationTypeOf(name) : undefined;
}

/** Names of types in a configuration that are not those of their places. */
export function misplacedTypes(value: CelValue, path = "Object"): readonly string[] {
  if (value instanceof CelList) return [...value].flatMap((item) => misplacedTypes(item, path));
  if (value instanceof CelMap) return [...value.keys()].flatMap((key) => misplacedTypes(value.find(key) ?? null, path));
  if (!(value instanceof CelObject)) return [];
  const expected = `expected ${JSON.stringify(path)}, which matches field name path from root Object type`;
  return [
    ...(value.typeName === path ? [] : [`unexpected type name ${JSON.stringify(value.typeName)}, ${expected}`]),
    ...[...value.fields()].flatMap((field) => misplacedTypes(value.find(field) ?? null, `${path}.${field}`)),
  ];
}

export const jsonPatchLibrary: CelLibrary = {
  name: "kubernetes.jsonpatch",
  functions: [
    {
      name: "jsonpatch.escapeKey",
      overloads: [
        {
          id: "string_jsonpatch_escapeKey_string",
          parameters: [stringType],
          result: stringType,
          call: ([key]) => (key as string).replace(/[~/]/g, (character) => (character === "~" ? "~0" : "~1")),
          ...costByText(),
        },
      ],
    },
  ],
};

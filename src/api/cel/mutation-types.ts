// Types that expressions of mutating policies make values of: JSONPatch{op: …} and Object{spec: Object.spec{…}}, whose fields
// are whatever the expression says; the path of an object's type has to be that of the field it stands in.
import { CelError } from "../../cel/cel-error.ts";
import type { CelLibrary } from "../../cel/library.ts";
import { CelRecord } from "../../cel/record.ts";
import { type CelObjectType, type CelType, dynType, stringType } from "../../cel/types.ts";
import { CelList, CelMap, CelObject, type CelValue } from "../../cel/values.ts";
import { costByText } from "./library/costs.ts";
import { structure } from "./structure.ts";

const operation = structure("JSONPatch", { op: stringType, path: stringType, from: stringType, value: dynType });

/** Upstream's knows every field by name, but no type of those that operations do not have: only what is dyn can be one. */
export const jsonPatchType: CelObjectType = {
  ...operation,
  field: (name) => operation.field(name) ?? { type: { kind: "opaque", name: "" } },
  create(fields) {
    for (const name of fields.keys()) if (!operation.field(name)) throw new CelError(`unexpected JSONPatchType field: ${name}`);
    return new CelRecord(operation, fields);
  },
};

export const configurationType: CelObjectType = configurationTypeOf("Object");

function configurationTypeOf(name: string): CelObjectType {
  return { kind: "object", name, field: () => ({ type: dynType }) };
}

/** The types of mutating policies by name. */
export function mutationType(name: string): CelType | undefined {
  if (name === jsonPatchType.name) return jsonPatchType;
  return name === "Object" || name.startsWith("Object.") ? configurationTypeOf(name) : undefined;
}

/** Names of types inside of an object that are not those of their places: below its own name. */
export const misplacedTypes = (value: CelObject): readonly string[] => misplacedIn(value, value.typeName);

function misplacedIn(value: CelValue, path: string): readonly string[] {
  if (value instanceof CelList) return [...value].flatMap((item) => misplacedIn(item, path));
  if (value instanceof CelMap) return [...value.keys()].flatMap((key) => misplacedIn(value.find(key) ?? null, path));
  if (!(value instanceof CelObject)) return [];
  const expected = `expected ${JSON.stringify(path)}, which matches field name path from root Object type`;
  return [
    ...(value.typeName === path ? [] : [`unexpected type name ${JSON.stringify(value.typeName)}, ${expected}`]),
    ...[...value.fields()].flatMap((field) => misplacedIn(value.find(field) ?? null, `${path}.${field}`)),
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

// Warnings about CustomResourceDefinitions: formats that no value will be checked against.
import { isKnownFormat } from "../structural/formats.ts";
import { sameJson } from "../structural/json.ts";
import { someSchema } from "../structural/schema-walk.ts";
import type { CustomResourceDefinition } from "../types/apiextensions-v1.ts";

/** Each unknown format of a definition, but not those that it had before. */
export function definitionWarnings(definition: CustomResourceDefinition, old?: CustomResourceDefinition): string[] {
  const known = new Set(old ? unknownFormats(old) : []);
  return unknownFormats(definition)
    .filter((format) => !known.has(format))
    .map((format) => `unrecognized format ${JSON.stringify(format)}`);
}

/** Where all versions have the same schema, it counts once, as upstream keeps it once. */
function unknownFormats({ spec }: CustomResourceDefinition): string[] {
  const all = (spec.versions ?? []).map(({ schema }) => schema?.openAPIV3Schema);
  const isShared = all.every((schema) => sameJson(schema, all[0]));
  const found: string[] = [];
  for (const root of isShared ? all.slice(0, 1) : all)
    someSchema(root, ({ type, format = "" }) => {
      if (format !== "" && !isKnownFormat([type ?? ""], format)) found.push(format);
      return false;
    });
  return found;
}

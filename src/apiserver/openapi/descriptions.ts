// Descriptions of types and fields, extracted at build time into one file. Run from source without a build there is no
// such file, and the documents have no descriptions.
import { readFile } from "node:fs/promises";

export interface Descriptions {
  /** By the schema's name, "core-v1.Pod". */
  ofType(type: string): string | undefined;
  ofField(type: string, field: string): string | undefined;
  /** Of a parameter of an operation: "list", "pods/exec". */
  ofParameter(operation: string, name: string): string | undefined;
}

type DescriptionFile = Readonly<Record<string, readonly [string, Readonly<Record<string, string>>]>>;

export const noDescriptions: Descriptions = { ofType: () => undefined, ofField: () => undefined, ofParameter: () => undefined };

/** In dist/: beside the bundle, above its chunks, and seen from the source. */
const places = ["openapi-descriptions.json", "../openapi-descriptions.json", "../../../dist/openapi-descriptions.json"];

export async function loadDescriptions(): Promise<Descriptions> {
  for (const place of places) {
    try {
      return descriptionsOf(JSON.parse(await readFile(new URL(place, import.meta.url), "utf8")) as DescriptionFile);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return noDescriptions;
}

export function descriptionsOf(file: DescriptionFile): Descriptions {
  const ofField = (type: string, field: string) => (Object.hasOwn(file[type]?.[1] ?? {}, field) ? file[type]?.[1][field] : undefined);
  return {
    ofType: (type) => file[type]?.[0] || undefined,
    ofField,
    ofParameter: (operation, name) => ofField(`parameters.${operation}`, name),
  };
}

// The JSON of objects whose specification, or the parts of it, many others have too (shared-parts.ts): those texts are made once.
// A pod that is created has its specification as a whole in common with others, one that is bound all of it but its node.
import type { KubernetesObject } from "../meta/object.ts";
import { isShared, markShared, oncePerPart } from "../meta/shared-parts.ts";

type Fields = Readonly<Record<string, unknown>>;

const textOfPart = oncePerPart((part: object): string => JSON.stringify(part));

/** Of a specification; its parts are shared from then on, as they are those of every changed copy of it. */
const textOfSpec = oncePerPart((spec: Fields): string => {
  for (const key in spec) if (isPart(spec[key])) markShared(spec[key]);
  return textOfFields(spec);
});

const isPart = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Kind, apiVersion and metadata first. Undefined for an object that has nothing in common with others. */
export function textWithSharedParts(object: KubernetesObject): string | undefined {
  const { spec } = object as { readonly spec?: (Fields & { readonly containers?: unknown }) | null };
  if (!spec) return undefined;
  const whole = isShared(spec);
  if (!whole && !(isPart(spec.containers) && isShared(spec.containers))) return undefined;
  const metadata = textOfFields(object.metadata as unknown as Fields);
  let text = `{"kind":"${object.kind}","apiVersion":"${object.apiVersion}","metadata":${metadata}`;
  const fields = object as unknown as Fields;
  for (const key in fields) {
    const value = fields[key];
    if (key === "kind" || key === "apiVersion" || key === "metadata" || value === undefined) continue;
    text += `,"${key}":${value !== spec ? JSON.stringify(value) : whole ? textOfSpec(spec) : textOfFields(spec)}`;
  }
  return `${text}}`;
}

/** Names of fields are identifiers: nothing in them is escaped. */
function textOfFields(fields: Fields): string {
  let text = "";
  for (const key in fields) {
    const value = fields[key];
    if (value === undefined) continue;
    text += `${text === "" ? "{" : ","}"${key}":${isPart(value) ? textOfPart(value) : JSON.stringify(value)}`;
  }
  return text === "" ? "{}" : `${text}}`;
}

// What strict field validation finds in a text: fields given more than once and fields that are not known, in upstream's words.
import { duplicateField, unknownField } from "../../api/encode/decode.ts";
import { inTextOrder } from "../../api/encode/json-text.ts";

export interface FoundFields {
  /** Paths, or what the YAML parser says of a key. */
  readonly duplicates: readonly string[];
  /** Paths. */
  readonly unknown: readonly string[];
  /** What was read field by field; absent where repeated fields were found by a pass of their own, before the rest (YAML, custom objects). */
  readonly text?: string | undefined;
}

/** In the order in which Go's decoder meets them: that of the text, where there is one; it looks for nothing in a field that is not known. */
export function strictProblems({ duplicates, unknown, text }: FoundFields): readonly string[] {
  if (text === undefined || duplicates.length === 0 || unknown.length === 0)
    return [...duplicates.map(repeatedField), ...unknown.map(unknownField)];
  const isWithin = (path: string): boolean => unknown.some((outer) => path.startsWith(`${outer}.`) || path.startsWith(`${outer}[`));
  return inTextOrder(text, new Set(unknown))
    .filter(({ path }) => !isWithin(path))
    .map(({ path, repeated }) => (repeated ? duplicateField(path) : unknownField(path)));
}

/** Repeated keys of YAML are told in the words of its parser. */
const repeatedField = (found: string): string => (/^line \d+: key /.test(found) ? found : duplicateField(found));

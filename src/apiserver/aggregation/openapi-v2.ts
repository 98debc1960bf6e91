// OpenAPI v2 documents of extension servers: reduced to what belongs to one group version, and merged into this server's own.
// Paths that are there already stay; definitions of the same name that differ are renamed ("x_v2"), as upstream does.
import { jsonEqual } from "../../api/patch/json-patch.ts";

type Json = Readonly<Record<string, unknown>>;

export interface SpecV2 {
  readonly paths: Json;
  readonly definitions: Json;
}

const definitionPrefix = "#/definitions/";
const parameterPrefix = "#/parameters/";
const kindsKey = "x-kubernetes-group-version-kind";

export const isJsonObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** What of a document is about paths with this prefix. Throws where it is no Swagger document. */
export function readSpecV2(text: string, pathPrefix: string): SpecV2 {
  const document: unknown = JSON.parse(text);
  if (!isJsonObject(document) || document.swagger !== "2.0") throw new Error("OpenAPI: expected a Swagger 2.0 document");
  const paths = Object.fromEntries(Object.entries(objectOf(document.paths)).filter(([path]) => path.startsWith(pathPrefix)));
  return used({ paths: withParameters(paths, objectOf(document.parameters)) as Json, definitions: objectOf(document.definitions) });
}

const objectOf = (value: unknown): Json => (isJsonObject(value) ? value : {});

/** Shared parameters where they are used: names of theirs need not be kept apart then. */
function withParameters(value: unknown, parameters: Json): unknown {
  return rewrite(value, (reference) =>
    reference.startsWith(parameterPrefix) ? parameters[reference.slice(parameterPrefix.length)] : undefined,
  );
}

/** A copy in which `$ref` objects are replaced by what `replace` gives; what does not change is not copied. */
function rewrite(value: unknown, replace: (reference: string) => unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => rewrite(item, replace));
    return items.some((item, i) => item !== value[i]) ? items : value;
  }
  if (!isJsonObject(value)) return value;
  const replaced = typeof value.$ref === "string" ? replace(value.$ref) : undefined;
  if (replaced !== undefined) return replaced;
  let changed = false;
  const entries = Object.entries(value).map(([name, part]) => {
    const rewritten = rewrite(part, replace);
    changed ||= rewritten !== part;
    return [name, rewritten] as const;
  });
  return changed ? Object.fromEntries(entries) : value;
}

/** Without definitions that no path leads to. */
function used({ paths, definitions }: SpecV2): SpecV2 {
  const reached = new Set<string>();
  const waiting: unknown[] = [paths];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
    for (const name of referencesIn(next)) {
      if (reached.has(name) || !Object.hasOwn(definitions, name)) continue;
      reached.add(name);
      waiting.push(definitions[name]);
    }
  return { paths, definitions: Object.fromEntries(Object.entries(definitions).filter(([name]) => reached.has(name))) };
}

/** Names of the definitions that a part of a document refers to. */
function referencesIn(value: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  rewrite(value, (reference) => {
    if (reference.startsWith(definitionPrefix)) names.add(reference.slice(definitionPrefix.length));
    return undefined;
  });
  return names;
}

/** `document` with everything of `specs` that it does not have. */
export function mergeSpecsV2(document: object, specs: readonly SpecV2[]): object {
  const own = document as Json;
  let merged: SpecV2 = { paths: objectOf(own.paths), definitions: objectOf(own.definitions) };
  for (const spec of specs) merged = mergeTwo(merged, spec);
  return { ...document, ...merged };
}

function mergeTwo(into: SpecV2, from: SpecV2): SpecV2 {
  const fresh = Object.entries(from.paths).filter(([path]) => !Object.hasOwn(into.paths, path));
  if (fresh.length === 0) return into;
  const added = used({ paths: Object.fromEntries(fresh), definitions: from.definitions });
  const names = chooseNames(into.definitions, added.definitions);
  const renamed = <T>(value: T): T =>
    rewrite(value, (reference) => {
      const name = names.get(reference.slice(definitionPrefix.length));
      return reference.startsWith(definitionPrefix) && name !== undefined ? { $ref: `${definitionPrefix}${name}` } : undefined;
    }) as T;
  const definitions = new Map(Object.entries(into.definitions));
  for (const [name, definition] of Object.entries(added.definitions)) {
    const target = names.get(name) ?? name;
    const known = definitions.get(target);
    definitions.set(target, known === undefined ? renamed(definition) : withKindsOf(known, definition));
  }
  return { paths: { ...into.paths, ...renamed(added.paths) }, definitions: Object.fromEntries(definitions) };
}

/** New names for definitions that mean something else here. */
function chooseNames(known: Json, added: Json): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const taken = new Set(Object.keys(known));
  for (const [name, definition] of Object.entries(added)) {
    if (!Object.hasOwn(known, name) || isSameModel(known[name], definition)) continue;
    for (let i = 2; ; i++) {
      const candidate = `${name}_v${i}`;
      const isSame = Object.hasOwn(known, candidate) && isSameModel(known[candidate], definition);
      if (!isSame && (taken.has(candidate) || Object.hasOwn(added, candidate))) continue;
      taken.add(candidate);
      names.set(name, candidate);
      break;
    }
  }
  return names;
}

/** Whether two definitions differ at most in the kinds that they stand for. */
function isSameModel(a: unknown, b: unknown): boolean {
  return jsonEqual(withoutKinds(a), withoutKinds(b));
}

function withoutKinds(definition: unknown): unknown {
  if (!isJsonObject(definition) || !(kindsKey in definition)) return definition;
  const { [kindsKey]: _, ...rest } = definition;
  return rest;
}

function withKindsOf(known: unknown, other: unknown): unknown {
  if (!isJsonObject(known) || !isJsonObject(other)) return known;
  const [ours, theirs] = [known[kindsKey], other[kindsKey]];
  if (!Array.isArray(theirs)) return known;
  const list: readonly unknown[] = Array.isArray(ours) ? ours : [];
  const more = theirs.filter((kind) => !list.some((k) => jsonEqual(k, kind)));
  return more.length === 0 ? known : { ...known, [kindsKey]: [...list, ...more] };
}

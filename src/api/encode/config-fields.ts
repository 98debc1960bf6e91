// Reads files that configure a component (audit policy, encryption, the scheduler): YAML or JSON of a known kind, every field
// known and of its type. Problems name the path: `rules[2].level: expected one of None, Metadata, Request, RequestResponse`.
import { parseDuration } from "../../base/duration.ts";
import { withPlainNumbers } from "./json-text.ts";

export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConfigError";
  }
}

/** The value of a document, as it stands. As upstream, what comes after the first one is not looked at. Throws ConfigError. */
export async function readConfigValue(text: string, what: string): Promise<unknown> {
  return documentOf(text, what);
}

/** The root of a document of this kind in one of these versions. Throws ConfigError. */
export async function readConfigText(text: string, kind: string, apiVersions: readonly string[]): Promise<ConfigFields> {
  const root = await readConfigDocument(text, `of kind ${kind}`);
  root.kindOf(kind, apiVersions);
  return root;
}

/**
 * The root of a document, whatever its kind; `what` is expected. `lenient` is told of fields that are unknown or given twice
 * (the last one counts), which are problems without it. Throws ConfigError.
 */
export async function readConfigDocument(text: string, what: string, lenient?: (problem: string) => void): Promise<ConfigFields> {
  return new ConfigFields(await documentOf(text, what, lenient), "", lenient && ((path) => lenient(`${path}: unknown field`)));
}

async function documentOf(text: string, what: string, lenient?: (problem: string) => void): Promise<unknown> {
  // The YAML parser is loaded when the first file wants it.
  const { parseYaml, YamlSyntaxError } = await import("./yaml-text.ts");
  let document: ReturnType<typeof parseYaml>;
  try {
    document = parseYaml(text);
  } catch (error) {
    if (error instanceof YamlSyntaxError) throw new ConfigError(error.message);
    throw error;
  }
  if (document.value === null) throw new ConfigError(`expected a document ${what}, found none`);
  for (const path of document.duplicates) {
    if (!lenient) throw new ConfigError(`${path}: given twice`);
    lenient(`${path}: given twice`);
  }
  return withPlainNumbers(document.value);
}

/** The fields of one object; `end` complains about those that nobody has asked for. */
export class ConfigFields {
  readonly path: string;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #asked = new Set<string>();
  readonly #unknown: ((path: string) => void) | undefined;

  /** `unknown` is told of fields that nobody has asked for, here and below; without it `end` throws for the first. */
  constructor(value: unknown, path: string, unknown?: (path: string) => void) {
    this.path = path;
    this.#unknown = unknown;
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ConfigError(`${path || "document"}: expected an object`);
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  /** Checks that the object is of this kind in one of these versions. */
  kindOf(kind: string, apiVersions: readonly string[]): void {
    this.oneOf("kind", [kind]);
    this.oneOf("apiVersion", apiVersions);
  }

  /** Of all fields, as they stand. */
  names(): readonly string[] {
    return Object.keys(this.#fields);
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  text(name: string): string | undefined {
    const value = this.#get(name);
    if (value !== undefined && typeof value !== "string") throw this.problem(name, "expected a string");
    return value;
  }

  required(name: string): string {
    return this.text(name) || this.#missing(name);
  }

  boolean(name: string): boolean | undefined {
    const value = this.#get(name);
    if (value !== undefined && typeof value !== "boolean") throw this.problem(name, "expected true or false");
    return value;
  }

  integer(name: string): number | undefined {
    const value = this.#get(name);
    if (value !== undefined && !Number.isInteger(value)) throw this.problem(name, "expected a whole number");
    return value as number | undefined;
  }

  int32(name: string): number | undefined {
    const value = this.integer(name);
    if (value !== undefined && value !== (value | 0)) throw this.problem(name, "expected a whole number of 32 bits");
    return value;
  }

  number(name: string): number | undefined {
    const value = this.#get(name);
    if (value !== undefined && typeof value !== "number") throw this.problem(name, "expected a number");
    return value;
  }

  /** Go's notation ("1m30s") as milliseconds. */
  durationMs(name: string): number | undefined {
    const value = this.text(name);
    const ms = value === undefined ? undefined : parseDuration(value);
    if (value !== undefined && ms === undefined) throw this.problem(name, 'expected a duration such as "30s" or "1h15m"');
    return ms;
  }

  oneOf<const T extends string>(name: string, choices: readonly T[]): T {
    const value = this.text(name);
    const choice = choices.find((c) => c === value);
    if (choice === undefined) throw this.problem(name, `expected ${choices.length === 1 ? choices[0] : `one of ${choices.join(", ")}`}`);
    return choice;
  }

  texts(name: string): readonly string[] {
    return this.#list(name).map((value, i) => {
      if (typeof value !== "string") throw this.problem(`${name}[${i}]`, "expected a string");
      return value;
    });
  }

  objects(name: string): readonly ConfigFields[] {
    return this.#list(name).map((value, i) => new ConfigFields(value, `${this.#at(name)}[${i}]`, this.#unknown));
  }

  object(name: string): ConfigFields | undefined {
    const value = this.#get(name);
    return value === undefined ? undefined : new ConfigFields(value, this.#at(name), this.#unknown);
  }

  /** As it stands. */
  value(name: string): unknown {
    return this.#get(name);
  }

  /** Anything under a name is taken as it is. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#asked.add(name);
  }

  end(): void {
    for (const name of Object.keys(this.#fields)) {
      if (this.#asked.has(name)) continue;
      if (!this.#unknown) throw new ConfigError(`${this.#at(name)}: unknown field`);
      this.#unknown(this.#at(name));
    }
  }

  /** Somebody else who reads a part of this has found a field that he does not know. */
  unknown(path: string): void {
    if (!this.#unknown) throw new ConfigError(`${path}: unknown field`);
    this.#unknown(path);
  }

  problem(name: string, text: string): ConfigError {
    return new ConfigError(`${this.#at(name)}: ${text}`);
  }

  #missing(name: string): never {
    throw this.problem(name, "required");
  }

  #list(name: string): readonly unknown[] {
    const value = this.#get(name) ?? [];
    if (!Array.isArray(value)) throw this.problem(name, "expected a list");
    return value;
  }

  #get(name: string): unknown {
    this.#asked.add(name);
    return this.#fields[name] ?? undefined;
  }

  #at(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}

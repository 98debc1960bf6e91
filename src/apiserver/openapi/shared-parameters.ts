// Parameters in the v2 document: those that are the same at many paths stand once under "parameters", named after what they
// are ("limit-1NfNmdNH": the name and a hash of the parameter), and are referred to. Clients look for some where they are used:
// dryRun and fieldValidation stay there, and so does what names a kind.
import type { Descriptions } from "./descriptions.ts";
import type { Parameter } from "./parameters.ts";
import type { Model } from "./schemas.ts";

const kept: ReadonlySet<string> = new Set(["name", "dryRun", "fieldValidation"]);
const sharedBodies = "#/definitions/io.k8s.apimachinery";

export class SharedParameters {
  readonly #descriptions: Descriptions;
  readonly #models = new Map<Parameter, Model>();
  readonly #bodies = new Map<string, Model>();
  /** By their names. */
  readonly #shared = new Map<string, Model>();

  constructor(descriptions: Descriptions) {
    this.#descriptions = descriptions;
  }

  /** A parameter as it stands at a path. */
  model(parameter: Parameter): Model {
    const known = this.#models.get(parameter);
    if (known) return known;
    const { name, in: place, type } = parameter;
    const described = descriptionOf(parameter, this.#descriptions);
    const whole = { uniqueItems: true, type, ...described, name, in: place, ...(place === "path" ? { required: true } : {}) };
    const model = kept.has(name) ? whole : this.#share(name, whole);
    this.#models.set(parameter, model);
    return model;
  }

  /** The parameter for a body; `reference` is to its definition. */
  body(reference: string, required: boolean): Model {
    const key = `${reference} ${required}`;
    const known = this.#bodies.get(key);
    if (known) return known;
    const whole = { name: "body", in: "body", ...(required ? { required: true } : {}), schema: { $ref: reference } };
    const model = reference.startsWith(sharedBodies) ? this.#share("body", whole) : whole;
    this.#bodies.set(key, model);
    return model;
  }

  /** What has been referred to, by name. */
  get shared(): Model {
    return Object.fromEntries([...this.#shared].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #share(name: string, whole: Model): Model {
    const unique = `${name}-${hashOf(JSON.stringify(whole))}`;
    this.#shared.set(unique, whole);
    return { $ref: `#/parameters/${unique}` };
  }
}

export function descriptionOf({ operation, name, description }: Parameter, descriptions: Descriptions): { readonly description?: string } {
  const found = operation === undefined ? description : descriptions.ofParameter(operation, name);
  return found === undefined ? {} : { description: withLines[name]?.(found) ?? found };
}

const indented: readonly string[] = ["", " ", "\n\n", "\n  ", "\n\n  ", "\n    "];

/** Texts with lists in them, whose lines our source has joined. */
const withLines: Readonly<Record<string, (text: string) => string>> = {
  sendInitialEvents: (text) =>
    text.replace("ListOptions.\n\nIf", "ListOptions.\n  If").replaceAll("   ", "\n  ").replace(". - `", ".\n- `"),
  shardSelector: (text) => text.replace(/ {2,5}/g, (gap) => indented[gap.length] ?? gap),
};

const prime = 0x100000001b3n;

/** Six bytes of FNV-1, in the alphabet of URLs. Marks of HTML count as Go escapes them. */
function hashOf(json: string): string {
  let hash = 0xcbf29ce484222325n;
  const escaped = json.replace(/[<>&]/g, (mark) => `\\u00${mark.charCodeAt(0).toString(16)}`);
  for (const byte of Buffer.from(escaped)) hash = BigInt.asUintN(64, hash * prime) ^ BigInt(byte);
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(hash);
  return bytes.subarray(0, 6).toString("base64url");
}

// Says what is wrong with a value that decoding has found fault with: the paths of its unknown fields, and the first value
// of a wrong type in the words of Go's JSON decoder ("cannot unmarshal string into Go struct field
// DeploymentSpec.spec.replicas of type int32"). Slower than decoding, and run on refused or warned-of bodies only.
import { base64Problem, isByte, normalizeBase64 } from "../meta/base64.ts";
import { parseQuantity } from "../meta/quantity.ts";
import { normalizeMicroTime, normalizeTime, timeProblem } from "../meta/time.ts";
import type { ObjectSchema, SchemaUnion, ValueType } from "../schema/schema.ts";
import { elementTypeName, embeddedIn, goTypeName, wireRules } from "../schema/wire-facts.ts";
import { JsonNumber, pathText } from "./json-text.ts";

export interface Diagnosis {
  /** The first value that cannot be decoded; undefined when all can. */
  readonly problem: string | undefined;
  readonly unknown: readonly string[];
}

const maxUnknown = 100;

/** Each path repeats the keys on the way to it, which may be a megabyte long. */
const maxUnknownCharacters = 1024 * 1024;

export function diagnose(schema: ObjectSchema, value: unknown): Diagnosis {
  const walk = new Walk();
  const type: ValueType = { kind: "object", schema };
  walk.visit(value, type, goTypeName(type));
  return { problem: walk.problem, unknown: walk.unknown };
}

class Walk {
  problem: string | undefined;
  /** A text that the type itself refuses ends decoding, and goes before what was found until then. */
  #ended = false;
  readonly unknown: string[] = [];
  #unknownCharacters = 0;
  /** Keys and indices down to the current value. */
  readonly #path: (string | number)[] = [];
  /** Names of the fields of structs among them: what Go's messages show. */
  readonly #fields: string[] = [];
  #struct = "";

  visit(value: unknown, type: ValueType, typeName: string): void {
    if (value === null || value === undefined || this.#ended) return;
    switch (type.kind) {
      case "object":
        if (isRecord(value)) this.#object(value, type.schema);
        else this.#mismatch(value, typeName);
        return;
      case "array":
        if (!Array.isArray(value)) this.#mismatch(value, typeName);
        else for (const [i, item] of value.entries()) this.#child(i, item, type.items, elementTypeName(typeName, type.items));
        return;
      case "map":
        if (!isRecord(value)) this.#mismatch(value, typeName);
        else for (const [key, item] of Object.entries(value)) this.#child(key, item, type.values, elementTypeName(typeName, type.values));
        return;
      case "any":
        if (type.union) this.#union(value, type.union);
        return;
      default:
        this.#scalar(value, type.kind, typeName);
    }
  }

  /** Unknown fields of a schema that stands where something else may stand are not looked for. */
  #union(value: unknown, { or, schema }: SchemaUnion): void {
    const known = this.unknown.length;
    const type: ValueType = { kind: "object", schema };
    if (isRecord(value)) this.visit(value, type, goTypeName(type));
    else if (or === "boolean") {
      if (typeof value !== "boolean") this.#report("boolean or JSON schema expected");
    } else if (Array.isArray(value)) {
      const items: ValueType = or === "schemas" ? type : { kind: "string" };
      for (const [i, item] of value.entries()) this.#child(i, item, items, goTypeName(items));
    }
    this.unknown.length = known;
  }

  #child(step: string | number, value: unknown, type: ValueType, typeName: string): void {
    this.#path.push(step);
    this.visit(value, type, typeName);
    this.#path.pop();
  }

  #object(value: Readonly<Record<string, unknown>>, schema: ObjectSchema): void {
    const outer = this.#struct;
    const name = schema.name.slice(schema.name.indexOf(".") + 1);
    for (const [key, item] of Object.entries(value)) {
      const field = schema.fields.get(key);
      if (!field) {
        this.#reportUnknown(key);
        continue;
      }
      this.#struct = name;
      const depth = this.#fields.length;
      this.#fields.push(...embeddedIn(schema, key), key);
      this.#child(key, item, field.type, wireRules(schema, field).typeName);
      this.#fields.length = depth;
    }
    this.#struct = outer;
  }

  #reportUnknown(key: string): void {
    if (this.unknown.length >= maxUnknown || this.#unknownCharacters > maxUnknownCharacters) return;
    const path = pathText([...this.#path, key]);
    this.#unknownCharacters += path.length;
    this.unknown.push(path);
  }

  #scalar(value: unknown, kind: string, typeName: string): void {
    switch (kind) {
      case "int32":
      case "int64":
        if (!fitsInteger(value, kind === "int32" ? 2 ** 31 : 2 ** 63)) this.#mismatch(value, typeName, true);
        return;
      case "double":
        if (typeof value !== "number" && !(value instanceof JsonNumber)) this.#mismatch(value, typeName);
        return;
      case "boolean":
        if (typeof value !== "boolean") this.#mismatch(value, typeName);
        return;
      case "intOrString":
        if (typeof value !== "string" && !fitsInteger(value, 2 ** 31)) this.#refuse(() => this.#mismatch(value, "int32", true));
        return;
      case "quantity":
        this.#quantity(value);
        return;
      default:
        if (kind === "bytes" && Array.isArray(value)) {
          for (const item of value) if (!isByte(item)) this.#mismatch(item, "uint8", true);
        } else if (typeof value === "string") this.#text(value, kind);
        else if (kind === "time" || kind === "microTime") this.#refuse(() => this.#mismatch(value, typeName));
        else this.#mismatch(value, typeName);
    }
  }

  #quantity(value: unknown): void {
    const text = typeof value === "string" ? value.trim() : value instanceof JsonNumber ? value.text : JSON.stringify(value);
    try {
      parseQuantity(text);
    } catch (error) {
      this.#refuse(() => this.#report((error as Error).message));
    }
  }

  #text(value: string, kind: string): void {
    if (kind === "time" && normalizeTime(value) === undefined) this.#refuse(() => this.#report(timeProblem(value)));
    if (kind === "microTime" && normalizeMicroTime(value) === undefined) this.#refuse(() => this.#report(timeProblem(value, true)));
    if (kind === "bytes" && normalizeBase64(value) === undefined) this.#report(base64Problem(value));
  }

  #mismatch(value: unknown, typeName: string, showNumber = false): void {
    const shown =
      kindOf(value) === "number" && showNumber ? `number ${value instanceof JsonNumber ? value.text : String(value)}` : kindOf(value);
    const target = this.#fields.length === 0 ? "Go value" : `Go struct field ${this.#struct}.${this.#fields.join(".")}`;
    this.#report(`json: cannot unmarshal ${shown} into ${target} of type ${typeName}`);
  }

  #refuse(report: () => void): void {
    this.problem = undefined;
    report();
    this.#ended = true;
  }

  #report(problem: string): void {
    this.problem ??= problem;
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => kindOf(value) === "object";

/** What Go calls the kind of a JSON value. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (value instanceof JsonNumber) return "number";
  return typeof value === "boolean" ? "bool" : typeof value;
}

function fitsInteger(value: unknown, limit: number): boolean {
  if (typeof value === "number") return Number.isInteger(value) && value < limit && value >= -limit;
  if (!(value instanceof JsonNumber) || !/^-?\d{1,20}$/.test(value.text)) return false;
  return BigInt(value.text) < BigInt(limit) && BigInt(value.text) >= -BigInt(limit);
}

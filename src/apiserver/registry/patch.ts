// PATCH: a change in one of four forms, applied to the current version and stored like an update. What the patch makes is
// decoded like a body, so that a patch cannot make what a PUT could not. When another write comes first the patch is
// applied again to the new version, unless the patch itself names the version it is meant for.
import { decodeConverted } from "../../api/encode/conversion-problem.ts";
import { DecodeError, decodeObject, duplicateField, strictProblem, unknownField } from "../../api/encode/decode.ts";
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../api/encode/json-text.ts";
import { invalidValue } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest, invalid, StatusError } from "../../api/meta/status-error.ts";
import { applyJsonPatch, checkJsonPatch, unknownJsonPatchFields } from "../../api/patch/json-patch.ts";
import { applyMergePatch, checkMergePatch } from "../../api/patch/merge-patch.ts";
import { applyStrategicMergePatch, goText } from "../../api/patch/strategic-merge-patch.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind } from "../../api/schema/schema.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { type PatchContent, unknownFormat } from "../http/negotiate.ts";
import { type ExpectedKind, otherKindProblem } from "./body.ts";
import { withSentOwners } from "./field-management.ts";
import { checkName, inNamespace } from "./object-meta.ts";
import { patchedText } from "./patched-text.ts";
import type { FieldValidation } from "./request-options.ts";

export type PatchBody = { readonly text: string } | { readonly value: unknown };

export interface PatchTarget {
  /** What is patched: the resource's kind, or that of a subresource (Scale). */
  readonly kind: ExpectedKind;
  readonly name: string;
  readonly namespace: string;
  readonly validation: FieldValidation;
  readonly warn: (text: string) => void;
}

/** Applies the patch to an object; throws StatusError. */
export type PatchFunction = (current: KubernetesObject) => KubernetesObject;

/** Reads a json, merge or strategic patch once; the result is applied as often as needed. */
export function compilePatch(
  content: Exclude<PatchContent, "apply" | "apply in CBOR">,
  body: PatchBody,
  target: PatchTarget,
): PatchFunction {
  const { kind } = target;
  const schema = kind.schema === undefined ? undefined : builtInSchemas.get(kind.schema);
  if (content === "strategic" && !schema) throw unsupportedPatch(false);
  // A strategic merge gives no text that is decoded, but a value that is converted.
  const decodeValue = content === "strategic" ? decodeConverted : decodeObject;
  const decode = kind.decode ?? (schema && ((value: unknown) => decodeValue(schema, value)));
  const { value: patch, repeated } = parsePatch(content, body);
  switch (content) {
    case "json": {
      const operations = checkJsonPatch(patch);
      const flaws = [...repeated.map((problem) => `json patch ${problem}`), ...unknownJsonPatchFields(operations)];
      return checked(target, decode, (current) => applyJsonPatch(current, operations), jsonReport(schema, flaws, operations));
    }
    case "merge": {
      const changes = checkMergePatch(patch);
      return checked(target, decode, (current) => applyMergePatch(current, changes), jsonReport(schema, repeated));
    }
    case "strategic":
      return checked(target, decode, (current) => keepingKind(applyStrategicMergePatch(current, patch, schema as ObjectSchema), current), {
        show: () => goText(patch),
        flaws: repeated,
        order: (problems) => problems.toSorted(),
        converts: true,
      });
  }
}

/** A strategic merge is made within the type of the object: what it says of its kind is not read. */
function keepingKind(patched: unknown, { apiVersion, kind }: KubernetesObject): unknown {
  const { apiVersion: version, kind: other, ...rest } = patched as KubernetesObject;
  return version === apiVersion && other === kind ? patched : { apiVersion, kind, ...rest };
}

/** Custom resources have no strategic merge. */
export function unsupportedPatch(withCbor: boolean): StatusError {
  const accepted = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
  return unknownFormat(withCbor ? [...accepted, "application/apply-patch+cbor"] : accepted);
}

/** The patch, and the fields it has twice. */
function parsePatch(content: PatchContent, body: PatchBody): { readonly value: unknown; readonly repeated: readonly string[] } {
  if ("value" in body) return { value: body.value, repeated: [] };
  try {
    const { value, duplicates } = parseJson(body.text);
    return { value: withPlainNumbers(value), repeated: duplicates.map(duplicateField) };
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw badRequest(content === "strategic" ? error.message : `error decoding patch: ${error.message}`);
  }
}

/** What is said about a patched object that is not right. */
interface Report {
  /** The object, or the patch, as errors quote it. */
  readonly show: (patched: KubernetesObject, current: KubernetesObject) => string;
  /** What strict validation finds in the patch itself; told before what it finds in the object. */
  readonly flaws: readonly string[];
  /** Of several unknown fields: as they come, or sorted. */
  readonly order: (problems: readonly string[]) => readonly string[];
  /** The result is a value that is converted, not a text that is read. */
  readonly converts?: boolean;
}

type Decode = NonNullable<ExpectedKind["decode"]>;

/** Applies, then checks what has come out: its kind, types, name and namespace. */
function checked(
  target: PatchTarget,
  decode: Decode | undefined,
  apply: (current: KubernetesObject) => unknown,
  { show, ...rules }: Report,
): PatchFunction {
  return (current) => {
    const patched = apply(current) as KubernetesObject;
    if (patched === current) return current;
    const refuse = (problem: string): StatusError =>
      invalid({ group: "", kind: "" }, "", [invalidValue("patch", show(patched, current), problem)]);
    const apiVersion = apiVersionOf(target.kind);
    // Another kind is refused by validation where it is a custom one.
    const wrongKind = patched.kind !== target.kind.kind && !target.kind.decode;
    // Of what says nothing of its kind, its name is missed first.
    const nameless = patched.apiVersion === undefined && patched.kind === undefined;
    if (!nameless && (patched.apiVersion !== apiVersion || wrongKind)) {
      const other = schemaOfKind(patched.apiVersion, patched.kind);
      // It is read as what it says it is, and then found to be something else.
      if (other) decodePatched((value) => decodeObject(other, value), patched, target, { refuse, ...rules });
      throw refuse(otherKindProblem(patched, target.kind));
    }
    const object = decode ? decodePatched(decode, patched, target, { refuse, ...rules }) : patched;
    const named = object.metadata ? object : { ...object, metadata: {} as ObjectMeta };
    checkName(named, target.name);
    return inNamespace(withSentOwners(named, patched), target.namespace);
  };
}

function decodePatched(
  decode: Decode,
  patched: KubernetesObject,
  target: PatchTarget,
  { refuse, flaws, order, converts }: Omit<Report, "show"> & { readonly refuse: (problem: string) => StatusError },
): KubernetesObject {
  try {
    const { object, unknown } = decode(patched);
    const unreadable = target.kind.unreadable?.(object as never);
    // What a strategic merge makes is converted when it has been read.
    if (unreadable !== undefined) throw converts ? new StatusError({ code: 500, message: unreadable }) : refuse(unreadable);
    const problems = [...flaws, ...order(unknown.map(unknownField))];
    if (problems.length > 0 && target.validation === "Strict") throw refuse(strictProblem(problems));
    if (target.validation === "Warn") problems.forEach(target.warn);
    return object as unknown as KubernetesObject;
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
}

/** Of json and merge patches, whose result is decoded from text. */
const jsonReport = (
  schema: ObjectSchema | undefined,
  flaws: readonly string[],
  operations: readonly { readonly value?: unknown }[] = [],
): Report => ({
  flaws,
  show: (patched, current) => patchedText(patched, current, schema, new Set(operations.map(({ value }) => value))),
  order: (problems) => problems,
});

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
import { applyStrategicMergePatch, goText, spentStrategicPatch } from "../../api/patch/strategic-merge-patch.ts";
import { apiVersionOf } from "../../api/resource-type.ts";
import { builtInSchemas, type ObjectSchema, schemaOfKind } from "../../api/schema/schema.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { type PatchContent, unknownFormat } from "../http/negotiate.ts";
import { type ExpectedKind, otherKindProblem, withoutEmptyGroup } from "./expected-kind.ts";
import { withSentOwners } from "./field-management.ts";
import { checkName, inNamespace } from "./object-meta.ts";
import { inPatchedOrder, type PatchParts, patchedText } from "./patched-text.ts";
import type { FieldValidation } from "./request-options.ts";
import { strictProblems } from "./strict-problems.ts";

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
  const { value: patch, repeated, text } = parsePatch(content, body);
  switch (content) {
    case "json": {
      const operations = checkJsonPatch(patch);
      const flaws = strictProblems({ duplicates: repeated, unknown: unknownJsonPatchFields(operations), text }).map(
        (problem) => `json patch ${problem}`,
      );
      return checked(
        target,
        decode,
        (current) => applyJsonPatch(current, operations),
        jsonReport(schema, flaws, { verbatim: new Set(operations.map(({ value }) => value)) }),
      );
    }
    case "merge": {
      const changes = checkMergePatch(patch);
      return checked(
        target,
        decode,
        (current) => applyMergePatch(current, changes),
        jsonReport(schema, repeated.map(duplicateField), { merged: changes }),
      );
    }
    case "strategic":
      return checked(target, decode, (current) => keepingKind(applyStrategicMergePatch(current, patch, schema as ObjectSchema), current), {
        show: (_, current) => goText(spentStrategicPatch(current, patch, schema as ObjectSchema)),
        flaws: repeated.map(duplicateField),
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

interface ParsedPatch {
  readonly value: unknown;
  /** Paths of the fields it has twice. */
  readonly repeated: readonly string[];
  /** Where it has some. */
  readonly text?: string | undefined;
}

function parsePatch(content: PatchContent, body: PatchBody): ParsedPatch {
  if ("value" in body) return { value: body.value, repeated: [] };
  try {
    const { value, duplicates, text } = parseJson(body.text);
    return { value: withPlainNumbers(value), repeated: duplicates, text };
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
  /** The object in the order in which it is read; absent where what is unknown in it is told of sorted. */
  readonly inOrder?: (patched: KubernetesObject, current: KubernetesObject) => KubernetesObject;
  /** The result is a value that is converted, not a text that is read. */
  readonly converts?: boolean;
}

type Decode = NonNullable<ExpectedKind["decode"]>;

/** Applies, then checks what has come out: its kind, types, name and namespace. */
function checked(
  target: PatchTarget,
  decode: Decode | undefined,
  apply: (current: KubernetesObject) => unknown,
  { show, inOrder, ...report }: Report,
): PatchFunction {
  return (current) => {
    const patched = apply(current) as KubernetesObject;
    if (patched === current) return current;
    const ordered = inOrder && ((): KubernetesObject => inOrder(patched, current));
    const refuse = (problem: string): StatusError =>
      invalid({ group: "", kind: "" }, "", [invalidValue("patch", show(patched, current), problem)]);
    const rules = { refuse, ordered, ...report };
    // What is no object at all is refused when it is decoded.
    if (typeof patched === "object" && !Array.isArray(patched)) {
      if (!target.kind.decode && !patched.apiVersion) throw nameless(ordered?.() ?? patched, target, rules);
      checkPatchedKind(patched, target, rules);
    }
    const decoded = decode ? decodePatched(decode, patched, target, rules) : patched;
    const { kind } = target.kind;
    const isNamed = target.kind.decode !== undefined || (decoded.kind === kind && decoded.apiVersion === apiVersionOf(target.kind));
    const object = isNamed ? decoded : { ...decoded, apiVersion: apiVersionOf(target.kind), kind };
    const named = object.metadata ? object : { ...object, metadata: {} as ObjectMeta };
    const placed = inNamespace(named, target.namespace);
    checkName(placed, target.name);
    return withSentOwners(placed, patched);
  };
}

/** What says nothing of its version has no field that is known, and so no name. */
function nameless(patched: KubernetesObject, target: PatchTarget, { refuse, flaws }: DecodeRules): StatusError {
  const fields = Object.keys(patched).filter((field) => field !== "apiVersion" && field !== "kind");
  const problems = [...flaws, ...fields.map(unknownField)];
  if (problems.length > 0 && target.validation === "Strict") return refuse(strictProblem(problems));
  if (target.validation === "Warn") problems.forEach(target.warn);
  return badRequest(`the name of the object (${target.name} based on URL) was undeterminable: name must be provided`);
}

/** Throws where the patch makes something else of an object; a kind that is not said is the one it was. */
function checkPatchedKind(patched: KubernetesObject, target: PatchTarget, rules: DecodeRules): void {
  const { apiVersion: written, kind: said } = patched;
  const apiVersion = typeof written === "string" ? withoutEmptyGroup(written) : written;
  // Another kind is refused by validation where it is a custom one.
  const kind = target.kind.decode ? target.kind.kind : said || target.kind.kind;
  if (apiVersion === apiVersionOf(target.kind) && kind === target.kind.kind) return;
  const other = schemaOfKind(apiVersion, kind);
  // It is read as what it says it is, and then found to be something else.
  if (other) decodePatched((value) => decodeObject(other, value), patched, target, rules);
  throw rules.refuse(otherKindProblem({ apiVersion, kind }, target.kind));
}

interface DecodeRules extends Omit<Report, "show" | "inOrder"> {
  readonly refuse: (problem: string) => StatusError;
  readonly ordered: (() => KubernetesObject) | undefined;
}

/** Of several problems, the order of the text that upstream reads says which is told first: it is made only where there are some. */
function decodeInOrder(decode: Decode, patched: KubernetesObject, ordered: (() => KubernetesObject) | undefined): ReturnType<Decode> {
  if (!ordered) return decode(patched);
  try {
    const decoded = decode(patched);
    if (decoded.unknown.length < 2) return decoded;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  return decode(ordered());
}

function decodePatched(
  decode: Decode,
  patched: KubernetesObject,
  target: PatchTarget,
  { refuse, ordered, flaws, converts }: DecodeRules,
): KubernetesObject {
  try {
    const { object, unknown } = decodeInOrder(decode, patched, ordered);
    const unreadable = target.kind.unreadable?.(object as never);
    // What a strategic merge makes is converted when it has been read.
    if (unreadable !== undefined) throw converts ? new StatusError({ code: 500, message: unreadable }) : refuse(unreadable);
    const unknownFields = unknown.map(unknownField);
    const problems = [...flaws, ...(ordered ? unknownFields : unknownFields.toSorted())];
    if (problems.length > 0 && target.validation === "Strict") throw refuse(strictProblem(problems));
    if (target.validation === "Warn") problems.forEach(target.warn);
    return object as unknown as KubernetesObject;
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
}

/** Of json and merge patches, whose result is decoded from text. */
function jsonReport(schema: ObjectSchema | undefined, flaws: readonly string[], parts: PatchParts): Report {
  const inOrder = (patched: KubernetesObject, current: KubernetesObject): KubernetesObject =>
    inPatchedOrder(patched, { current, schema }, parts);
  return { flaws, inOrder, show: (patched, current) => patchedText(inOrder(patched, current)) };
}

// One exchange with a conversion webhook: a ConversionReview (apiextensions.k8s.io/v1 or v1beta1) with some objects, and what
// comes back. Converted objects keep everything of their metadata but labels and annotations, which the webhook may change.
// Texts are upstream's: `conversion webhook for example.com/v1, Kind=Widget failed: …`.
import { goKind } from "../../api/encode/type-meta.ts";
import type { FieldError } from "../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { isJsonObject, type JsonObject } from "../../api/structural/json.ts";
import { validateAnnotations, validateLabels } from "../../api/validation/object-meta.ts";
import { conversionReviewProblem } from "../webhook/review-fields.ts";

/** How a conversion fails: no answer, one that is no review, too few objects, one that is not what it should be. */
export type ConversionFailure = "call" | "malformed_response" | "partial_response" | "invalid_converted_object";

/** What went wrong, in words for the client. */
export class ConversionError extends Error {
  readonly failure: ConversionFailure;

  constructor(message: string, failure: ConversionFailure = "call") {
    super(message);
    this.name = "ConversionError";
    this.failure = failure;
  }
}

export const reviewVersions = ["v1", "v1beta1"] as const;
export type ReviewVersion = (typeof reviewVersions)[number];

export interface ConversionRequest {
  readonly reviewVersion: ReviewVersion;
  readonly uid: string;
  readonly desiredApiVersion: string;
  readonly objects: readonly KubernetesObject[];
}

export function conversionReview({ reviewVersion, uid, desiredApiVersion, objects }: ConversionRequest): unknown {
  return {
    kind: "ConversionReview",
    apiVersion: `apiextensions.k8s.io/${reviewVersion}`,
    request: { uid, desiredAPIVersion: desiredApiVersion, objects: objects.map(withoutRevision) },
    response: { uid: "", convertedObjects: null, result: { metadata: {} } },
  };
}

/** What is converted is what is stored, and that does not say its revision. */
function withoutRevision({ metadata, ...object }: KubernetesObject): unknown {
  const { resourceVersion: _, ...kept } = metadata;
  return { ...object, metadata: kept };
}

/** The converted objects, in the order of the request. Throws ConversionError. */
export function convertedObjects(request: ConversionRequest, answer: unknown): readonly KubernetesObject[] {
  const subject = subjectOf(request);
  const converted = objectsIn(request, answer);
  const { objects } = request;
  if (converted.length !== objects.length)
    throw new ConversionError(`${subject} returned ${converted.length} objects, expected ${objects.length}`, "partial_response");
  return objects.map((object, i) => checkedObject(request, object, converted[i], i));
}

/** "conversion webhook for example.com/v1, Kind=Widget"; of several objects it names their list. */
export function subjectOf({ objects, desiredApiVersion }: ConversionRequest): string {
  const [first] = objects;
  const kind = objects.length === 1 ? first?.kind : `${first?.kind ?? ""}List`;
  return `conversion webhook for ${objects.length === 1 ? first?.apiVersion : desiredApiVersion}, Kind=${kind}`;
}

function objectsIn(request: ConversionRequest, answer: unknown): readonly unknown[] {
  const failed = (why: string): ConversionError => new ConversionError(`${subjectOf(request)} failed: ${why}`, "malformed_response");
  const unreadable = conversionReviewProblem(answer, request.reviewVersion);
  if (unreadable !== undefined) throw failed(unreadable);
  const review = isJsonObject(answer) ? answer : {};
  if (request.reviewVersion === "v1") {
    const { apiVersion = "", kind = "" } = review as { readonly apiVersion?: unknown; readonly kind?: unknown };
    if (apiVersion !== "apiextensions.k8s.io/v1" || kind !== "ConversionReview")
      throw failed(
        `expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got ${apiVersion === "" ? "/" : String(apiVersion)}, Kind=${String(kind)}`,
      );
  }
  const response = review["response"];
  if (!isJsonObject(response)) throw failed("no response provided");
  // v1beta1 did not ask for the uid.
  if (request.reviewVersion === "v1" && response["uid"] !== request.uid)
    throw failed(`expected response.uid=${JSON.stringify(request.uid)}, got ${JSON.stringify(response["uid"] ?? "")}`);
  const result = isJsonObject(response["result"]) ? response["result"] : {};
  const { status = "", message } = result as { readonly status?: unknown; readonly message?: unknown };
  if (status !== "Success")
    throw failed(typeof message === "string" && message !== "" ? message : `response.result.status was '${String(status)}', not 'Success'`);
  return Array.isArray(response["convertedObjects"]) ? (response["convertedObjects"] as readonly unknown[]) : [];
}

function checkedObject(request: ConversionRequest, original: KubernetesObject, found: unknown, index: number): KubernetesObject {
  const { desiredApiVersion, objects } = request;
  const several = objects.length > 1;
  const invalid = (what: string, at: string, why: string): ConversionError =>
    new ConversionError(`${subjectOf(request)} returned invalid ${what}${at}: ${why}`, "invalid_converted_object");
  const object = several ? "converted object" : "object";
  const at = ` at index ${index}`;
  const unreadable = objectProblem(found);
  if (unreadable !== undefined) throw new ConversionError(unreadable, "invalid_converted_object");
  const converted = (isJsonObject(found) ? found : {}) as JsonObject & { readonly apiVersion?: unknown; readonly kind?: unknown };
  if (converted.apiVersion !== desiredApiVersion) {
    const received = typeof converted.apiVersion === "string" ? converted.apiVersion : "";
    throw invalid(object, at, `invalid groupVersion (expected ${desiredApiVersion}, received ${received})`);
  }
  if (converted.kind !== original.kind)
    throw invalid(
      object,
      at,
      `invalid kind (expected ${original.kind}, received ${typeof converted.kind === "string" ? converted.kind : ""})`,
    );
  const moved = identityProblem(original, converted);
  if (moved !== undefined) throw invalid(object, several ? at : "", moved);
  const { metadata, problem } = restoredMetadata(original, converted["metadata"]);
  if (problem !== undefined) throw invalid("metadata", several ? ` in object${at}` : "", problem);
  return { ...converted, metadata } as unknown as KubernetesObject;
}

/** Why an element of the answer is no object at all. */
function objectProblem(found: unknown): string | undefined {
  if (found === null || found === undefined) return "unexpected end of JSON input";
  if (!isJsonObject(found)) return `json: cannot unmarshal ${goKind(found)} into Go value of type map[string]interface {}`;
  return Object.keys(found).length === 0 ? "Object 'Kind' is missing in '{}'" : undefined;
}

function identityProblem({ metadata }: KubernetesObject, { metadata: found }: JsonObject): string | undefined {
  const converted = isJsonObject(found) ? found : {};
  const fields = [
    ["name", "name"],
    ["namespace", "namespace"],
    ["uid", "UID"],
  ] as const;
  for (const [field, shown] of fields) {
    const given = converted[field];
    const [expected, actual] = [metadata[field] ?? "", typeof given === "string" ? given : ""];
    if (expected !== actual) return `must have the same ${shown}: ${expected} != ${actual}`;
  }
  return undefined;
}

interface Restored {
  readonly metadata: JsonObject;
  readonly problem?: string;
}

/** The metadata as it was, with the labels and annotations of the converted object. */
function restoredMetadata({ metadata: original }: KubernetesObject, found: unknown): Restored {
  const before = original as unknown as JsonObject;
  if (found === undefined) return { metadata: before, problem: "missing metadata in converted object" };
  if (!isJsonObject(found)) return { metadata: before, problem: `invalid metadata of type ${goType(found)} in converted object` };
  const metadata: Record<string, unknown> = { ...before };
  for (const field of ["labels", "annotations"] as const) {
    const values = found[field];
    delete metadata[field];
    if (values === undefined || values === null) continue;
    const problem = isJsonObject(values)
      ? valuesProblem(field, values, before[field])
      : `invalid metadata.${field} of type ${goType(values)} in converted object`;
    if (problem !== undefined) return { metadata, problem };
    metadata[field] = values;
  }
  return { metadata };
}

/** What is wrong with labels or annotations, where they have changed. */
function valuesProblem(field: "labels" | "annotations", values: JsonObject, before: unknown): string | undefined {
  for (const [key, value] of Object.entries(values))
    if (typeof value !== "string") return `metadata.${field}[${key}] must be a string, but is ${goType(value)} in converted object`;
  const known = isJsonObject(before) ? before : {};
  const keys = Object.keys(values);
  if (keys.length === Object.keys(known).length && keys.every((key) => values[key] === known[key])) return undefined;
  const texts = values as Readonly<Record<string, string>>;
  const errors: readonly FieldError[] =
    field === "labels" ? validateLabels(texts, "metadata.labels") : validateAnnotations(texts, "metadata.annotation");
  if (errors.length === 0) return undefined;
  const told = [...new Set(errors.map(({ message }) => message))];
  return told.length === 1 ? told[0] : `[${told.join(", ")}]`;
}

/** How Go names the type of a JSON value. */
function goType(value: unknown): string {
  switch (typeof value) {
    case "string":
      return "string";
    case "boolean":
      return "bool";
    case "number":
      return Number.isInteger(value) ? "int64" : "float64";
    default:
      if (value === null || value === undefined) return "<nil>";
      return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
  }
}

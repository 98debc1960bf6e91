// The AdmissionReview that a webhook is sent, in admission.k8s.io/v1 or v1beta1, and what its answer has to look like. The
// two versions differ in how strictly answers are read, as upstream has it: v1beta1 answers need no uid and no patch type.
import type { AdmissionRequestFields } from "../../../api/cel/admission-environment.ts";
import { base64Problem, bytesOfBase64, normalizeBase64 } from "../../../api/meta/base64.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import type { Status } from "../../../api/types/meta-v1.ts";
import { statusFields, webhookScheme } from "../../webhook/review-fields.ts";
import { fieldTypeProblem, type Nested, reviewKindProblem } from "../../webhook/review-kind.ts";
import type { AdmissionRequest } from "../admission.ts";
import { namespaceOf } from "../match-request.ts";
import type { Invocation } from "./match-webhook.ts";
import type { ReviewVersion } from "./webhook-source.ts";

export interface AdmissionAnswer {
  readonly allowed: boolean;
  readonly status: Partial<Status> | undefined;
  /** The text of a JSON patch, "" where there is none. */
  readonly patch: string;
  readonly patchType: string;
  readonly auditAnnotations: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

/** What is wrong with an answer. */
export class AnswerError extends Error {}

export interface ReviewedObjects {
  readonly object: KubernetesObject | undefined;
  readonly oldObject: KubernetesObject | undefined;
}

/** A request as what it is seen, without its objects: what is sent of it, and what expressions read of it. */
export function reviewedRequest(
  request: AdmissionRequest,
  { kind, resource }: Pick<Invocation, "kind" | "resource">,
): AdmissionRequestFields {
  const { subresource, user } = request;
  const namespace = namespaceOf(request);
  return {
    kind: { group: kind.group, version: kind.version, kind: kind.kind },
    resource: { group: resource.group, version: resource.version, resource: resource.resource },
    ...(subresource === "" ? {} : { subResource: subresource }),
    requestKind: { group: request.kind.group, version: request.kind.version, kind: request.kind.kind },
    requestResource: { group: request.resource.group, version: request.resource.version, resource: request.resource.resource },
    ...(subresource === "" ? {} : { requestSubResource: subresource }),
    ...(request.name === "" ? {} : { name: request.name }),
    ...(namespace === "" ? {} : { namespace }),
    operation: request.operation,
    userInfo: {
      username: user.name,
      ...(user.uid === undefined || user.uid === "" ? {} : { uid: user.uid }),
      ...(user.groups.length === 0 ? {} : { groups: user.groups }),
      ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
    },
    dryRun: request.dryRun,
    options: operationOptions(request),
  };
}

export function admissionReview(
  version: ReviewVersion,
  uid: string,
  request: AdmissionRequest,
  { invocation, object, oldObject }: ReviewedObjects & { readonly invocation: Invocation },
): unknown {
  const { userInfo, dryRun, options, ...fields } = reviewedRequest(request, invocation);
  return {
    kind: "AdmissionReview",
    apiVersion: `admission.k8s.io/${version}`,
    request: { uid, ...fields, userInfo, object: object ?? null, oldObject: oldObject ?? null, dryRun, options },
  };
}

/** The options of what is done, whatever they came with: a patch creates or updates. */
function operationOptions({ operation, options }: AdmissionRequest): unknown {
  if (operation === "CONNECT") return null;
  if (operation === "DELETE") return options;
  const { force: _, kind: _kind, ...rest } = options;
  return { kind: operation === "CREATE" ? "CreateOptions" : "UpdateOptions", ...rest };
}

interface Answered {
  readonly kind?: unknown;
  readonly apiVersion?: unknown;
  readonly response?: {
    readonly uid?: unknown;
    readonly allowed?: unknown;
    readonly status?: Partial<Status>;
    readonly patch?: unknown;
    readonly patchType?: unknown;
    readonly auditAnnotations?: unknown;
    readonly warnings?: unknown;
  };
}

export interface ExpectedAnswer {
  readonly version: ReviewVersion;
  readonly uid: string;
  readonly mutating: boolean;
}

const reviewFields = (version: ReviewVersion): Nested => ({
  struct: "AdmissionReview",
  go: "",
  fields: {
    request: { struct: "AdmissionRequest", go: `${version}.AdmissionRequest`, fields: { uid: ["string", "types.UID"] } },
    response: {
      struct: "AdmissionResponse",
      go: `${version}.AdmissionResponse`,
      fields: {
        uid: ["string", "types.UID"],
        allowed: ["boolean", "bool"],
        status: statusFields,
        patch: "bytes",
        patchType: ["string", `${version}.PatchType`],
        auditAnnotations: "map",
        warnings: "texts",
      },
    },
  },
});

const fieldsOf = { v1: reviewFields("v1"), v1beta1: reviewFields("v1beta1") };

/** Why an answer cannot be decoded as the review; undefined where it can be. */
export function unreadable(value: unknown, version: ReviewVersion): string | undefined {
  const expected = {
    group: "admission.k8s.io",
    version,
    kind: "AdmissionReview",
    versions: ["v1", "v1beta1"],
    scheme: webhookScheme,
  };
  const problem = reviewKindProblem(value, expected) ?? fieldTypeProblem(value, fieldsOf[version]);
  const patch = (value as Answered | null)?.response?.patch;
  if (problem !== undefined || typeof patch !== "string" || normalizeBase64(patch) !== undefined) return problem;
  return base64Problem(patch);
}

/** Throws AnswerError. */
export function readAnswer(value: unknown, expected: ExpectedAnswer): AdmissionAnswer {
  const review = (typeof value === "object" && value !== null ? value : {}) as Answered;
  const { response } = review;
  if (typeof response !== "object" || response === null) throw new AnswerError("webhook response was absent");
  const patch = response.patch === undefined || response.patch === null ? "" : decodedPatch(response.patch);
  const patchType = response.patchType === undefined || response.patchType === null ? undefined : String(response.patchType);
  const strict = expected.version === "v1";
  if (strict) checkIdentity(review, expected);
  if (strict) checkPatch(patch, patchType, expected.mutating);
  return {
    allowed: response.allowed === true,
    status: response.status ?? undefined,
    patch: expected.mutating ? patch : "",
    patchType: strict ? (patchType ?? "") : "JSONPatch",
    auditAnnotations: texts(response.auditAnnotations),
    warnings: Array.isArray(response.warnings) ? response.warnings.filter((w): w is string => typeof w === "string") : [],
  };
}

function checkIdentity({ kind, apiVersion, response }: Answered, { uid, version }: ExpectedAnswer): void {
  const got = typeof response?.uid === "string" ? response.uid : "";
  if (got !== uid) throw new AnswerError(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(got)}`);
  const expected = `admission.k8s.io/${version}, Kind=AdmissionReview`;
  const answered = kindText(apiVersion, kind);
  if (answered !== expected) throw new AnswerError(`expected webhook response of ${expected}, got ${answered}`);
}

/** "group/version, Kind=kind"; "/, Kind=" where nothing is said. */
function kindText(apiVersion: unknown, kind: unknown): string {
  const version = typeof apiVersion === "string" ? apiVersion : "";
  return `${version.includes("/") ? version : `/${version}`}, Kind=${typeof kind === "string" ? kind : ""}`;
}

function checkPatch(patch: string, patchType: string | undefined, mutating: boolean): void {
  if (!mutating) {
    if (patch !== "") throw new AnswerError("validating webhook may not return response.patch");
    if (patchType !== undefined) throw new AnswerError("validating webhook may not return response.patchType");
    return;
  }
  if (patch !== "" && patchType === undefined) throw new AnswerError("webhook returned response.patch but not response.patchType");
  if (patch === "" && patchType !== undefined) throw new AnswerError("webhook returned response.patchType but not response.patch");
  if (patchType === "") throw new AnswerError('webhook returned invalid response.patchType of ""');
}

function decodedPatch(patch: unknown): string {
  if (Array.isArray(patch)) return new TextDecoder().decode(Uint8Array.from(patch as readonly number[]));
  const normal = typeof patch === "string" ? normalizeBase64(patch) : undefined;
  if (normal === undefined) throw new AnswerError(typeof patch === "string" ? base64Problem(patch) : "response.patch is no text");
  return new TextDecoder().decode(bytesOfBase64(normal));
}

function texts(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, typeof text === "string" ? text : ""]));
}

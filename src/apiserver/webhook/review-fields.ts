// The fields of what webhooks answer, for the check that an answer can be read at all: what all reviews share (a Status, metadata),
// and those of reviews of tokens, of access and of images.
import { type ExpectedReview, type FieldTypes, fieldTypeProblem, knowsBuiltIns, type Nested, reviewKindProblem } from "./review-kind.ts";

const text = ["string", "string"] as const;
const number = ["int32", "int32"] as const;

/** A Status as it stands in a review. */
export const statusFields: Nested = {
  struct: "Status",
  go: "v1.Status",
  fields: {
    metadata: {
      struct: "ListMeta",
      go: "v1.ListMeta",
      fields: { resourceVersion: text, continue: text, remainingItemCount: ["int64", "int64"] },
    },
    status: text,
    message: text,
    reason: ["string", "v1.StatusReason"],
    code: number,
    details: {
      struct: "StatusDetails",
      go: "v1.StatusDetails",
      fields: {
        name: text,
        group: text,
        kind: text,
        uid: ["string", "types.UID"],
        retryAfterSeconds: number,
        causes: {
          items: {
            struct: "StatusCause",
            go: "v1.StatusCause",
            fields: { reason: ["string", "v1.CauseType"], message: text, field: text },
          },
        },
      },
    },
  },
};

/** What the server does not look at has to be an object all the same. */
const opaque = (go: string): Nested => ({ struct: "", go, fields: {} });

/** Where clients of admission and conversion webhooks know their kinds from. */
export const webhookScheme = "k8s.io/apiserver/pkg/util/webhook/client.go:71";
const clientScheme = "k8s.io/client-go/kubernetes/scheme/register.go:82";
const serverScheme = "pkg/api/legacyscheme/scheme.go:30";

interface Expected extends Pick<ExpectedReview, "group" | "version" | "kind"> {
  /** Default: v1 and v1beta1. */
  readonly versions?: readonly string[];
  readonly scheme?: string;
}

/** Why an answer is no review of this kind; undefined where it can be read. */
function reviewProblem(value: unknown, expected: Expected, status: FieldTypes): string | undefined {
  const { version, kind } = expected;
  const fields: FieldTypes = {
    metadata: opaque("v1.ObjectMeta"),
    spec: opaque(`${version}.${kind}Spec`),
    status: { struct: `${kind}Status`, go: `${version}.${kind}Status`, fields: status },
  };
  return (
    reviewKindProblem(value, { versions: ["v1", "v1beta1"], scheme: clientScheme, ...expected, knows: knowsBuiltIns }) ??
    fieldTypeProblem(value, { struct: kind, go: "", fields })
  );
}

export function tokenReviewProblem(value: unknown, version: string): string | undefined {
  const user: Nested = {
    struct: "UserInfo",
    go: `${version}.UserInfo`,
    fields: { username: text, uid: text, groups: "texts", extra: { textLists: `${version}.ExtraValue` } },
  };
  const status: FieldTypes = { authenticated: ["boolean", "bool"], user, audiences: "texts", error: text };
  return reviewProblem(value, { group: "authentication.k8s.io", version, kind: "TokenReview" }, status);
}

export function accessReviewProblem(value: unknown, version: string): string | undefined {
  const flag = ["boolean", "bool"] as const;
  const status: FieldTypes = { allowed: flag, denied: flag, reason: text, evaluationError: text };
  return reviewProblem(value, { group: "authorization.k8s.io", version, kind: "SubjectAccessReview" }, status);
}

export function imageReviewProblem(value: unknown): string | undefined {
  const version = "v1alpha1";
  const status: FieldTypes = { allowed: ["boolean", "bool"], reason: text, auditAnnotations: "map" };
  return reviewProblem(
    value,
    { group: "imagepolicy.k8s.io", version, kind: "ImageReview", versions: [version], scheme: serverScheme },
    status,
  );
}

export function conversionReviewProblem(value: unknown, version: string): string | undefined {
  const response: Nested = {
    struct: "ConversionResponse",
    go: `${version}.ConversionResponse`,
    fields: { uid: ["string", "types.UID"], convertedObjects: "list", result: statusFields },
  };
  const group = "apiextensions.k8s.io";
  const expected = { group, version, kind: "ConversionReview", versions: ["v1", "v1beta1"], scheme: webhookScheme };
  const knows = (apiVersion: string, kind: string): boolean =>
    apiVersion.startsWith(`${group}/v1`) && /^CustomResourceDefinition(?:List)?$/.test(kind);
  return (
    reviewKindProblem(value, { ...expected, knows }) ??
    fieldTypeProblem(value, {
      struct: "ConversionReview",
      go: "",
      fields: { request: opaque(`${version}.ConversionRequest`), response },
    })
  );
}

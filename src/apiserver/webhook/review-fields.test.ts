import { describe, expect, it } from "vitest";
import { accessReviewProblem, conversionReviewProblem, tokenReviewProblem } from "./review-fields.ts";

const token = (status: unknown, more: object = {}) => ({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status, ...more });
const access = (status: unknown, more: object = {}) => ({
  apiVersion: "authorization.k8s.io/v1",
  kind: "SubjectAccessReview",
  status,
  ...more,
});
const scheme = 'in scheme "k8s.io/client-go/kubernetes/scheme/register.go:82"';

describe("tokenReviewProblem()", () => {
  it("takes reviews of the version that was sent, and those that do not say what they are", () => {
    const user = { username: "a", groups: ["g", null], extra: { k: ["v"], n: null } };
    expect(tokenReviewProblem(token({ authenticated: true, user, audiences: null }), "v1")).toBeUndefined();
    expect(tokenReviewProblem({ status: { authenticated: true } }, "v1beta1")).toBeUndefined();
    expect(tokenReviewProblem(null, "v1")).toBeUndefined();
  });

  it("takes nothing else, whatever it says", () => {
    const as = (apiVersion: string, kind = "TokenReview") => tokenReviewProblem(token({ authenticated: true }, { apiVersion, kind }), "v1");
    expect(as("authentication.k8s.io/v1beta1")).toBe("converting (v1beta1.TokenReview) to (v1.TokenReview): unknown conversion");
    expect(as("v1", "Pod")).toBe("converting (v1.Pod) to (v1.TokenReview): unknown conversion");
    expect(as("foo/v1")).toBe(`no kind "TokenReview" is registered for version "foo/v1" ${scheme}`);
    expect(as("a/b/c")).toBe("unexpected GroupVersion string: a/b/c");
  });

  it("names the first field of another type as Go does", () => {
    const problem = (status: unknown) => tokenReviewProblem(token(status), "v1");
    const field = "json: cannot unmarshal";
    expect(problem("x")).toBe(`${field} string into Go struct field TokenReview.status of type v1.TokenReviewStatus`);
    expect(problem({ authenticated: "true" })).toBe(
      `${field} string into Go struct field TokenReviewStatus.status.authenticated of type bool`,
    );
    expect(problem({ user: { groups: "x" } })).toBe(`${field} string into Go struct field UserInfo.status.user.groups of type []string`);
    expect(problem({ user: { groups: [1] } })).toBe(`${field} number into Go struct field UserInfo.status.user.groups of type string`);
    expect(problem({ user: { extra: { a: "x" } } })).toBe(
      `${field} string into Go struct field UserInfo.status.user.extra of type v1.ExtraValue`,
    );
    expect(problem({ user: { extra: [] } })).toBe(
      `${field} array into Go struct field UserInfo.status.user.extra of type map[string]v1.ExtraValue`,
    );
  });
});

describe("accessReviewProblem()", () => {
  it("lets nobody in by a word that looks like true", () => {
    expect(accessReviewProblem(access({ allowed: true, denied: false, reason: "r" }), "v1")).toBeUndefined();
    expect(accessReviewProblem(access({ allowed: "true" }), "v1")).toBe(
      "json: cannot unmarshal string into Go struct field SubjectAccessReviewStatus.status.allowed of type bool",
    );
    expect(accessReviewProblem(access({ allowed: true }, { kind: "SelfSubjectAccessReview" }), "v1")).toBe(
      "converting (v1.SelfSubjectAccessReview) to (v1.SubjectAccessReview): unknown conversion",
    );
    expect(accessReviewProblem(access({ allowed: true }, { spec: "x" }), "v1")).toBe(
      "json: cannot unmarshal string into Go struct field SubjectAccessReview.spec of type v1.SubjectAccessReviewSpec",
    );
  });
});

describe("conversionReviewProblem()", () => {
  const review = (response: unknown, more: object = {}) => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "ConversionReview",
    response,
    ...more,
  });

  it("checks kinds, results to the last cause, and numbers", () => {
    const problem = (response: unknown) => conversionReviewProblem(review(response), "v1");
    expect(problem({ uid: "u", convertedObjects: [], result: { status: "Success", code: 200 } })).toBeUndefined();
    expect(conversionReviewProblem(review({}, { kind: "CustomResourceDefinition" }), "v1")).toBe(
      "converting (v1.CustomResourceDefinition) to (v1.ConversionReview): unknown conversion",
    );
    const start = "json: cannot unmarshal";
    expect(problem({ convertedObjects: {} })).toBe(
      `${start} object into Go struct field ConversionResponse.response.convertedObjects of type []runtime.RawExtension`,
    );
    expect(problem({ result: { code: 400.5 } })).toBe(
      `${start} number 400.5 into Go struct field Status.response.result.code of type int32`,
    );
    expect(problem({ result: { code: 3e9 } })).toBe(
      `${start} number 3000000000 into Go struct field Status.response.result.code of type int32`,
    );
    expect(problem({ result: { details: { causes: [5] } } })).toBe(
      `${start} number into Go struct field StatusDetails.response.result.details.causes of type v1.StatusCause`,
    );
    expect(problem({ result: { details: { causes: [{ field: 1 }] } } })).toBe(
      `${start} number into Go struct field StatusCause.response.result.details.causes.field of type string`,
    );
  });
});

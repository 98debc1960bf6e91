// Admission policies: what can be told of one without compiling its expressions.
import { describe, expect, it } from "vitest";
import type { FieldError } from "../meta/field-error.ts";
import type { MutatingAdmissionPolicy, Mutation, ValidatingAdmissionPolicy } from "../types/admissionregistration-v1.ts";
import { validateMutatingPolicy, validateValidatingPolicy, validateValidatingPolicyStatus } from "./admission-policy.ts";
import type { ExpressionUse } from "./expression-check.ts";

const metadata = { name: "p", namespace: "", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const apiVersion = "admissionregistration.k8s.io/v1";
const messages = (errors: readonly FieldError[]): string[] => errors.map((error) => error.message);
const matchConstraints = {
  matchPolicy: "Equivalent",
  namespaceSelector: {},
  objectSelector: {},
  resourceRules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "*" }],
} as const;

const policy = (spec: ValidatingAdmissionPolicy["spec"]): ValidatingAdmissionPolicy => ({
  apiVersion,
  kind: "ValidatingAdmissionPolicy",
  metadata,
  spec: { failurePolicy: "Fail", matchConstraints, validations: [{ expression: "true" }], ...spec },
});

describe("validateValidatingPolicy()", () => {
  it("needs something to validate, and rules to say of what", () => {
    expect(validateValidatingPolicy(policy({}))).toEqual([]);
    const spec = { validations: [], matchConstraints: { ...matchConstraints, resourceRules: [] } };
    expect(messages(validateValidatingPolicy(policy(spec)))).toEqual([
      "spec.matchConstraints.resourceRules: Required value",
      "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
      "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
    ]);
  });

  it("parameters have a version and a kind", () => {
    const kindsOf = (paramKind: object): string[] => messages(validateValidatingPolicy(policy({ paramKind })));
    expect(kindsOf({ apiVersion: "a/b/c" })).toEqual([
      'spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
      "spec.paramKind.kind: Required value",
    ]);
    expect(kindsOf({ apiVersion: "g/", kind: "a_b" })).toEqual([
      'spec.paramKind.apiVersion: Invalid value: "g/": version must be specified',
      expect.stringContaining(
        'spec.paramKind.kind: Invalid value: "a_b": may have mixed case, but should otherwise match: a DNS-1035 label',
      ),
    ]);
  });

  it("messages are there and in one line", () => {
    const validations = [
      { expression: " ", message: "a\nb", reason: "Because" },
      { expression: "true", message: " ", messageExpression: " " },
    ];
    expect(messages(validateValidatingPolicy(policy({ validations })))).toEqual([
      "spec.validations[0].expression: Required value: expression is not specified",
      'spec.validations[0].message: Invalid value: "a\\nb": must not contain line breaks',
      'spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
      'spec.validations[1].messageExpression: Invalid value: " ": must be non-empty if specified',
      'spec.validations[1].message: Invalid value: " ": must be non-empty if specified',
    ]);
  });

  it("variables are identifiers, and names of conditions and annotations differ", () => {
    const spec = {
      variables: [
        { name: "in", expression: "1" },
        { name: "", expression: "" },
      ],
      matchConditions: [
        { name: "a", expression: "true" },
        { name: "a", expression: "true" },
      ],
      auditAnnotations: [
        { key: "k", valueExpression: "'x'" },
        { key: "k", valueExpression: "" },
      ],
    };
    expect(messages(validateValidatingPolicy(policy(spec)))).toEqual([
      'spec.matchConditions[1].name: Duplicate value: "a"',
      'spec.variables[0].name: Invalid value: "in": must be a valid CEL identifier',
      "spec.variables[1].name: Required value: name is not specified",
      "spec.variables[1].expression: Required value: expression is not specified",
      "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
      'spec.auditAnnotations[1].key: Duplicate value: "k"',
    ]);
  });

  it("tells the check what each expression may use, and what was there before", () => {
    const old = policy({});
    const changed = policy({
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      matchConditions: [{ name: "a", expression: "true" }],
      variables: [
        { name: "x", expression: "1" },
        { name: "y", expression: "variables.x" },
      ],
      validations: [{ expression: "true", messageExpression: "'no'" }],
    });
    const seen: string[] = [];
    const record = (_errors: FieldError[], { purpose, field, hasParams, variables, stored }: ExpressionUse): void => {
      seen.push(`${purpose} ${field} ${hasParams} [${variables.map(({ name }) => name)}] ${stored}`);
    };
    expect(validateValidatingPolicy(changed, old, record)).toEqual([]);
    expect(seen).toEqual([
      "matchCondition spec.matchConditions[0].expression true [] false",
      "variable spec.variables[0].expression true [] false",
      "variable spec.variables[1].expression true [x] false",
      "validation spec.validations[0].expression true [x,y] true",
      "messageExpression spec.validations[0].messageExpression true [x,y] false",
    ]);
  });

  it("does not look again at match conditions that stay", () => {
    const wrong = policy({ matchConditions: [{ name: "", expression: "" }] });
    expect(validateValidatingPolicy(wrong, wrong)).toEqual([]);
    expect(validateValidatingPolicy(wrong, policy({}))).toHaveLength(2);
  });

  it("warnings of its status say where and what", () => {
    const status = { typeChecking: { expressionWarnings: [{ fieldRef: " ", warning: "" }] } };
    expect(messages(validateValidatingPolicyStatus({ ...policy({}), status }))).toEqual([
      "status.typeChecking.expressionWarnings[0].warning: Required value",
      "status.typeChecking.expressionWarnings[0].fieldRef: Required value",
    ]);
  });
});

describe("validateMutatingPolicy()", () => {
  const mutating = (spec: MutatingAdmissionPolicy["spec"]): MutatingAdmissionPolicy => ({
    apiVersion,
    kind: "MutatingAdmissionPolicy",
    metadata,
    spec: { failurePolicy: "Fail", matchConstraints, reinvocationPolicy: "Never", ...spec },
  });

  it("mutations are of the type they say", () => {
    const mutations: readonly Mutation[] = [
      { patchType: "JSONPatch", applyConfiguration: { expression: "Object{}" } },
      { patchType: "ApplyConfiguration", applyConfiguration: { expression: " " } },
      { patchType: "Merge" as never },
    ];
    expect(messages(validateMutatingPolicy(mutating({ mutations })))).toEqual([
      "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
      'spec.mutations[0].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch',
      "spec.mutations[1].applyConfiguration.expression: Required value",
      'spec.mutations[2].patchType: Unsupported value: "Merge": supported values: "ApplyConfiguration", "JSONPatch"',
    ]);
  });

  it("does not mutate what is deleted", () => {
    const resourceRules = matchConstraints.resourceRules.map((rule) => ({ ...rule, operations: ["DELETE"] }));
    const { reinvocationPolicy: _, ...spec } = mutating({}).spec ?? {};
    const deleting = { ...mutating({}), spec: { ...spec, matchConstraints: { ...matchConstraints, resourceRules } } };
    expect(messages(validateMutatingPolicy(deleting))).toEqual([
      'spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"',
      "spec.mutations: Required value: mutations must contain at least one item",
      "spec.reinvocationPolicy: Required value",
    ]);
  });
});

// Expressions that are written into objects: the errors of their fields.
import { expect, it } from "vitest";
import type { FieldError } from "../meta/field-error.ts";
import type { ValidatingAdmissionPolicy } from "../types/admissionregistration-v1.ts";
import { validateValidatingPolicy } from "../validation/admission-policy.ts";
import type { ExpressionPurpose } from "../validation/expression-check.ts";
import { checkExpression } from "./expression-check.ts";

function problems(purpose: ExpressionPurpose, expression: string): readonly string[] {
  const errors: FieldError[] = [];
  checkExpression(errors, { purpose, field: "f", expression, hasParams: false, paramKind: undefined, variables: [], stored: false });
  return errors.map(({ message }) => message);
}

const unclosed = "program instantiation failed: error parsing regexp: missing closing ): `(`";

it("a constant part without a value is an internal error, told after a result of a wrong type", () => {
  expect(problems("validation", "'a'.find('(') == ''")).toEqual([`f: Internal error: ${unclosed}`]);
  expect(problems("matchCondition", "'a'.find('(') == ''")).toEqual([`f: Internal error: ${unclosed}`]);
  expect(problems("deviceSelector", "'a'.find('(') == ''")).toEqual([`f: Internal error: ${unclosed}`]);
  expect(problems("validation", "'a'.find('(')")).toEqual([`f: Invalid value: "'a'.find('(')": must evaluate to bool but got string`]);
  expect(problems("deviceSelector", "'a'.find('(')")).toEqual([
    `f: Invalid value: "'a'.find('(')": must evaluate to bool or the unknown type, not string`,
  ]);
});

it("operations of a JSON patch have four fields; one that they do not have is of no type", () => {
  const problem = problems("jsonPatch", "[JSONPatch{foo: 1}]").join();
  expect(problem).toContain("ERROR: <input>:1:15: expected type of field 'foo' is '' but provided type is 'int'");
  expect(problems("jsonPatch", "[JSONPatch{foo: dyn(1)}]")).toEqual([]);
  expect(problems("jsonPatch", "[JSONPatch{foo: null}]").join()).toContain("field 'foo' is '' but provided type is 'null'");
});

function policyProblems(variables: readonly { readonly name: string; readonly expression: string }[], validation: string): string[] {
  const resourceRules = [{ operations: ["*"], apiGroups: ["a"], apiVersions: ["v1"], resources: ["b"] }];
  const spec = {
    failurePolicy: "Fail",
    matchConstraints: { resourceRules, matchPolicy: "Exact" },
    variables,
    validations: [{ expression: validation }],
  };
  const policy = { metadata: { name: "p" }, spec } as unknown as ValidatingAdmissionPolicy; // what is read
  return validateValidatingPolicy(policy, undefined, checkExpression)
    .map(({ message }) => message)
    .filter((message) => !message.includes("matchConstraints"));
}

it("a variable reads those before it, and a validation all", () => {
  const [a, b] = [
    { name: "a", expression: "1" },
    { name: "b", expression: "variables.a + 1" },
  ];
  expect(policyProblems([a, b], "variables.a + variables.b > 1")).toEqual([]);
  expect(policyProblems([b, a], "variables.b > 1").join()).toContain("undefined field 'a'");
  expect(policyProblems([a, b], "variables.b == ''").join()).toContain("found no matching overload for '_==_' applied to '(int, string)'");
});

it("thousands of variables are compiled once each", () => {
  const variables = Array.from({ length: 4000 }, (_, index) => ({
    name: `v${index}`,
    expression: index === 0 ? "1" : `variables.v${index - 1}`,
  }));
  expect(policyProblems(variables, "variables.v3999 == 1")).toEqual([]);
});

// Expressions that are written into objects: the errors of their fields.
import { expect, it } from "vitest";
import type { FieldError } from "../meta/field-error.ts";
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

import { expect, it } from "vitest";
import { invalidValue } from "../../api/meta/field-error.ts";
import { describeErrors } from "./describe-errors.ts";

it("puts an error of several lines in one, in time that is proportional to its length", () => {
  const text = (detail: string): string => describeErrors([invalidValue("a", 1, detail)]).replace("a: Invalid value: 1: ", "");
  expect(text("x  \n \n\t| y\nz ")).toBe("x | y z ");
  expect(text("\nx\n\n")).toBe("x ");
  expect(text(`x${" ".repeat(300_000)}y\nz`)).toHaveLength(300_004);
});

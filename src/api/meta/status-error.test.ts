import { describe, expect, it } from "vitest";
import { invalidValue } from "./field-error.ts";
import { invalid } from "./status-error.ts";

const pod = { group: "", kind: "Pod" };

describe("invalid()", () => {
  it("tells each message once, and each error as a cause", () => {
    const error = invalidValue("spec.a", "x", "must be y");
    expect(invalid(pod, "p", [error, error, invalidValue("spec.b", 1, "")]).status).toMatchObject({
      message: 'Pod "p" is invalid: [spec.a: Invalid value: "x": must be y, spec.b: Invalid value: 1]',
      details: { causes: [{ field: "spec.a" }, { field: "spec.a" }, { field: "spec.b", message: "Invalid value: 1" }] },
    });
  });

  it("tells no more than a megabyte of errors that each repeat the list they stand in", () => {
    const list = Array.from({ length: 10_000 }, (_, i) => `x${i}`);
    const { message, details } = invalid(
      pod,
      "p",
      Array.from(list, () => invalidValue("spec.list", list, "must be y")),
    ).status;
    expect(details?.causes?.length).toBeGreaterThan(1);
    expect(details?.causes?.length).toBeLessThan(100);
    expect(message?.length).toBeLessThan(2_000_000);
    // One error is told, however large.
    expect(invalid(pod, "p", [invalidValue("a", "x".repeat(2_000_000), "must be y")]).status.details?.causes).toHaveLength(1);
  });
});

import { expect, it } from "vitest";
import { conflictError } from "./conflicts.ts";
import { setOf } from "./field-set.ts";
import type { Owner } from "./managers.ts";

it("lists those who own the fields in the order of what upstream knows them by", () => {
  const set = setOf(["spec", "replicas"]);
  const owner = (more: Partial<Owner>): Owner => ({
    ...{ manager: "m", operation: "Apply", apiVersion: "apps/v1", subresource: "", time: undefined, set },
    ...more,
  });
  const owners = [{}, { operation: "Update" }, { subresource: "scale" }, { manager: "a" }] as const;
  expect(conflictError(owners.map((more) => ({ owner: owner(more), set }))).message.split("\n- .spec.replicas")).toEqual([
    'Apply failed with 4 conflicts: conflicts with "a":',
    '\nconflicts with "m" with subresource "scale":',
    '\nconflicts with "m":',
    '\nconflicts with "m" using apps/v1:',
    "",
  ]);
});

import { expect, it } from "vitest";
import { setOf, toFieldsV1 } from "./field-set.ts";
import { capUpdaters, identityOf, type Owner } from "./managers.ts";

it("thousands of updaters are merged in time that is proportional to what they own", () => {
  const owners = Array.from({ length: 20_000 }, (_, index): [string, Owner] => {
    const who = { manager: `m${String(index).padStart(5, "0")}`, operation: "Update", apiVersion: "v1", subresource: "" } as const;
    return [identityOf(who), { ...who, time: undefined, set: setOf(["data", `k${index}`]) }];
  });
  const capped = [...capUpdaters(new Map(owners)).values()];
  expect(capped.map(({ manager }) => manager).sort()).toEqual(["ancient-changes", ...owners.slice(-9).map(([, { manager }]) => manager)]);
  const merged = capped.find(({ manager }) => manager === "ancient-changes");
  expect(Object.keys(toFieldsV1(merged?.set ?? setOf())["f:data"] as object)).toHaveLength(19_991);
});

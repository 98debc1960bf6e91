import { expect, it } from "vitest";
import { compareVersions } from "./version-order.ts";

it("compareVersions() puts stable before beta before alpha, newer before older, other names last", () => {
  const versions = ["foo10", "v2alpha1", "v1", "v1beta2", "v10", "bar", "v1beta10", "v2"];
  expect(versions.sort(compareVersions)).toEqual(["v10", "v2", "v1", "v1beta10", "v1beta2", "v2alpha1", "bar", "foo10"]);
});

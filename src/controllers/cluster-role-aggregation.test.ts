import { expect, it } from "vitest";
import { clusterroles } from "../api/resources.generated.ts";
import type { PolicyRule } from "../api/types/rbac-v1.ts";
import { createControllerFixture } from "../testing/controller-fixture.ts";
import { clusterRoleAggregation } from "./cluster-role-aggregation.ts";

const rule = (resource: string): PolicyRule => ({ apiGroups: [""], resources: [resource], verbs: ["get"] });

it("clusterrole-aggregation-controller gives a role the rules of those it selects, as they come and go", async () => {
  await using fixture = createControllerFixture();
  fixture.start(clusterRoleAggregation);
  const clusterRoleSelectors = [{ matchLabels: { toView: "true" } }];
  await fixture.client.create(clusterroles, { metadata: { name: "view" }, aggregationRule: { clusterRoleSelectors }, rules: [] });
  for (const name of ["pods", "secrets"]) {
    const labels = { toView: String(name === "pods") };
    await fixture.client.create(clusterroles, { metadata: { name, labels }, rules: [rule(name)] });
  }
  const rules = async () => {
    await fixture.settle();
    return (await fixture.client.get(clusterroles, { name: "view" })).rules;
  };
  expect(await rules()).toEqual([rule("pods")]);
  await fixture.client.patch(clusterroles, { name: "secrets" }, { metadata: { labels: { toView: "true" } } }, { type: "merge" });
  expect(await rules()).toEqual([rule("pods"), rule("secrets")]);
  await fixture.client.delete(clusterroles, { name: "pods" });
  expect(await rules()).toEqual([rule("secrets")]);
});

it("clusterrole-aggregation-controller leaves a role that selects nothing the rules that somebody gave it", async () => {
  await using fixture = createControllerFixture();
  fixture.start(clusterRoleAggregation);
  const clusterRoleSelectors = [{ matchLabels: { toView: "true" } }];
  const labels = { toView: "true" };
  await fixture.client.create(clusterroles, {
    metadata: { name: "view", labels },
    aggregationRule: { clusterRoleSelectors },
    rules: [rule("own")],
  });
  await fixture.settle();
  expect((await fixture.client.get(clusterroles, { name: "view" })).rules).toEqual([rule("own")]);
});

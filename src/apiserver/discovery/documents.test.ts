import { expect, it } from "vitest";
import type { ResourceType } from "../../api/resource-type.ts";
import { deployments } from "../../api/resources.generated.ts";
import { aggregatedDiscovery, discoveredGroups, groupsOf } from "./documents.ts";

const widgets: ResourceType = {
  group: "example.com",
  version: "v1",
  resource: "widgets",
  singular: "widget",
  kind: "Widget",
  namespaced: true,
  verbs: ["get"],
  subresources: [{ name: "status", kind: { group: "example.com", version: "v1", kind: "Widget" }, verbs: ["get"] }],
};

it("aggregatedDiscovery() names group and version of custom kinds, and leaves those of built-in ones empty", () => {
  const { items } = aggregatedDiscovery(discoveredGroups(groupsOf([deployments, widgets]))) as {
    items: { versions: { resources: { responseKind: object; subresources: { subresource: string; responseKind: object }[] }[] }[] }[];
  };
  const [builtIn, custom] = items.map(({ versions }) => versions[0]?.resources[0]);
  expect(builtIn?.responseKind).toEqual({ group: "", version: "", kind: "Deployment" });
  expect(builtIn?.subresources.find(({ subresource }) => subresource === "scale")?.responseKind).toEqual({
    group: "autoscaling",
    version: "v1",
    kind: "Scale",
  });
  const kind = { group: "example.com", version: "v1", kind: "Widget" };
  expect(custom).toMatchObject({ responseKind: kind, subresources: [{ responseKind: kind }] });
});

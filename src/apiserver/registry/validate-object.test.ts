import { expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { limitranges } from "../../api/resources.generated.ts";
import { builtInDefinitions } from "./definitions.ts";
import { describedResources } from "./resources/all.ts";
import { validateChangedObject, validateNewObject } from "./validate-object.ts";

function definitionOf(resource: string) {
  const definition = builtInDefinitions(describedResources).find(({ type }) => type.resource === resource);
  if (!definition) throw new Error(`${resource} are not served`);
  return definition;
}

it("an object may have more problems than a call has arguments", () => {
  const definition = definitionOf(limitranges.resource);
  const max = Object.fromEntries(Array.from({ length: 150_000 }, (_, index) => [`!${index}`, "1"]));
  const metadata = { name: "a", namespace: "b", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
  const made = { apiVersion: "v1", kind: "LimitRange", metadata, spec: { limits: [{ type: "Pod", max }] } } as KubernetesObject;
  expect(validateNewObject(definition, made).length).toBeGreaterThan(140_000);
  expect(validateNewObject(definition, { ...made, metadata: { ...metadata, labels: max } } as KubernetesObject).length).toBeGreaterThan(
    290_000,
  );
  expect(validateChangedObject(definition, definition.update, made, made).length).toBeGreaterThan(140_000);
});

it.each([
  ["deployments", (labels: object) => ({ template: { metadata: { labels } } })],
  ["deployments", (matchLabels: object) => ({ selector: { matchLabels } })],
  ["deployments", (nodeSelector: object) => ({ template: { spec: { nodeSelector } } })],
  ["deployments", (labels: object) => ({ template: { spec: { volumes: [{ name: "v", projected: { sources: many(labels) } }] } } })],
  ["services", (selector: object) => ({ selector })],
  ["runtimeclasses", (nodeSelector: object) => ({ scheduling: { nodeSelector } })],
])("also parts of %s", (resource, spec) => {
  const labels = Object.fromEntries(Array.from({ length: 150_000 }, (_, index) => [`!${index}`, "1"]));
  const metadata = { name: "a", namespace: "b", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
  const definition = definitionOf(resource);
  const object = {
    apiVersion: "v1",
    kind: definition.type.kind,
    metadata,
    spec: spec(labels),
    ...spec(labels),
  } as unknown as KubernetesObject;
  expect(validateNewObject(definition, object).length).toBeGreaterThan(140_000);
});

const many = (labels: object): object[] => Object.keys(labels).map((path) => ({ configMap: { name: "", items: [{ key: "", path }] } }));

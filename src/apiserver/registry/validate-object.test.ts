import { expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { limitranges } from "../../api/resources.generated.ts";
import { builtInDefinitions } from "./definitions.ts";
import { describedResources } from "./resources/all.ts";
import { validateChangedObject, validateNewObject } from "./validate-object.ts";

it("an object may have more problems than a call has arguments", () => {
  const definition = builtInDefinitions(describedResources).find(({ type }) => type.resource === limitranges.resource);
  if (!definition) throw new Error("limit ranges are not served");
  const max = Object.fromEntries(Array.from({ length: 150_000 }, (_, index) => [`!${index}`, "1"]));
  const metadata = { name: "a", namespace: "b", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
  const made = { apiVersion: "v1", kind: "LimitRange", metadata, spec: { limits: [{ type: "Pod", max }] } } as KubernetesObject;
  expect(validateNewObject(definition, made).length).toBeGreaterThan(140_000);
  expect(validateNewObject(definition, { ...made, metadata: { ...metadata, labels: max } } as KubernetesObject).length).toBeGreaterThan(
    290_000,
  );
  expect(validateChangedObject(definition, definition.update, made, made).length).toBeGreaterThan(140_000);
});

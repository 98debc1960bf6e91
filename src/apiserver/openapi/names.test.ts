import { expect, it } from "vitest";
import { customTypeName, modelName } from "./names.ts";

it("modelName() of a custom kind makes way for the model of a built-in type", () => {
  const named = (group: string, kind: string): string => modelName(customTypeName({ group, version: "v1", kind }));
  expect(named("example.com", "Widget")).toBe("com.example.v1.Widget");
  expect(named("core.api.k8s.io", "Pod")).toBe("io.k8s.api.core.v1.Pod_v2");
  expect(named("core.api.k8s.io", "Widget")).toBe("io.k8s.api.core.v1.Widget");
  expect(named("meta.apis.pkg.apimachinery.k8s.io", "ObjectMeta")).toBe("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta_v2");
});

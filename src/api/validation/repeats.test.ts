import { expect, it } from "vitest";
import type { FieldError } from "../meta/field-error.ts";
import type { PodSpec } from "../types/core-v1.ts";
import { validateContainers } from "./container.ts";
import { repeats } from "./repeats.ts";

it("repeats() knows the values that were there before", () => {
  const isRepeated = repeats<string>();
  expect(["a", "b", "a", "", "", "b"].map(isRepeated)).toEqual([false, false, true, false, true, true]);
});

it("validateContainers() takes as long as there are containers, not the square of that", () => {
  const errors: FieldError[] = [];
  const containers = Array.from({ length: 60_000 }, (_, i) => ({
    name: `c${i % 59_999}`,
    image: "i",
    imagePullPolicy: "Always",
    terminationMessagePolicy: "File",
  }));
  const startMs = performance.now();
  // Names that are compared with each other are 1.8 thousand million pairs.
  validateContainers(errors, "spec.containers", { spec: { containers } as unknown as PodSpec } as Parameters<typeof validateContainers>[2]);
  expect(performance.now() - startMs).toBeLessThan(2500);
  expect(errors.map(({ type, field }) => `${type} ${field}`)).toEqual(["FieldValueDuplicate spec.containers[59999].name"]);
});

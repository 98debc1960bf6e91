// What applied configurations are refused for before they are merged.
import { describe, expect, it } from "vitest";
import { builtInSchemas } from "../../schema/schema.ts";
import { shapeOf } from "./shape.ts";
import { appliedProblem } from "./validate-applied.ts";

const problem = (schema: string, applied: object): string | undefined =>
  appliedProblem(applied as Readonly<Record<string, unknown>>, shapeOf(builtInSchemas.get(schema)));

describe("appliedProblem()", () => {
  it("looks into lists and maps that are owned as a whole", () => {
    expect(problem("core-v1.Pod", { spec: { tolerations: [{ key: "a" }, { key: 5 }] } })).toBe(
      ".spec.tolerations[1].key: expected string, got &value.valueUnstructured{Value:5}",
    );
    expect(problem("core-v1.Pod", { spec: { tolerations: ["str"] } })).toBe(".spec.tolerations[0]: expected map, got &{str}");
    expect(problem("core-v1.Node", { status: { runtimeHandlers: [{ features: { recursiveReadOnlyMounts: "true" } }] } })).toBe(
      ".status.runtimeHandlers[0].features.recursiveReadOnlyMounts: expected boolean, got &{true}",
    );
    expect(problem("core-v1.Pod", { spec: { nodeSelector: { a: 5 } } })).toBe(
      ".spec.nodeSelector.a: expected string, got &value.valueUnstructured{Value:5}",
    );
  });

  it("refuses repeated members of sets within them", () => {
    const rules = [{ action: "FailJob", onExitCodes: { operator: "In", values: [1, 2, 1] } }];
    expect(problem("batch-v1.Job", { spec: { podFailurePolicy: { rules } } })).toBe(
      ".spec.podFailurePolicy.rules[0].onExitCodes.values: duplicate entries for key [=1]",
    );
  });

  it("leaves values that read themselves to their types, if they are scalars", () => {
    expect(problem("core-v1.Pod", { metadata: { deletionTimestamp: 5 }, spec: { overhead: { cpu: true } } })).toBeUndefined();
    expect(problem("core-v1.Pod", { spec: { overhead: { cpu: { a: 1 } } } })).toBe(
      ".spec.overhead.cpu: expected any scalar, got &{map[a:1]}",
    );
  });
});

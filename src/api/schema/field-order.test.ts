// Where upstream's types declare their fields.
import { describe, expect, it } from "vitest";
import { fieldRanks } from "./field-order.ts";
import { builtInSchemas } from "./schema.ts";

const ordered = (name: string): string[] => [...fieldRanks(builtInSchemas.get(name))].sort((a, b) => a[1] - b[1]).map(([field]) => field);

describe("fieldRanks()", () => {
  it("follows the declaration where fields were put in later", () => {
    expect(ordered("core-v1.PodSpec").slice(0, 5)).toEqual([
      "volumes",
      "initContainers",
      "containers",
      "ephemeralContainers",
      "restartPolicy",
    ]);
    expect(ordered("apps-v1.DeploymentCondition")).toEqual(["type", "status", "lastUpdateTime", "lastTransitionTime", "reason", "message"]);
    expect(ordered("batch-v1.JobStatus").slice(-6)).toEqual([
      "failed",
      "terminating",
      "completedIndexes",
      "failedIndexes",
      "uncountedTerminatedPods",
      "ready",
    ]);
  });

  it("follows the protobuf numbers elsewhere, with kind and version first", () => {
    expect(ordered("core-v1.ContainerPort")).toEqual(["name", "hostPort", "containerPort", "protocol", "hostIP"]);
    expect(ordered("core-v1.Pod")).toEqual(["kind", "apiVersion", "metadata", "spec", "status"]);
  });

  it("knows every field of a type", () => {
    for (const name of ["core-v1.PodSpec", "core-v1.Container", "core-v1.NodeSpec", "batch-v1.JobSpec", "meta-v1.ObjectMeta"])
      expect(ordered(name).sort()).toEqual([...builtInSchemas.get(name).fields.keys()].sort());
  });
});

import { describe, expect, it } from "vitest";
import type { Container, ContainerStatus, Pod, PodSpec } from "../../api/types/core-v1.ts";
import { podPhase } from "./pod-phase.ts";

const named = (name: string, fields: Partial<Container> = {}): Container => ({ name, image: "busybox:1", ...fields });

function podOf(spec: Partial<PodSpec>): Pod {
  const metadata = { name: "web", namespace: "default", uid: "u1" } as Pod["metadata"];
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [named("a"), named("b")], ...spec } };
}

/** "a:run", "a:wait", "a:0" (ended), "a:wait1" (waits after having ended with 1). */
function statusesOf(text: string): readonly ContainerStatus[] {
  return text
    .split(" ")
    .filter((t) => t !== "")
    .map((item) => {
      const [name = "", state = ""] = item.split(":");
      const waited = /^wait(\d*)$/.exec(state);
      return {
        ...{ name, image: "", imageID: "", ready: false, restartCount: 0, started: state === "run" },
        state: state === "run" ? { running: {} } : waited ? { waiting: {} } : { terminated: { exitCode: Number(state) } },
        lastState: waited?.[1] ? { terminated: { exitCode: Number(waited[1]) } } : {},
      };
    });
}

const cases: readonly (readonly [statuses: string, policy: NonNullable<PodSpec["restartPolicy"]>, phase: string])[] = [
  ["", "Always", "Pending"],
  ["a:run", "Always", "Pending"],
  ["a:run b:wait", "Always", "Pending"],
  ["a:run b:run", "Always", "Running"],
  ["a:run b:1", "Never", "Running"],
  ["a:0 b:0", "Always", "Running"],
  ["a:0 b:wait1", "Always", "Running"],
  ["a:0 b:0", "OnFailure", "Succeeded"],
  ["a:0 b:1", "OnFailure", "Running"],
  ["a:0 b:0", "Never", "Succeeded"],
  ["a:0 b:1", "Never", "Failed"],
];

describe("podPhase()", () => {
  it.each(cases)("of containers %s with restart policy %s is %s", (statuses, restartPolicy, phase) => {
    expect(podPhase(podOf({ restartPolicy }), statusesOf(statuses), { terminal: false, initialized: true })).toBe(phase);
  });

  it("is terminal once the pod has been stopped for good, whatever the restart policy", () => {
    const stopped = { terminal: true, initialized: true };
    expect(podPhase(podOf({}), statusesOf("a:0 b:0"), stopped)).toBe("Succeeded");
    expect(podPhase(podOf({}), statusesOf("a:0 b:137"), stopped)).toBe("Failed");
  });

  it("is Failed when an init container failed for good, Pending while one is to be run", () => {
    const init = { initContainers: [named("i")] };
    const fresh = { terminal: false, initialized: false };
    expect(podPhase(podOf({ ...init, restartPolicy: "Never" }), statusesOf("i:1 a:wait b:wait"), fresh)).toBe("Failed");
    expect(podPhase(podOf(init), statusesOf("i:wait1 a:wait b:wait"), fresh)).toBe("Pending");
    expect(podPhase(podOf(init), statusesOf("i:0 a:run b:run"), fresh)).toBe("Running");
  });

  it("stays Running while a sidecar restarts beside containers that have run", () => {
    const pod = podOf({ initContainers: [named("side", { restartPolicy: "Always" })] });
    expect(podPhase(pod, statusesOf("side:wait1 a:run b:run"), { terminal: false, initialized: true })).toBe("Running");
    expect(podPhase(pod, statusesOf("side:wait a:run b:run"), { terminal: false, initialized: false })).toBe("Pending");
  });
});

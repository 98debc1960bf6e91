import { describe, expect, it } from "vitest";
import type { Container, Pod, PodSpec } from "../types/core-v1.ts";
import { validatePodStatusUpdate } from "./pod-status.ts";

type List = "containerStatuses" | "initContainerStatuses" | "ephemeralContainerStatuses";

/** The fields that are refused when a container that ended with `exitCode` is told to run again. */
function refused(spec: Partial<PodSpec>, { exitCode = 0, list = "containerStatuses" as List } = {}): readonly string[] {
  const named = { name: "c", image: "i", imageID: "", ready: false, restartCount: 0 };
  const pod = (state: object): Pod =>
    ({
      metadata: { name: "p", namespace: "d" },
      spec: { containers: [{ name: "c" }], restartPolicy: "Never", ...spec },
      status: {
        [list]: [
          { ...named, name: "other" },
          { ...named, state },
        ],
      },
    }) as unknown as Pod; // what is looked at
  return validatePodStatusUpdate(pod({ running: {} }), pod({ terminated: { exitCode } })).map(({ field }) => field);
}

const rule = (exitCode: number): Partial<Container> => ({
  restartPolicyRules: [{ action: "Restart", exitCodes: { operator: "In", values: [exitCode] } }],
});
const withRule = (exitCode: number) => ({ containers: [{ name: "c", ...rule(exitCode) }] });

describe("a container that has ended", () => {
  const place = "status.containerStatuses[1].state";

  it("runs again where its pod's policy says so", () => {
    expect(refused({})).toEqual([place]);
    expect(refused({ restartPolicy: "Always" })).toEqual([]);
    expect(refused({ restartPolicy: "OnFailure" })).toEqual([place]);
    expect(refused({ restartPolicy: "OnFailure" }, { exitCode: 1 })).toEqual([]);
  });

  it("runs again where its own policy or rules say so", () => {
    expect(refused({ containers: [{ name: "c", restartPolicy: "Always" }] })).toEqual([]);
    expect(refused({ restartPolicy: "Always", containers: [{ name: "c", restartPolicy: "Never" }] })).toEqual([place]);
    expect(refused(withRule(42), { exitCode: 42 })).toEqual([]);
    expect(refused(withRule(42), { exitCode: 41 })).toEqual([place]);
  });

  it("runs again where another's rules restart all", () => {
    const initContainers = [{ name: "i", restartPolicyRules: [{ action: "RestartAllContainers" }] }] as unknown as Container[];
    expect(refused({ initContainers })).toEqual([]);
  });

  it("is looked up among the containers of its kind", () => {
    const initContainers: Container[] = [{ name: "c", restartPolicy: "Always" }];
    expect(refused({ initContainers }, { list: "initContainerStatuses" })).toEqual([]);
    expect(refused({ initContainers })).toEqual([place]);
    expect(refused({ restartPolicy: "Always" }, { list: "ephemeralContainerStatuses" })).toEqual([
      "status.ephemeralContainerStatuses[1].state",
    ]);
  });
});

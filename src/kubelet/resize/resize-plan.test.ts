// Plans of resizes as one line each: "memory: shrink grow | cpu: main | pod", containers that restart in brackets.
import { describe, expect, it } from "vitest";
import type { Container, Pod, ResourceRequirements } from "../../api/types/core-v1.ts";
import type { RuntimeContainer } from "../runtime/runtime-pod.ts";
import { isResizing, ResizePlanner } from "./resize-plan.ts";

/** "cpu 100m/200m memory 1Mi/2Mi": requests and limits; "-" for none. */
function resources(text: string): ResourceRequirements {
  const lists: Record<"requests" | "limits", Record<string, string>> = { requests: {}, limits: {} };
  for (const [, name = "", request = "-", limit = "-"] of text.matchAll(/(cpu|memory) (\S+)\/(\S+)/g)) {
    if (request !== "-") lists.requests[name] = request;
    if (limit !== "-") lists.limits[name] = limit;
  }
  return lists;
}

interface Case {
  readonly [container: string]: readonly [actuated: string, allocated: string];
}

function podOf(cases: Case, restart: readonly string[] = [], podLevel?: string): Pod {
  const containers = Object.entries(cases).map(
    ([name, [, allocated]]): Container => ({
      name,
      resources: resources(allocated),
      resizePolicy: restart.map((resourceName) => ({ resourceName, restartPolicy: "RestartContainer" })),
    }),
  );
  const spec = { containers, ...(podLevel === undefined ? {} : { resources: resources(podLevel) }) };
  return { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "default", uid: "u" } as Pod["metadata"], spec };
}

const running = (name: string): RuntimeContainer => ({ id: `${name}-1`, name, state: "running" }) as RuntimeContainer; // all the planner looks at

function plan(cases: Case, options: { readonly restart?: readonly string[]; readonly pod?: readonly [string, string] } = {}): string {
  const pod = podOf(cases, options.restart, options.pod?.[1]);
  const actuated = {
    container: (name: string) => resources(cases[name]?.[0] ?? ""),
    pod: options.pod ? resources(options.pod[0]) : undefined,
  };
  const planner = new ResizePlanner(pod, actuated);
  const restarts = pod.spec.containers.filter((c) => planner.add(c, running(c.name))).map((c) => `[${c.name}]`);
  const made = planner.plan();
  const names = (list: readonly { readonly container: Container }[] = []): string => list.map((u) => u.container.name).join(" ");
  const parts = [
    ...restarts,
    made?.memory.length ? `memory: ${names(made.memory)}` : "",
    made?.cpu.length ? `cpu: ${names(made.cpu)}` : "",
    made?.podChanges ? "pod" : "",
  ];
  expect(
    isResizing(
      pod,
      pod.spec.containers.map((c) => running(c.name)),
      actuated,
    ),
  ).toBe(made !== undefined);
  return parts.filter((p) => p !== "").join(" | ");
}

describe("ResizePlanner", () => {
  it("has nothing to do where nothing differs, however it is written", () => {
    expect(plan({ main: ["cpu 1/2 memory 1Gi/1Gi", "cpu 1000m/2000m memory 1024Mi/1073741824"] })).toBe("");
  });

  it("updates what differs, and only that", () => {
    expect(plan({ main: ["cpu 100m/- memory 1Mi/2Mi", "cpu 200m/- memory 1Mi/2Mi"] })).toBe("cpu: main");
    expect(plan({ main: ["cpu 100m/200m memory 1Mi/2Mi", "cpu 200m/200m memory 1Mi/3Mi"] })).toBe("memory: main | cpu: main");
  });

  it("shrinks containers before others grow", () => {
    const cases: Case = {
      a: ["memory 1Mi/1Mi", "memory 2Mi/2Mi"],
      b: ["memory 3Mi/3Mi", "memory 2Mi/2Mi"],
      c: ["memory 1Mi/1Mi", "memory 9Mi/9Mi"],
    };
    expect(plan(cases)).toBe("memory: b a c");
  });

  it("decides by the request where the limit stays", () => {
    expect(plan({ a: ["cpu 1/4", "cpu 2/4"], b: ["cpu 2/4", "cpu 1/4"] })).toBe("cpu: b a");
  });

  it("restarts containers whose policy for the resource says so, and lets the pod follow", () => {
    const grow: Case = { main: ["cpu 1/1 memory 1Mi/1Mi", "cpu 1/1 memory 2Mi/2Mi"] };
    expect(plan(grow, { restart: ["memory"] })).toBe("[main] | pod");
    expect(plan(grow, { restart: ["cpu"] })).toBe("memory: main");
  });

  it("takes the pod's limit for containers without one", () => {
    expect(plan({ main: ["cpu 1/-", "cpu 1/-"] }, { pod: ["cpu -/2", "cpu -/3"] })).toBe("cpu: main | pod");
    expect(plan({ main: ["cpu 1/1", "cpu 1/1"] }, { pod: ["cpu -/2", "cpu -/3"] })).toBe("pod");
  });
});

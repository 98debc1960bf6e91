// A pod whose containers are all restarted in place: what is decided, and what its status tells meanwhile.
import { describe, expect, it } from "vitest";
import type { Container, ContainerStatus, Pod, PodStatus } from "../../api/types/core-v1.ts";
import { container, startKubelet } from "../../testing/kubelet-fixture.ts";
import type { RuntimeContainer, RuntimePod } from "../runtime/runtime-pod.ts";
import { restartsAfterExit } from "./pod-spec.ts";
import { containersToReset, couldRestartAll, isReset, mustRestartAll } from "./restart-all.ts";

const restartPolicyRules = [
  { action: "Restart", exitCodes: { operator: "In", values: [41] } },
  { action: "RestartAllContainers", exitCodes: { operator: "In", values: [41, 42] } },
];
const watcher: Container = { name: "watcher", image: "i", restartPolicy: "Never", restartPolicyRules };
const metadata = { name: "web", namespace: "default", uid: "u1" } as Pod["metadata"];
const pod: Pod = {
  ...{ apiVersion: "v1", kind: "Pod", metadata },
  spec: { restartPolicy: "Never", initContainers: [{ name: "init", image: "i" }], containers: [watcher, { name: "main", image: "i" }] },
};

/** "watcher:42 main:running", the newest of a name first. */
function runtimeOf(text: string): RuntimePod {
  const containers = text
    .split(" ")
    .filter((part) => part !== "")
    .map((part, i) => {
      const [name = "", state = ""] = part.split(":");
      const exited = /^\d+$/.test(state);
      return { id: `${name}-${i}`, name, state: exited ? "exited" : state, exitCode: Number(exited ? state : 0) } as RuntimeContainer; // what is looked at
    });
  return { uid: "u1", name: "web", namespace: "default", sandboxes: [], containers };
}

describe("mustRestartAll()", () => {
  const must = (runtime: string, status: PodStatus = {}): boolean => mustRestartAll(pod, runtimeOf(runtime), status);

  it("is begun by an exit code whose first rule says so", () => {
    expect(must("watcher:42 main:running init:0")).toBe(true);
    expect(must("watcher:41 main:running init:0")).toBe(false);
    expect(must("watcher:1 main:running init:0")).toBe(false);
    expect(must("watcher:running watcher:42 main:running")).toBe(false);
  });

  it("goes on while the condition says so, whatever the runtime has left", () => {
    const conditions = [{ type: "AllContainersRestarting", status: "True" }];
    expect(must("main:running", { conditions })).toBe(true);
    expect(isReset(pod, runtimeOf("main:running"))).toBe(false);
    expect(isReset(pod, runtimeOf(""))).toBe(true);
  });

  it("needs a rule", () => {
    const plain = { ...pod, spec: { containers: [{ name: "main" }] } };
    expect([couldRestartAll(pod.spec), couldRestartAll(plain.spec)]).toEqual([true, false]);
    expect(mustRestartAll(plain, runtimeOf("main:42"), {})).toBe(false);
  });
});

it("containersToReset() removes everything, what began it last", () => {
  const reset = containersToReset(pod, runtimeOf("watcher:42 watcher:1 main:running init:0"));
  expect(reset.map(({ id, kill }) => `${id}${kill ? " killed" : ""}`)).toEqual(["watcher-1", "main-2 killed", "init-3", "watcher-0"]);
});

it("restartsAfterExit() restarts by any rule that fits", () => {
  expect([42, 41, 1].map((code) => restartsAfterExit(watcher, pod.spec, code))).toEqual([true, true, false]);
});

describe("a kubelet", () => {
  it("restarts all containers in the sandbox they have, with their counts and last states", async () => {
    let fail: () => void = () => undefined;
    const codes = [42, 0];
    const run = () => new Promise<number>((resolve) => (fail = () => resolve(codes.shift() ?? 0)));
    const behaviours = { "fails:1": { run }, "init:1": { exitAfterMs: 100 } };
    await using f = await startKubelet({ runtime: { images: ["fails:1", "init:1", "busybox:1"], behaviours } });
    await f.createPod("web", {
      restartPolicy: "Never",
      initContainers: [container({ name: "init", image: "init:1" })],
      containers: [container(), container({ name: "watcher", image: "fails:1", restartPolicy: "Never", restartPolicyRules })],
    });
    await f.untilPhase("web", "Running");
    const [sandbox] = (await f.cri.listPodSandbox({})).items;
    await f.clock.advance(5_000);
    fail();
    const status = async (): Promise<PodStatus> => (await f.pod("web"))?.status ?? {};
    const of = (s: PodStatus, name: string): ContainerStatus | undefined => s.containerStatuses?.find((c) => c.name === name);
    await f.until(async () => {
      const now = await status();
      return of(now, "main")?.restartCount === 1 && of(now, "main")?.state?.running !== undefined;
    });
    const after = await status();
    const restarting = after.conditions?.find((c) => c.type === "AllContainersRestarting");
    expect(restarting?.status).toBe("False");
    // It was true in between.
    expect(restarting?.lastTransitionTime).not.toBe(after.conditions?.find((c) => c.type === "PodScheduled")?.lastTransitionTime);
    expect(of(after, "main")?.lastState?.terminated).toMatchObject({ reason: "RestartingAllContainers", exitCode: 137 });
    expect(after.initContainerStatuses?.[0]?.restartCount).toBe(1);
    expect(after.conditions?.find((c) => c.type === "Initialized")?.status).toBe("True");
    expect((await f.cri.listPodSandbox({})).items.map((s) => s.id)).toEqual([sandbox?.id]);
    fail();
    await f.until(async () => of(await status(), "watcher")?.state?.terminated?.exitCode === 0);
    expect(of(await status(), "watcher")?.restartCount).toBe(1);
  });
});

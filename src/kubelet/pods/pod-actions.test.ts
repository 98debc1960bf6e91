// Scenarios: a pod, what the runtime has of it, and what is to be done, written as one line each so that a change of the
// rules reads as a diff. Containers are "name:state" with state running, created, unknown or an exit code.
import { describe, expect, it } from "vitest";
import type { Container, Pod, PodSpec } from "../../api/types/core-v1.ts";
import { containerHash } from "../runtime/labels.ts";
import type { RuntimeContainer, RuntimePod, RuntimeSandbox } from "../runtime/runtime-pod.ts";
import { type ActionContext, computePodActions, type PodActions } from "./pod-actions.ts";

const image = "busybox:1";
const named = (name: string, fields: Partial<Container> = {}): Container => ({ name, image, ...fields });
const sidecar = (name: string, fields: Partial<Container> = {}): Container => named(name, { restartPolicy: "Always", ...fields });

function podOf(spec: Partial<PodSpec> = {}): Pod {
  const metadata = { name: "web", namespace: "default", uid: "u1" } as Pod["metadata"];
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [named("main")], ...spec } };
}

const ready: RuntimeSandbox = { id: "s0", attempt: 0, ready: true, createdAtMs: 1, hostNetwork: false, ips: ["10.0.0.1"] };

/** The first written is the newest. */
function runtimeOf(containers = "", sandboxes: readonly RuntimeSandbox[] = [ready]): RuntimePod {
  const parsed = containers.split(" ").filter((c) => c !== "");
  return {
    ...{ uid: "u1", name: "web", namespace: "default", sandboxes },
    containers: parsed.map((text, i): RuntimeContainer => {
      const [name = "", state = ""] = text.split(":");
      const exited = /^\d+$/.test(state);
      return {
        ...{ id: `${name}-${i}`, name, image, imageRef: image, reason: "", message: "", logPath: "", terminationMessagePolicy: "File" },
        ...{ createdAtMs: 100 - i, startedAtMs: 100 - i, finishedAtMs: exited ? 200 : 0, restartCount: 0 },
        state: exited ? "exited" : (state as RuntimeContainer["state"]),
        exitCode: exited ? Number(state) : 0,
        hash: containerHash({ name, image }),
      };
    }),
  };
}

const calm: ActionContext = { liveness: () => undefined, startup: () => undefined, backOff: () => undefined };

/** "kill-pod sandbox#1 kill(main) init(a) start(main) wait(main)" */
function summary(actions: PodActions): string {
  const names = (what: string, list: readonly { readonly name: string }[]): string[] =>
    list.length > 0 ? [`${what}(${list.map((c) => c.name).join(" ")})`] : [];
  return [
    ...(actions.killPod ? ["kill-pod"] : []),
    ...(actions.createSandbox ? [`sandbox#${actions.attempt}`] : []),
    ...names(
      "kill",
      actions.kill.map((k) => k.container),
    ),
    ...names("debug", actions.ephemeral),
    ...names("init", actions.init),
    ...names("start", actions.regular),
    ...names(
      "wait",
      actions.waiting.map((w) => w.container),
    ),
  ].join(" ");
}

interface Scenario {
  readonly spec?: Partial<PodSpec>;
  readonly deleted?: boolean;
  readonly runtime: RuntimePod;
  readonly context?: Partial<ActionContext>;
  readonly does: string;
}

const twoInit = { initContainers: [named("a"), named("b")] };
const withSidecar = { initContainers: [sidecar("side"), named("a")] };
const notReady = { ...ready, ready: false };

const scenarios: Readonly<Record<string, Scenario>> = {
  "a new pod gets its sandbox and all containers": { runtime: runtimeOf("", []), does: "kill-pod sandbox#0 start(main)" },
  "a new pod with init containers begins with the first": { spec: twoInit, runtime: runtimeOf("", []), does: "kill-pod sandbox#0 init(a)" },
  "a running pod is left alone": { runtime: runtimeOf("main:running"), does: "" },
  "a dead sandbox is replaced with everything in it": {
    runtime: runtimeOf("main:137", [notReady]),
    does: "kill-pod sandbox#1 start(main)",
  },
  "two ready sandboxes are replaced by one": { runtime: runtimeOf("main:running", [ready, ready]), does: "kill-pod sandbox#1 start(main)" },
  "a sandbox without an address is replaced": { runtime: runtimeOf("", [{ ...ready, ips: [] }]), does: "kill-pod sandbox#1 start(main)" },
  "a pod that is never restarted gets no second sandbox": {
    spec: { restartPolicy: "Never" },
    runtime: runtimeOf("main:0", [notReady]),
    does: "kill-pod",
  },
  "a pod restarted on failure gets no second sandbox after success": {
    spec: { restartPolicy: "OnFailure" },
    runtime: runtimeOf("main:0", [notReady]),
    does: "kill-pod",
  },
  "an ended container is started again": { runtime: runtimeOf("main:0"), does: "start(main)" },
  "an ended container waits for its back-off": {
    runtime: runtimeOf("main:1"),
    context: { backOff: () => ({ delayMs: 10_000, untilMs: 10_200 }) },
    does: "wait(main)",
  },
  "a failed container is started again on failure": {
    spec: { restartPolicy: "OnFailure" },
    runtime: runtimeOf("main:1"),
    does: "start(main)",
  },
  "a pod whose containers are done is stopped": { spec: { restartPolicy: "OnFailure" }, runtime: runtimeOf("main:0"), does: "kill-pod" },
  "a failed container of a pod that is never restarted ends it": {
    spec: { restartPolicy: "Never" },
    runtime: runtimeOf("main:1"),
    does: "kill-pod",
  },
  "a container's own policy counts more than the pod's": {
    spec: { restartPolicy: "Never", containers: [named("main", { restartPolicy: "Always" })] },
    runtime: runtimeOf("main:1"),
    does: "start(main)",
  },
  "a container that lost its state is killed before it is started": { runtime: runtimeOf("main:unknown"), does: "kill(main) start(main)" },
  "a container whose image changed is replaced": {
    spec: { restartPolicy: "Never", containers: [named("main", { image: "busybox:2" })] },
    runtime: runtimeOf("main:running"),
    does: "kill(main) start(main)",
  },
  "a container that fails its liveness probe is replaced": {
    runtime: runtimeOf("main:running"),
    context: { liveness: () => "failure" },
    does: "kill(main) start(main)",
  },
  "a container that fails its liveness probe is only killed when never restarted": {
    spec: { restartPolicy: "Never" },
    runtime: runtimeOf("main:running"),
    context: { liveness: () => "failure" },
    does: "kill-pod kill(main)",
  },
  "a container that fails its startup probe is replaced": {
    runtime: runtimeOf("main:running"),
    context: { startup: () => "failure" },
    does: "kill(main) start(main)",
  },
  "the second init container follows the first": { spec: twoInit, runtime: runtimeOf("a:0"), does: "init(b)" },
  "nothing happens while an init container runs": { spec: twoInit, runtime: runtimeOf("b:running a:0"), does: "" },
  "regular containers follow the last init container": { spec: twoInit, runtime: runtimeOf("b:0 a:0"), does: "start(main)" },
  "the last init container counts though the first was removed": { spec: twoInit, runtime: runtimeOf("b:0"), does: "start(main)" },
  "a failed init container is run again": { spec: twoInit, runtime: runtimeOf("a:1"), does: "init(a)" },
  "a failed init container ends a pod that is never restarted": {
    spec: { ...twoInit, restartPolicy: "Never" },
    runtime: runtimeOf("a:1"),
    does: "kill-pod",
  },
  "init containers are not run again beside a running pod": { spec: twoInit, runtime: runtimeOf("main:running"), does: "" },
  "a running sidecar lets the next init container start": { spec: withSidecar, runtime: runtimeOf("side:running"), does: "init(a)" },
  "a sidecar holds the next one up until its startup probe succeeds": {
    spec: { initContainers: [sidecar("side", { startupProbe: {} }), named("a")] },
    runtime: runtimeOf("side:running"),
    does: "",
  },
  "a sidecar that ended is started again beside the pod": {
    spec: withSidecar,
    runtime: runtimeOf("side:0 main:running a:0"),
    does: "init(side)",
  },
  "a sidecar that was removed is started again beside the pod": {
    spec: withSidecar,
    runtime: runtimeOf("main:running a:0"),
    does: "init(side)",
  },
  "sidecars do not keep a pod alive": {
    spec: { ...withSidecar, restartPolicy: "Never" },
    runtime: runtimeOf("side:running main:0 a:0"),
    does: "kill-pod",
  },
  "an ephemeral container is started once": {
    spec: { ephemeralContainers: [{ name: "debug", image }] },
    runtime: runtimeOf("main:running"),
    does: "debug(debug)",
  },
  "an ephemeral container that ended stays so": {
    spec: { ephemeralContainers: [{ name: "debug", image }] },
    runtime: runtimeOf("debug:0 main:running"),
    does: "",
  },
  "nothing is started in a pod that is being deleted": { deleted: true, runtime: runtimeOf("main:1"), does: "kill-pod" },
};

describe("computePodActions()", () => {
  it.each(Object.entries(scenarios))("%s", (_, { spec, deleted, runtime, context, does }) => {
    const pod = podOf(spec);
    const metadata = deleted ? { ...pod.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } : pod.metadata;
    expect(summary(computePodActions({ ...pod, metadata }, runtime, { ...calm, ...context }))).toBe(does);
  });
});

// What to do next for a pod: one pure function of its specification and of what the runtime has of it. The rules are those
// of upstream's computePodActions: the sandbox first, then init containers one after the other, sidecars among them, then
// the regular containers; dead ones again as the restart policies say, after their back-off; running ones that fail their
// liveness or startup probe, or whose image changed, are replaced.
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { type Actuated, type ResizePlan, ResizePlanner } from "../resize/resize-plan.ts";
import { containerHash } from "../runtime/labels.ts";
import { latestContainer, type RuntimeContainer, type RuntimePod } from "../runtime/runtime-pod.ts";
import { asContainer, isSidecar, restartsAfterExit, restartsAfterKill } from "./pod-spec.ts";
import { type ContainerToReset, containersToReset } from "./restart-all.ts";

export type ProbeResult = "success" | "failure" | "unknown";
export type KillReason = "" | "LivenessProbe" | "StartupProbe" | "Unknown" | "FailedPostStartHook" | "RestartAllContainers";

/** What is known besides the pod and the runtime. */
export interface ActionContext {
  /** The last settled result; undefined when the container has no such probe or it has not run yet. */
  readonly liveness: (containerId: string) => ProbeResult | undefined;
  readonly startup: (containerId: string) => ProbeResult | undefined;
  /** What the containers were last set to; absent: pods are not resized. */
  readonly actuated?: Actuated;
  /** All containers are to begin anew (restart-all.ts). */
  readonly restartingAll?: boolean;
  /** The back-off in force for a container that ended at that time. */
  readonly backOff: (container: Container, finishedAtMs: number) => { readonly delayMs: number; readonly untilMs: number } | undefined;
}

export interface ContainerToKill {
  readonly container: Container;
  readonly id: string;
  readonly message: string;
  readonly reason: KillReason;
}

export interface ContainerInBackOff {
  readonly container: Container;
  readonly delayMs: number;
  readonly untilMs: number;
}

export interface PodActions {
  /** Stop everything that runs and the sandbox: before a new one, or because nothing is left to run. */
  readonly killPod: boolean;
  readonly createSandbox: boolean;
  /** The sandbox to use, or the one being replaced. */
  readonly sandboxId: string;
  readonly attempt: number;
  readonly kill: readonly ContainerToKill[];
  /** To be ended and removed, in this order, before anything is started. */
  readonly reset: readonly ContainerToReset[];
  /** To start in this order: ephemeral, init (a failure of one that is no sidecar ends the list), regular. */
  readonly ephemeral: readonly Container[];
  readonly init: readonly Container[];
  readonly regular: readonly Container[];
  /** What running containers have to be set to. */
  readonly resize?: ResizePlan;
  /** Would be started, were they not in back-off. Init containers after one of these wait too. */
  readonly waiting: readonly ContainerInBackOff[];
}

/** Whether the pod needs a new sandbox, the attempt number to use, and the newest existing sandbox. */
export function sandboxNeeded(pod: Pod, runtime: RuntimePod): { readonly create: boolean; readonly attempt: number; readonly id: string } {
  const newest = runtime.sandboxes[0];
  if (!newest) return { create: true, attempt: 0, id: "" };
  const anew = { create: true, attempt: newest.attempt + 1, id: newest.id };
  if (!newest.ready || runtime.sandboxes.filter((s) => s.ready).length > 1) return anew;
  const hostNetwork = pod.spec.hostNetwork === true;
  if (newest.hostNetwork !== hostNetwork) return { ...anew, id: "" };
  if (!hostNetwork && newest.ips.length === 0) return anew;
  return { create: false, attempt: newest.attempt, id: newest.id };
}

/** Whether a container that is not running has to be started. */
export function shouldStart(container: Container, pod: Pod, runtime: RuntimePod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  const last = latestContainer(runtime, container.name);
  if (!last) return true;
  if (last.state === "running") return false;
  return last.state === "exited" ? restartsAfterExit(container, pod.spec, last.exitCode) : true;
}

export function anyRegularContainerCreated(pod: Pod, runtime: RuntimePod): boolean {
  return pod.spec.containers.some((c) => latestContainer(runtime, c.name) !== undefined);
}

export function computePodActions(pod: Pod, runtime: RuntimePod, context: ActionContext): PodActions {
  const sandbox = sandboxNeeded(pod, runtime);
  const nothing: PodActions = {
    killPod: false,
    createSandbox: false,
    sandboxId: sandbox.id,
    attempt: sandbox.attempt,
    kill: [],
    reset: [],
    ephemeral: [],
    init: [],
    regular: [],
    waiting: [],
  };
  if (context.restartingAll)
    return { ...nothing, killPod: sandbox.create, createSandbox: sandbox.create, reset: containersToReset(pod, runtime) };
  if (sandbox.create) return holdBack(withNewSandbox(pod, runtime, nothing), runtime, context);

  const ephemeral = (pod.spec.ephemeralContainers ?? []).filter((c) => !latestContainer(runtime, c.name)).map(asContainer);
  const resizes = new ResizePlanner(pod, context.actuated ?? { container: () => undefined, pod: undefined });
  const init = planInit(pod, runtime, { ...context, resizes });
  const planned = { ...nothing, ephemeral, killPod: init.failed, init: init.start, kill: init.kill };
  if (init.failed || !init.initialized) return holdBack(withResize(planned, resizes), runtime, context);
  const all = withRegularContainers(pod, runtime, { ...context, resizes }, planned);
  return holdBack(withResize(all, resizes), runtime, context);
}

interface PlanContext extends ActionContext {
  readonly resizes: ResizePlanner;
}

function withResize(actions: PodActions, resizes: ResizePlanner): PodActions {
  const resize = actions.killPod ? undefined : resizes.plan();
  return resize ? { ...actions, resize } : actions;
}

function withNewSandbox(pod: Pod, runtime: RuntimePod, nothing: PodActions): PodActions {
  const restarts = pod.spec.restartPolicy !== "Never" || pod.spec.containers.some((c) => restartsAfterKill(c, pod.spec));
  const kill = { ...nothing, killPod: true };
  if (!restarts && nothing.attempt !== 0 && runtime.containers.length > 0) return kill;
  const toStart = pod.spec.containers.filter((c) => {
    const last = latestContainer(runtime, c.name);
    const onFailure = (c.restartPolicy ?? pod.spec.restartPolicy) === "OnFailure";
    return !(onFailure && last?.state === "exited" && last.exitCode === 0);
  });
  if (toStart.length === 0 && anyRegularContainerCreated(pod, runtime)) return kill;
  const [firstInit] = pod.spec.initContainers ?? [];
  const start = firstInit ? { init: [firstInit] } : { regular: toStart };
  return { ...kill, createSandbox: true, ...start };
}

interface InitPlan {
  readonly initialized: boolean;
  /** An init container failed for good: the pod is over. */
  readonly failed: boolean;
  readonly start: readonly Container[];
  readonly kill: readonly ContainerToKill[];
}

/**
 * Goes from the last init container backwards to the newest one that has run: what lies before it is done (its container
 * may long be removed), what follows it comes next. Sidecars before it are kept running.
 */
function planInit(pod: Pod, runtime: RuntimePod, context: PlanContext): InitPlan {
  const containers = pod.spec.initContainers ?? [];
  let initialized = pod.spec.containers.some((c) => {
    const state = latestContainer(runtime, c.name)?.state;
    return state === "created" || state === "running";
  });
  if (containers.length === 0) return { initialized: true, failed: false, start: [], kill: [] };

  let laterHasRun = initialized;
  const start = new Set<number>();
  const kill: ContainerToKill[] = [];
  for (let i = containers.length - 1; i >= 0; i--) {
    const container = containers[i] as Container;
    const last = latestContainer(runtime, container.name);
    if (!last) {
      if (laterHasRun && isSidecar(container)) start.add(i);
      continue;
    }
    if (laterHasRun && !isSidecar(container)) continue;
    const verdict = isSidecar(container) ? judgeSidecar(container, last, context) : judgeInit(container, last, pod, context);
    if (verdict.failed) return { initialized: false, failed: true, start: [], kill: [] };
    if (verdict.kill) kill.push(verdict.kill);
    if (verdict.restart) start.add(i);
    if (verdict.done) {
      if (i === containers.length - 1) initialized = true;
      else if (!laterHasRun) start.add(i + 1);
    }
    laterHasRun = true;
  }
  if (!laterHasRun) start.add(0);
  const inOrder = [...start].sort((a, b) => a - b).map((i) => containers[i] as Container);
  return { initialized, failed: false, start: inOrder, kill };
}

interface InitVerdict {
  /** The next init container may start. */
  readonly done?: boolean;
  readonly restart?: boolean;
  readonly kill?: ContainerToKill;
  readonly failed?: boolean;
}

function judgeInit(container: Container, last: RuntimeContainer, pod: Pod, { resizes }: PlanContext): InitVerdict {
  switch (last.state) {
    case "created":
      return { restart: true };
    case "running":
      resizes.add(container, last);
      return {};
    case "exited":
      if (last.exitCode === 0) return { done: true };
      return restartsAfterExit(container, pod.spec, last.exitCode) ? { restart: true } : { failed: true };
    case "unknown":
      return restartsAfterKill(container, pod.spec)
        ? { restart: true, kill: killUnknown("Init container", container, last) }
        : { failed: true };
  }
}

function judgeSidecar(container: Container, last: RuntimeContainer, context: PlanContext): InitVerdict {
  const replace = (why: string, reason: KillReason): InitVerdict => ({
    restart: true,
    kill: { container, id: last.id, message: `Init container ${container.name} ${why}`, reason },
  });
  if (last.state === "unknown") return { restart: true, kill: killUnknown("Init container", container, last) };
  if (last.state !== "running") return { restart: true };
  if (container.startupProbe) {
    const startup = context.startup(last.id);
    if (startup === "failure") return replace("failed startup probe", "StartupProbe");
    if (startup !== "success") return {};
  }
  if (last.hash !== containerHash(container)) return { done: true, ...replace("definition changed", "") };
  if (container.livenessProbe && context.liveness(last.id) === "failure")
    return { done: true, ...replace("failed liveness probe", "LivenessProbe") };
  if (context.resizes.add(container, last))
    return { done: true, restart: true, kill: { container, id: last.id, message: restartText(container), reason: "" } };
  return { done: true };
}

function killUnknown(what: string, container: Container, last: RuntimeContainer): ContainerToKill {
  const message = `${what} is in "unknown" state, try killing it before restart`;
  return { container, id: last.id, message, reason: "Unknown" };
}

function withRegularContainers(pod: Pod, runtime: RuntimePod, context: PlanContext, planned: PodActions): PodActions {
  const regular: Container[] = [];
  const kill = [...planned.kill];
  let kept = 0;
  for (const container of pod.spec.containers) {
    const last = latestContainer(runtime, container.name);
    if (last?.state !== "running") {
      if (!shouldStart(container, pod, runtime)) continue;
      regular.push(container);
      if (last?.state === "unknown") kill.push(killUnknown("Container", container, last));
      continue;
    }
    const fault = faultOf(container, last, context);
    if (!fault) {
      if (context.resizes.add(container, last)) {
        regular.push(container);
        kill.push({ container, id: last.id, message: restartText(container), reason: "" });
      } else kept++;
      continue;
    }
    const restart = fault.always || restartsAfterKill(container, pod.spec);
    if (restart) regular.push(container);
    const message = `Container ${container.name} ${fault.what}${restart ? ", will be restarted" : ""}`;
    kill.push({ container, id: last.id, message, reason: fault.reason });
  }
  // Nothing runs and nothing will: sidecars must not keep the pod alive.
  if (kept === 0 && regular.length === 0) return { ...planned, killPod: true, init: [], kill, regular };
  return { ...planned, kill, regular };
}

function restartText({ name }: Container): string {
  return `Container ${name} resize requires restart`;
}

function faultOf(
  container: Container,
  running: RuntimeContainer,
  context: ActionContext,
): { readonly what: string; readonly reason: KillReason; readonly always?: boolean } | undefined {
  if (running.hash !== containerHash(container)) return { what: "definition changed", reason: "", always: true };
  if (context.liveness(running.id) === "failure") return { what: "failed liveness probe", reason: "LivenessProbe" };
  if (context.startup(running.id) === "failure") return { what: "failed startup probe", reason: "StartupProbe" };
  return undefined;
}

/** Moves containers whose back-off is not over from those to start to those waiting. */
function holdBack(actions: PodActions, runtime: RuntimePod, context: ActionContext): PodActions {
  const waiting: ContainerInBackOff[] = [];
  const ready = (container: Container): boolean => {
    const dead = runtime.containers.find((c) => c.name === container.name && c.state === "exited");
    const backOff = dead && context.backOff(container, dead.finishedAtMs);
    if (backOff) waiting.push({ container, ...backOff });
    return !backOff;
  };
  const init: Container[] = [];
  for (const container of actions.init) {
    if (ready(container)) init.push(container);
    else if (!isSidecar(container)) break;
  }
  const ephemeral = actions.ephemeral.filter(ready);
  return { ...actions, ephemeral, init, regular: actions.regular.filter(ready), waiting };
}

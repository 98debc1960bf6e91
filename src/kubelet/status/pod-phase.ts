// The phase of a pod from the states of its containers. Upstream's rules: Pending until every container has been started
// once; Running while one runs or will be started again; Succeeded or Failed when all have ended for good.
import type { Container, ContainerState, ContainerStatus, Pod, PodStatus } from "../../api/types/core-v1.ts";
import { isSidecar, isStaticPod, restartsAfterExit } from "../pods/pod-spec.ts";
import { restartingReason } from "../pods/restart-all.ts";

export interface PhaseContext {
  /** No container runs any more, and none will. */
  readonly terminal: boolean;
  /** Regular containers have run: sidecars that restart do not make the pod Pending again. */
  readonly initialized: boolean;
}

type Seen = "unknown" | "running" | "waiting" | "stopped";

interface Tally {
  unknown: number;
  running: number;
  waiting: number;
  stopped: number;
  /** Of the stopped ones: will not run again. */
  final: number;
  succeeded: number;
}

export function podPhase(pod: Pod, statuses: readonly ContainerStatus[], context: PhaseContext): NonNullable<PodStatus["phase"]> {
  const byName = new Map(statuses.map((s) => [s.name, s]));
  const init = tallyInit(pod, byName);
  if (init.failed) return "Failed";
  const tally: Tally = { unknown: 0, running: 0, waiting: 0, stopped: 0, final: 0, succeeded: 0 };
  const pendingSidecars = addSidecars(pod, byName, tally);
  for (const container of pod.spec.containers) addRegular(container, pod, byName.get(container.name)?.state, byName, tally);

  if (init.pending || (pendingSidecars && !context.initialized) || tally.waiting > 0) return "Pending";
  if (tally.running > 0 && tally.unknown === 0) return "Running";
  if (tally.running > 0 || tally.stopped === 0 || tally.unknown > 0) return "Pending";
  const ended = tally.stopped === tally.succeeded ? "Succeeded" : "Failed";
  if (context.terminal && !isStaticPod(pod)) return ended;
  return tally.stopped === tally.final ? ended : "Running";
}

function seenAs(status: ContainerStatus | undefined): Seen {
  const state = status?.state;
  if (!state) return "unknown";
  if (state.running) return "running";
  if (state.terminated) return "stopped";
  if (!state.waiting) return "unknown";
  return status.lastState?.terminated ? "stopped" : "waiting";
}

function lastExit(status: ContainerStatus | undefined): ContainerState["terminated"] {
  return status?.state?.terminated ?? status?.lastState?.terminated;
}

function tallyInit(pod: Pod, statuses: ReadonlyMap<string, ContainerStatus>): { readonly pending: boolean; readonly failed: boolean } {
  let pending = false;
  for (const container of pod.spec.initContainers ?? []) {
    if (isSidecar(container)) continue;
    const status = statuses.get(container.name);
    if (seenAs(status) !== "stopped") pending = true;
    else {
      const end = lastExit(status);
      const exitCode = end?.exitCode ?? 0;
      if (exitCode !== 0 && end?.reason !== restartingReason && !restartsAfterExit(container, pod.spec, exitCode))
        return { pending, failed: true };
    }
  }
  return { pending, failed: false };
}

/** Counts sidecars that run or wait; ended ones do not matter for the phase. Says whether one has still to start. */
function addSidecars(pod: Pod, statuses: ReadonlyMap<string, ContainerStatus>, tally: Tally): boolean {
  let pending = false;
  for (const container of pod.spec.initContainers ?? []) {
    if (!isSidecar(container)) continue;
    const status = statuses.get(container.name);
    const seen = seenAs(status);
    if (seen === "stopped") continue;
    tally[seen]++;
    if (status && (seen !== "running" || status.started !== true)) pending = true;
  }
  return pending;
}

function addRegular(
  container: Container,
  pod: Pod,
  state: ContainerState | undefined,
  statuses: ReadonlyMap<string, ContainerStatus>,
  tally: Tally,
): void {
  const status = statuses.get(container.name);
  const seen = seenAs(status);
  tally[seen]++;
  if (seen !== "stopped") return;
  const end = lastExit(status);
  const exitCode = end?.exitCode ?? 0;
  if (end?.reason !== restartingReason && !restartsAfterExit(container, pod.spec, exitCode)) tally.final++;
  if (state?.terminated && exitCode === 0) tally.succeeded++;
}

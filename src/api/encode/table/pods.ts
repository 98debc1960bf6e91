// Tables of pods and pod templates. A pod's status is the most telling of what its containers report: why an init container
// has not ended, why a container waits or has ended, or the phase when there is nothing to tell.
import { parseTime } from "../../meta/time.ts";
import { isConditionTrue } from "../../semantics/conditions.ts";
import { isPodTerminal } from "../../semantics/pod-status.ts";
import type { Container, ContainerStateTerminated, ContainerStatus, Pod, PodTemplate } from "../../types/core-v1.ts";
import { age, ageColumn, column, containerCells, labelsText, nameColumn, wideColumn } from "./columns.ts";
import { fieldTexts } from "./field-texts.ts";
import { humanDuration } from "./human-duration.ts";
import type { TableConvertor, TableRowCondition } from "./table.ts";

/** What a row says of a pod's containers. */
export interface PodSummary {
  readonly ready: number;
  readonly total: number;
  /** "Running", "CrashLoopBackOff", "Init:0/2". */
  readonly status: string;
  readonly restarts: number;
  /** Of the container that was restarted last, in milliseconds; 0 where none was. */
  readonly lastRestartMs: number;
}

const isSidecar = (container: Container | undefined): boolean => container?.restartPolicy === "Always";

/** The status, readiness and restarts of a pod in one line. */
export function summarizePod(pod: Pod): PodSummary {
  const { spec, status = {}, metadata } = pod;
  const inits = summarizeInits(pod);
  const { initialising } = inits;
  const phase = status.phase ?? "";
  const gated = (status.conditions ?? []).some((c) => c.type === "PodScheduled" && c.reason === "SchedulingGated");
  const basis = gated ? "SchedulingGated" : status.reason || phase;
  let summary = {
    ready: inits.ready,
    status: initialising ?? basis,
    restarts: inits.all.restarts,
    lastRestartMs: inits.all.lastRestartMs,
  };
  if (initialising === undefined || isConditionTrue(status.conditions, "Initialized")) {
    const main = summarizeContainers(pod, initialising ?? basis);
    summary = {
      ready: inits.ready + main.ready,
      status: main.status,
      restarts: inits.sidecars.restarts + main.count.restarts,
      lastRestartMs: Math.max(inits.sidecars.lastRestartMs, main.count.lastRestartMs),
    };
  }
  const total = spec.containers.length + (spec.initContainers ?? []).filter(isSidecar).length;
  if (metadata.deletionTimestamp === undefined) return { ...summary, total };
  if (status.reason === "NodeLost") return { ...summary, total, status: "Unknown" };
  return isPodTerminal(pod) ? { ...summary, total } : { ...summary, total, status: "Terminating" };
}

interface Restarts {
  restarts: number;
  lastRestartMs: number;
}

function count(restarts: Restarts, { restartCount, lastState }: ContainerStatus): void {
  restarts.restarts += restartCount;
  const ended = lastState?.terminated?.finishedAt;
  if (ended) restarts.lastRestartMs = Math.max(restarts.lastRestartMs, parseTime(ended) ?? 0);
}

/** Goes through the init containers up to the first that has not done its part. */
function summarizeInits({ spec, status }: Pod): {
  readonly initialising: string | undefined;
  readonly ready: number;
  readonly all: Restarts;
  readonly sidecars: Restarts;
} {
  const containers = spec.initContainers ?? [];
  const byName = new Map(containers.map((container) => [container.name, container]));
  const all: Restarts = { restarts: 0, lastRestartMs: 0 };
  const sidecars: Restarts = { restarts: 0, lastRestartMs: 0 };
  let ready = 0;
  for (const [i, container] of (status?.initContainerStatuses ?? []).entries()) {
    const sidecar = isSidecar(byName.get(container.name));
    count(all, container);
    if (sidecar) count(sidecars, container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started) {
      if (container.ready) ready++;
      continue;
    }
    let initialising = `Init:${i}/${containers.length}`;
    if (terminated) initialising = `Init:${endReason(terminated)}`;
    else if (waiting?.reason && waiting.reason !== "PodInitializing") initialising = `Init:${waiting.reason}`;
    return { initialising, ready, all, sidecars };
  }
  return { initialising: undefined, ready, all, sidecars };
}

function endReason({ reason, signal, exitCode }: ContainerStateTerminated): string {
  if (reason) return reason;
  return signal ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}

/** Goes through the containers from the last to the first: the first one that has something to tell has the last word. */
function summarizeContainers(
  { status }: Pod,
  basis: string,
): { readonly ready: number; readonly status: string; readonly count: Restarts } {
  const restarts: Restarts = { restarts: 0, lastRestartMs: 0 };
  let text = basis;
  let failure = "";
  let ready = 0;
  for (const container of (status?.containerStatuses ?? []).toReversed()) {
    count(restarts, container);
    const { waiting, terminated, running } = container.state ?? {};
    if (waiting?.reason) text = waiting.reason;
    else if (terminated) {
      text = endReason(terminated);
      if (terminated.exitCode !== 0) failure = text;
    } else if (container.ready && running) ready++;
  }
  if (text === "Completed") {
    // Some have ended well; what counts is whether others run or have failed.
    if (ready > 0 && isConditionTrue(status?.conditions, "Ready")) text = "Running";
    else if (failure !== "") text = failure;
    else if (ready > 0) text = "NotReady";
  }
  return { ready, status: text, count: restarts };
}

/** "0", or "2 (5m ago)". */
function restartsText({ restarts, lastRestartMs }: PodSummary, nowMs: number): string {
  return restarts === 0 || lastRestartMs === 0 ? String(restarts) : `${restarts} (${humanDuration(nowMs - lastRestartMs)} ago)`;
}

function readinessGatesText({ spec, status }: Pod): string {
  const gates = spec.readinessGates ?? [];
  if (gates.length === 0) return "<none>";
  const passed = gates.filter(({ conditionType }) => isConditionTrue(status?.conditions, conditionType));
  return `${passed.length}/${gates.length}`;
}

const endConditions: Readonly<Record<string, readonly TableRowCondition[]>> = {
  Succeeded: [{ type: "Completed", status: "True", reason: "Succeeded", message: "The pod has completed successfully." }],
  Failed: [{ type: "Completed", status: "True", reason: "Failed", message: "The pod failed." }],
};

export const podTable: TableConvertor<Pod> = {
  columns: [
    nameColumn,
    column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    column("Status", "The aggregate status of the containers in this pod."),
    column(
      "Restarts",
      "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
    ),
    ageColumn,
    wideColumn("IP", fieldTexts.PodStatus.podIP),
    wideColumn("Node", fieldTexts.PodSpec.nodeName),
    wideColumn("Nominated Node", fieldTexts.PodStatus.nominatedNodeName),
    wideColumn("Readiness Gates", fieldTexts.PodSpec.readinessGates),
  ],
  cells(pod, nowMs) {
    const summary = summarizePod(pod);
    const { status } = pod;
    return [
      pod.metadata.name,
      `${summary.ready}/${summary.total}`,
      summary.status,
      restartsText(summary, nowMs),
      age(pod, nowMs),
      status?.podIPs?.[0]?.ip || status?.podIP || "<none>",
      pod.spec.nodeName || "<none>",
      status?.nominatedNodeName || "<none>",
      readinessGatesText(pod),
    ];
  },
  conditions: ({ status }) => endConditions[status?.phase ?? ""] ?? [],
};

export const podTemplateTable: TableConvertor<PodTemplate> = {
  columns: [
    nameColumn,
    column("Containers", "Names of each container in the template."),
    column("Images", "Images referenced by each container in the template."),
    column("Pod Labels", "The labels for the pod template."),
  ],
  cells: ({ metadata, template }) => [metadata.name, ...containerCells(template?.spec?.containers), labelsText(template?.metadata?.labels)],
};

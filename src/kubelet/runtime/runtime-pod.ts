// What the container runtime has of one pod: its sandboxes and containers, read from CRI into plain values, newest first.
// Everything that decides about a pod (pod-actions.ts, pod-status.ts) works on this and never on CRI messages.

import { criTimeMs } from "../../cri/cri.ts";
import type { ContainerStatus as CriContainerStatus, PodSandboxStatus } from "../../cri/generated/runtime-v1.ts";
import { type RuntimeResources, readResources } from "../resize/resource-status.ts";
import { annotation, label } from "./labels.ts";

export interface RuntimeSandbox {
  readonly id: string;
  readonly attempt: number;
  readonly ready: boolean;
  readonly createdAtMs: number;
  /** Whether it shares the node's network. */
  readonly hostNetwork: boolean;
  /** Empty for pods in the node's network, and while the network is not set up. */
  readonly ips: readonly string[];
}

export type RuntimeContainerState = "created" | "running" | "exited" | "unknown";

export interface RuntimeContainer {
  readonly id: string;
  readonly name: string;
  readonly state: RuntimeContainerState;
  readonly createdAtMs: number;
  /** 0 when it never started. */
  readonly startedAtMs: number;
  /** 0 while it has not ended. */
  readonly finishedAtMs: number;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  /** The image's name as the runtime shows it. */
  readonly image: string;
  /** The digest reference that the API shows as imageID. */
  readonly imageRef: string;
  /** Of the specification it was created from (labels.ts). */
  readonly hash: string;
  readonly restartCount: number;
  readonly logPath: string;
  readonly user?: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] };
  /** That ends it, in the API's words; absent for the runtime's own choice. */
  readonly stopSignal?: string;
  /** As far as the runtime says. */
  readonly resources?: RuntimeResources;
  /** Seconds, from the annotations: for containers whose pod is no longer known. */
  readonly terminationGracePeriodSeconds?: number;
  /** Where the runtime mounted the file for the termination message, on the host. */
  readonly terminationMessageFile?: string;
  readonly terminationMessagePolicy: string;
}

export interface RuntimePod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Newest first. */
  readonly sandboxes: readonly RuntimeSandbox[];
  /** Newest first. */
  readonly containers: readonly RuntimeContainer[];
}

export function emptyRuntimePod(pod: {
  readonly metadata: { readonly uid: string; readonly name: string; readonly namespace: string };
}): RuntimePod {
  const { uid, name, namespace } = pod.metadata;
  return { uid, name, namespace, sandboxes: [], containers: [] };
}

/** The newest container of that name, dead or alive. */
export function latestContainer(pod: RuntimePod, name: string): RuntimeContainer | undefined {
  return pod.containers.find((c) => c.name === name);
}

export function hasRunningContainers(pod: RuntimePod): boolean {
  return pod.containers.some((c) => c.state === "running");
}

/** "containerd://<id>" as the API writes container ids. */
export function containerIdOf(runtimeName: string, container: { readonly id: string }): string {
  return `${runtimeName}://${container.id}`;
}

export function readSandbox(status: PodSandboxStatus): RuntimeSandbox {
  const first = status.network?.ip ?? "";
  const more = status.network?.additionalIps.map((i) => i.ip) ?? [];
  return {
    id: status.id,
    attempt: status.metadata?.attempt ?? 0,
    ready: status.state === "SANDBOX_READY",
    createdAtMs: criTimeMs(status.createdAt),
    hostNetwork: status.linux?.namespaces?.options?.network === "NODE",
    ips: [first, ...more].filter((ip) => ip !== ""),
  };
}

const states: Readonly<Record<CriContainerStatus["state"], RuntimeContainerState>> = {
  CONTAINER_CREATED: "created",
  CONTAINER_RUNNING: "running",
  CONTAINER_EXITED: "exited",
  CONTAINER_UNKNOWN: "unknown",
};

/** CRI has words for the signs in SIGRTMIN+1 and SIGRTMAX-1. */
const apiSignal = (signal: string): string => signal.replace("PLUS", "+").replace("MINUS", "-");

export function readContainer(status: CriContainerStatus): RuntimeContainer {
  const notes = status.annotations;
  const grace = notes[annotation.terminationGracePeriod];
  const messagePath = notes[annotation.terminationMessagePath];
  const messageFile = messagePath ? status.mounts.find((m) => m.containerPath === messagePath)?.hostPath : undefined;
  const user = status.user?.linux;
  return {
    id: status.id,
    name: status.labels[label.containerName] ?? status.metadata?.name ?? "",
    state: states[status.state],
    createdAtMs: criTimeMs(status.createdAt),
    startedAtMs: criTimeMs(status.startedAt),
    finishedAtMs: criTimeMs(status.finishedAt),
    exitCode: status.exitCode,
    reason: status.reason,
    message: status.message,
    image: status.image?.userSpecifiedImage || status.image?.image || "",
    imageRef: status.imageRef,
    hash: notes[annotation.hash] ?? "",
    restartCount: Number.parseInt(notes[annotation.restartCount] ?? "0", 10) || 0,
    logPath: status.logPath,
    terminationMessagePolicy: notes[annotation.terminationMessagePolicy] ?? "File",
    ...(status.stopSignal === "RUNTIME_DEFAULT" ? {} : { stopSignal: apiSignal(status.stopSignal) }),
    ...(status.resources?.linux ? { resources: readResources(status.resources.linux) } : {}),
    ...(user ? { user: { uid: user.uid, gid: user.gid, supplementalGroups: user.supplementalGroups } } : {}),
    ...(grace === undefined ? {} : { terminationGracePeriodSeconds: Number(grace) }),
    ...(messageFile === undefined ? {} : { terminationMessageFile: messageFile }),
  };
}

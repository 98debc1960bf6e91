// The termination messages of a pod have 12 KiB together, shared alike by its containers: a status must not grow with what
// programs write.
import type { ContainerState, ContainerStatus, Pod } from "../../api/types/core-v1.ts";

const maxPodBytes = 12 * 1024;

/** The same statuses where no message is too long. */
export function limitMessages(pod: Pod, statuses: readonly ContainerStatus[]): readonly ContainerStatus[] {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec;
  const bytes = Math.floor(maxPodBytes / (containers.length + initContainers.length + ephemeralContainers.length));
  return statuses.map((status) => {
    const [state, lastState] = [limited(status.state, bytes), limited(status.lastState, bytes)];
    if (state === status.state && lastState === status.lastState) return status;
    return { ...status, ...(state ? { state } : {}), ...(lastState ? { lastState } : {}) };
  });
}

function limited(state: ContainerState | undefined, bytes: number): ContainerState | undefined {
  const message = state?.terminated?.message;
  // A character has at most three bytes for each code unit.
  if (!state?.terminated || message === undefined || message.length * 3 <= bytes || Buffer.byteLength(message) <= bytes) return state;
  const cut = Buffer.from(message).subarray(0, bytes).toString("utf8");
  return { ...state, terminated: { ...state.terminated, message: cut.replace(/\uFFFD$/, "") } };
}

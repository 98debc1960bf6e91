// What a pod has to have before its containers start: a network to join, its control group, its volumes, and the secrets to
// pull its images with. What fails has upstream's event.
import type { Pod, Secret } from "../../api/types/core-v1.ts";
import { type Tracer, traced } from "../../base/tracing.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { podReference } from "../references.ts";
import type { PodAllocations } from "../resize/pod-allocations.ts";
import { type MountedVolumes, VolumeError, type VolumeManager, VolumesError } from "../volumes/volume-manager.ts";

export interface PodPreparationDependencies {
  readonly recorder: EventRecorder;
  readonly volumes: VolumeManager;
  readonly allocations: PodAllocations;
  /** Why pods with a network of their own cannot be started yet, if they cannot. */
  readonly networkProblem: () => string | undefined;
  /** The pod's ConfigMaps and Secrets are to be followed. */
  readonly registerObjects: (pod: Pod) => void;
  /** Makes the pod's cgroup; returns the parent for its containers' groups. */
  readonly ensureCgroup: (pod: Pod) => Promise<string>;
  readonly pullSecrets: (pod: Pod) => Promise<readonly Secret[]>;
  /** Of what is done for the pod. Default none. */
  readonly tracer?: Tracer;
}

export interface PreparedPod {
  readonly cgroupParent: string;
  readonly volumes: MountedVolumes;
  readonly pullSecrets: readonly Secret[];
}

/** Idempotent: called again with every step. Throws where something cannot be had. */
export async function preparePod(deps: PodPreparationDependencies, pod: Pod, signal: AbortSignal): Promise<PreparedPod> {
  const { recorder, tracer } = deps;
  const problem = pod.spec.hostNetwork ? undefined : deps.networkProblem();
  if (problem !== undefined) {
    const message = `network is not ready: ${problem}`;
    recorder.record(podReference(pod), { type: "Warning", reason: "NetworkNotReady", message });
    throw new Error(message);
  }
  deps.registerObjects(pod);
  const cgroupParent = await traced(tracer, "EnsureCgroup", {}, () => ensureCgroup(deps, pod));
  const volumes = await traced(tracer, "MountVolumes", {}, () => mountVolumes(deps, pod));
  signal.throwIfAborted();
  return { cgroupParent, volumes, pullSecrets: await deps.pullSecrets(pod) };
}

async function ensureCgroup({ ensureCgroup: ensure, allocations, recorder }: PodPreparationDependencies, pod: Pod): Promise<string> {
  try {
    const parent = await ensure(pod);
    if (!allocations.actuatedPodLevel(pod.metadata.uid)) allocations.actuatePodLevel(pod.metadata.uid, pod.spec.resources);
    return parent;
  } catch (error) {
    const message = `unable to ensure pod container exists: ${(error as Error).message}`;
    recorder.record(podReference(pod), { type: "Warning", reason: "FailedCreatePodContainer", message });
    throw error;
  }
}

async function mountVolumes({ volumes, recorder }: PodPreparationDependencies, pod: Pod): Promise<MountedVolumes> {
  const failed = (error: unknown): void => {
    const message = error instanceof VolumeError ? error.message : `Unable to attach or mount volumes: ${(error as Error).message}`;
    recorder.record(podReference(pod), { type: "Warning", reason: "FailedMount", message });
  };
  try {
    return await volumes.setUp(pod, failed);
  } catch (error) {
    if (!(error instanceof VolumesError)) failed(error);
    else for (const failure of [...error.failures, ...(error.unprocessed.length > 0 ? [error] : [])]) failed(failure);
    throw error;
  }
}

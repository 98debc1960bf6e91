// Which dead containers and sandboxes a node need not keep, pure, by upstream's rules: of each container of a pod so many
// dead instances stay (one, for its log and its last state), altogether as many as are allowed; of pods that are gone none,
// and none of pods that have ended when the disk is needed. Sandboxes go when they are not ready, hold nothing, and are not
// the newest of a pod that is still here.

export interface GarbageContainer {
  readonly id: string;
  readonly podUid: string;
  readonly name: string;
  readonly sandboxId: string;
  readonly createdAtMs: number;
  readonly running: boolean;
}

export interface GarbageSandbox {
  readonly id: string;
  readonly podUid: string;
  readonly createdAtMs: number;
  readonly ready: boolean;
}

/** `live`: wanted here. `ended`: nothing of it will be started again. `gone`: no longer in any source. */
export type PodPresence = "live" | "ended" | "gone";

export interface ContainerGarbagePolicy {
  /** Dead instances of one container. Below 0: any number. */
  readonly maxPerPodContainer: number;
  /** Dead containers of the node. Below 0: any number. */
  readonly maxContainers: number;
  /** Younger ones stay. */
  readonly minAgeMs: number;
}

export const defaultContainerPolicy: ContainerGarbagePolicy = { maxPerPodContainer: 1, maxContainers: -1, minAgeMs: 0 };

export interface ContainerGarbageInput {
  readonly containers: readonly GarbageContainer[];
  readonly presence: (podUid: string) => PodPresence;
  readonly policy: ContainerGarbagePolicy;
  /** Of pods that have ended nothing is kept either. */
  readonly evenOfEnded?: boolean;
  readonly nowMs: number;
}

const newestFirst = (a: { createdAtMs: number }, b: { createdAtMs: number }): number => b.createdAtMs - a.createdAtMs;

/** What is to be removed, the oldest first. */
export function deadContainers(input: ContainerGarbageInput): readonly GarbageContainer[] {
  const { policy, nowMs } = input;
  const dead = input.containers.filter((c) => !c.running && nowMs - c.createdAtMs >= policy.minAgeMs);
  const removed = dead.filter((c) => isUnwanted(c.podUid, input));
  let kept = groups(dead.filter((c) => !isUnwanted(c.podUid, input)));
  const limitEach = (limit: number): void => {
    kept = kept.map((group) => {
      removed.push(...group.slice(limit));
      return group.slice(0, limit);
    });
  };
  if (policy.maxPerPodContainer >= 0) limitEach(policy.maxPerPodContainer);
  const count = (): number => kept.reduce((sum, group) => sum + group.length, 0);
  if (policy.maxContainers >= 0 && count() > policy.maxContainers) {
    limitEach(Math.max(1, Math.floor(policy.maxContainers / kept.length)));
    removed.push(...kept.flat().sort(newestFirst).slice(policy.maxContainers));
  }
  return removed.sort(newestFirst).reverse();
}

/** `containers`: those that are left. */
export function deadSandboxes(
  sandboxes: readonly GarbageSandbox[],
  containers: readonly GarbageContainer[],
  about: Pick<ContainerGarbageInput, "presence" | "evenOfEnded">,
): readonly GarbageSandbox[] {
  const holding = new Set(containers.map((c) => c.sandboxId));
  const newest = new Map<string, string>();
  for (const sandbox of [...sandboxes].sort(newestFirst)) if (!newest.has(sandbox.podUid)) newest.set(sandbox.podUid, sandbox.id);
  return sandboxes.filter(
    ({ id, podUid, ready }) => !ready && !holding.has(id) && (isUnwanted(podUid, about) || newest.get(podUid) !== id),
  );
}

function isUnwanted(podUid: string, { presence, evenOfEnded }: Pick<ContainerGarbageInput, "presence" | "evenOfEnded">): boolean {
  const found = presence(podUid);
  return found === "gone" || (found === "ended" && evenOfEnded === true);
}

/** Instances of one container of one pod, newest first. */
function groups(containers: readonly GarbageContainer[]): readonly (readonly GarbageContainer[])[] {
  const found = new Map<string, GarbageContainer[]>();
  for (const container of [...containers].sort(newestFirst)) {
    const key = `${container.podUid}/${container.name}`;
    found.set(key, [...(found.get(key) ?? []), container]);
  }
  return [...found.values()];
}

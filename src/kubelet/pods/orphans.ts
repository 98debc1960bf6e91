// Sandboxes, containers, directories and logs of pods this node has nothing to do with any more: pods that were deleted
// while the kubelet was down. They are stopped with a second of grace and removed.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { ignoringGone } from "../runtime/dead-containers.ts";
import type { ListedPod, RuntimeReader } from "../runtime/runtime-reader.ts";
import type { LifeMetrics } from "../stats/life-metrics.ts";
import type { VolumeManager } from "../volumes/volume-manager.ts";
import type { PodKiller } from "./pod-killer.ts";

export interface OrphanDependencies {
  readonly cri: CriRuntime;
  readonly reader: RuntimeReader;
  readonly killer: PodKiller;
  readonly volumes: VolumeManager;
  readonly logger: Logger;
  readonly logsDirectory: string;
  /** Some worker takes care of this pod. */
  readonly isKnown: (podUid: string) => boolean;
  readonly metrics: Pick<LifeMetrics, "orphanedPods" | "cleanedVolumes" | "volumesNotCleaned">;
}

const graceSeconds = 1;

export class Orphans implements Running {
  readonly #deps: OrphanDependencies;
  readonly #abort = new AbortController();
  readonly #working = new Map<string, Promise<void>>();

  constructor(deps: OrphanDependencies) {
    this.#deps = deps;
  }

  /** Ends and removes what the runtime has of a pod nobody knows. Failures are logged; the next listing tries again. */
  end(pod: ListedPod): void {
    if (this.#working.has(pod.uid) || this.#abort.signal.aborted || this.#deps.isKnown(pod.uid)) return;
    this.#deps.metrics.orphanedPods.add();
    const work = this.#end(pod)
      .catch((error: unknown) => {
        if (this.#abort.signal.aborted) return;
        this.#deps.logger.warn("Ending an orphaned pod failed", { pod: `${pod.namespace}/${pod.name}`, uid: pod.uid, error });
      })
      .then(() => void this.#working.delete(pod.uid));
    this.#working.set(pod.uid, work);
  }

  /** Removes directories and logs of pods that neither a worker nor the runtime knows. */
  async cleanDisk(inRuntime: ReadonlySet<string>): Promise<void> {
    const { volumes, logsDirectory, isKnown, metrics } = this.#deps;
    const gone = (uid: string): boolean => !isKnown(uid) && !inRuntime.has(uid);
    const left: unknown[] = [];
    const orphans = (await volumes.podsOnDisk()).filter(gone);
    for (const uid of orphans) await volumes.removePod(uid).catch((error: unknown) => void left.push(error));
    metrics.cleanedVolumes.set(orphans.length);
    metrics.volumesNotCleaned.set(left.length);
    for (const name of await readdir(logsDirectory).catch(() => [])) {
      const uid = name.slice(name.lastIndexOf("_") + 1);
      if (gone(uid)) await rm(join(logsDirectory, name), { recursive: true, force: true });
    }
    if (left.length > 0) throw left[0];
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#working.values());
  }

  async #end({ uid, name, namespace }: ListedPod): Promise<void> {
    const { reader, killer, cri, volumes, logger } = this.#deps;
    const { signal } = this.#abort;
    const runtime = await reader.read({ uid, name, namespace });
    logger.info("Ending a pod that is no longer wanted here", { pod: `${namespace}/${name}`, uid });
    const containers = runtime.containers.map((c) => ({ name: c.name }));
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { uid, name, namespace }, spec: { containers } } as unknown as Pod; // all that is known of it
    await killer.killPod(pod, runtime, { graceSeconds, signal });
    for (const { id } of runtime.containers) await ignoringGone(() => cri.removeContainer({ containerId: id }));
    for (const { id } of runtime.sandboxes) await ignoringGone(() => cri.removePodSandbox({ podSandboxId: id }));
    await volumes.removePod(uid);
    await rm(join(this.#deps.logsDirectory, `${namespace}_${name}_${uid}`), { recursive: true, force: true });
  }
}

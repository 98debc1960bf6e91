// The pods of this node, each with its worker: those the API server binds to it, and the static ones with the mirrors that
// show them. Knows which object in the API server stands for which pod.
import { keyOf } from "../api/meta/object.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import { type Admission, admitPod, type NodeState } from "./admission.ts";
import { endPod } from "./pod-ending.ts";
import { isMirrorPod, isStaticPod, isTerminalPhase } from "./pod-spec.ts";
import type { PodVerdict } from "./pod-status.ts";
import { PodWorker, type PodWorkerDependencies } from "./pod-worker.ts";
import { preemptedVerdict } from "./preemption.ts";
import type { ReferencedObjectCache } from "./referenced-objects.ts";
import { podReference } from "./references.ts";
import type { StatusManager } from "./status-manager.ts";

export interface PodRegistryDependencies {
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly objects: ReferencedObjectCache;
  readonly statuses: StatusManager;
  /** For admission. */
  readonly nodeState: () => NodeState;
  /** The node as the API server has it now, for pods that only its labels keep out. */
  readonly readNode: () => Promise<Node>;
  /** A pod ended for a critical one; the first resource that was lacking. */
  readonly onPreempted?: (resource: string) => void;
  /** Whether the runtime had anything of the pod when it was last listed. */
  readonly inRuntime: (podUid: string) => boolean;
  /** A static pod or a mirror of this name ("namespace/name") came or went. */
  readonly onStaticPod: (key: string) => void;
}

export class PodRegistry implements Running {
  readonly #deps: PodRegistryDependencies;
  readonly #workers = new Map<string, PodWorker>();
  /** By "namespace/name". */
  readonly #staticPods = new Map<string, Pod>();
  readonly #mirrors = new Map<string, Pod>();
  #workerDeps: PodWorkerDependencies | undefined;

  constructor(deps: PodRegistryDependencies) {
    this.#deps = deps;
  }

  /** Pods can be added from now on. */
  use(workerDeps: PodWorkerDependencies): void {
    this.#workerDeps = workerDeps;
  }

  /** Ends the workers, not the pods. */
  async stop(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((w) => w.stop()));
  }

  worker(podUid: string): PodWorker | undefined {
    return this.#workers.get(podUid);
  }

  workers(): Iterable<PodWorker> {
    return this.#workers.values();
  }

  /** Those of which something may run. */
  endable(): readonly PodWorker[] {
    return [...this.#workers.values()].filter(({ state }) => state === "syncing" || state === "terminating");
  }

  /** Images that pods use as volumes. */
  imageVolumes(): readonly string[] {
    const references = [...this.#workers.values()].flatMap(({ pod }) => (pod.spec.volumes ?? []).map((v) => v.image?.reference));
    return [...new Set(references.filter((r) => r !== undefined && r !== ""))] as readonly string[];
  }

  /** With their current statuses. */
  pods(): readonly Pod[] {
    return [...this.#workers.values()].map(({ pod }) => {
      const status = this.#deps.statuses.get(pod.metadata.uid);
      return status ? { ...pod, status } : pod;
    });
  }

  staticPod(key: string): Pod | undefined {
    return this.#staticPods.get(key);
  }

  mirror(key: string): Pod | undefined {
    return this.#mirrors.get(key);
  }

  /** The API object that shows this pod's status. */
  apiPodOf(podUid: string): Pod | undefined {
    const pod = this.#workers.get(podUid)?.pod;
    if (!pod) return undefined;
    return isStaticPod(pod) ? this.#mirrors.get(keyOf(pod)) : pod;
  }

  /** The API server has this pod, new or changed. */
  seen(pod: Pod): void {
    const { statuses, onStaticPod } = this.#deps;
    const key = keyOf(pod);
    if (isMirrorPod(pod)) {
      this.#mirrors.set(key, pod);
      onStaticPod(key);
      const own = this.#staticPods.get(key);
      if (own) statuses.observed(own.metadata.uid);
      return;
    }
    const worker = this.#workers.get(pod.metadata.uid);
    if (!worker) return this.#add(pod);
    worker.update(pod);
    statuses.observed(pod.metadata.uid);
  }

  /** The API server has it no longer. */
  deleted(pod: Pod): void {
    if (!isMirrorPod(pod)) {
      this.#workers.get(pod.metadata.uid)?.remove();
      return;
    }
    const key = keyOf(pod);
    if (this.#mirrors.get(key)?.metadata.uid === pod.metadata.uid) this.#mirrors.delete(key);
    this.#deps.onStaticPod(key);
  }

  /** All static pods there are now. */
  useStaticPods(found: readonly Pod[]): void {
    const wanted = new Map(found.map((pod) => [keyOf(pod), pod]));
    for (const [key, pod] of this.#staticPods) {
      if (wanted.get(key)?.metadata.uid === pod.metadata.uid) continue;
      this.#staticPods.delete(key);
      this.#workers.get(pod.metadata.uid)?.remove();
      this.#deps.onStaticPod(key);
    }
    for (const [key, pod] of wanted) {
      if (this.#staticPods.has(key)) continue;
      this.#staticPods.set(key, pod);
      this.#add(pod);
      this.#deps.onStaticPod(key);
    }
  }

  /** Nothing is left of the pod. */
  forget(podUid: string): void {
    this.#workers.delete(podUid);
    this.#deps.objects.unregister(podUid);
    this.#deps.statuses.forget(podUid);
  }

  #add(pod: Pod): void {
    if (!this.#workerDeps) throw new Error(`pod ${keyOf(pod)} came before the kubelet was started`);
    const { uid } = pod.metadata;
    const fresh = !this.#deps.inRuntime(uid);
    const worker = new PodWorker(pod, this.#workerDeps, { fresh, ...(fresh ? this.#admit(pod) : {}) });
    this.#workers.set(uid, worker);
    worker.wake();
  }

  /** A pod that already runs here, has ended, or is being deleted is not judged again. */
  #admit(pod: Pod): { readonly refused?: PodVerdict; readonly admission?: Promise<PodVerdict | undefined> } {
    if (isTerminalPhase(pod.status?.phase) || pod.metadata.deletionTimestamp !== undefined) return {};
    const admission = this.#judge(pod, this.#deps.nodeState());
    if (admission.kind === "refused" && admission.onlyLabels) return { admission: this.#judgeAnew(pod, admission) };
    if (admission.kind === "refused") return { refused: this.#refuse(pod, admission.verdict) };
    return admission.kind === "preempts" ? { admission: this.#makeRoom(admission) } : {};
  }

  #judge(pod: Pod, state: NodeState): Admission {
    const others = [...this.#workers.values()].filter((w) => w.active && w.pod.metadata.uid !== pod.metadata.uid).map((w) => w.pod);
    return admitPod(pod, others, state);
  }

  /** The node may have got the label by which the pod came here after it was last seen. */
  async #judgeAnew(pod: Pod, first: Admission & { readonly kind: "refused" }): Promise<PodVerdict | undefined> {
    const node = await this.#deps.readNode().catch(() => undefined);
    const admission = node ? this.#judge(pod, { ...this.#deps.nodeState(), node }) : first;
    if (admission.kind === "refused") return this.#refuse(pod, admission.verdict);
    return admission.kind === "preempts" ? await this.#makeRoom(admission) : undefined;
  }

  #refuse(pod: Pod, verdict: PodVerdict): PodVerdict {
    const message = verdict.message.replace(/^Pod was rejected: /, "");
    this.#deps.recorder.record(pod, { type: "Warning", reason: verdict.reason, message });
    return verdict;
  }

  /** Ends pods so that a critical one can have their place. */
  async #makeRoom({ pods, lacking }: Admission & { readonly kind: "preempts" }): Promise<undefined> {
    const { reason, message } = preemptedVerdict;
    await Promise.all(
      pods.map(async (pod) => {
        this.#deps.recorder.record(podReference(pod), { type: "Warning", reason, message });
        const worker = this.#workers.get(pod.metadata.uid);
        if (worker && (await endPod(this.#deps, worker, { verdict: preemptedVerdict }))) this.#deps.onPreempted?.(lacking);
      }),
    );
    return undefined;
  }
}

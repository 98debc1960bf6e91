// The pods of this node, each with its worker: those the API server binds to it, and the static ones with the mirrors that
// show them. Knows which object in the API server stands for which pod.
import { keyOf } from "../../api/meta/object.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { ReferencedObjectCache } from "../referenced-objects.ts";
import { podReference } from "../references.ts";
import type { PodAllocations } from "../resize/pod-allocations.ts";
import type { PodResizes } from "../resize/pod-resizes.ts";
import type { NodeManagers } from "../resource-managers/node-managers.ts";
import { configAnnotation } from "../runtime/labels.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import type { StatusManager } from "../status/status-manager.ts";
import { type Admission, admitPod, type NodeState } from "./admission.ts";
import { endPod } from "./pod-ending.ts";
import { isMirrorPod, isStaticPod, isTerminalPhase, podText } from "./pod-spec.ts";
import { PodWorker, type PodWorkerDependencies } from "./pod-worker.ts";
import { preemptedVerdict } from "./preemption.ts";

export interface PodRegistryDependencies {
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly objects: ReferencedObjectCache;
  readonly statuses: StatusManager;
  readonly allocations: PodAllocations;
  readonly resizes: PodResizes;
  /** Hands out what the pod is to have for itself; absent where nothing is. */
  readonly managers: () => Pick<NodeManagers, "concerns" | "admit"> | undefined;
  /** For admission. */
  readonly nodeState: () => NodeState;
  /** The node as the API server has it now, for pods that only its labels keep out. */
  readonly readNode: () => Promise<Node>;
  /** A pod ended for a critical one; the first resource that was lacking. */
  readonly onPreempted?: (resource: string) => void;
  /** The specification of a pod that runs here has changed. */
  readonly onChanged?: (before: Pod, after: Pod) => void;
  /** Admission has refused a pod. */
  readonly onRefused?: (reason: string) => void;
  /** Whether the runtime had anything of the pod when it was last listed. */
  readonly inRuntime: (podUid: string) => boolean;
  /** A static pod or a mirror of this name ("namespace/name") came or went. */
  readonly onStaticPod: (key: string) => void;
  /** The mirror of a static pod that has not changed is gone: someone deleted it. */
  readonly onMirrorDeleted: (key: string) => void;
}

export class PodRegistry implements Running {
  readonly #deps: PodRegistryDependencies;
  readonly #workers = new Map<string, PodWorker>();
  /** As their specifications ask; workers have them with what they were allocated. */
  readonly #desired = new Map<string, Pod>();
  /** By "namespace/name". */
  readonly #staticPods = new Map<string, Pod>();
  readonly #mirrors = new Map<string, Pod>();
  /** By source, in the order in which they were first read. */
  readonly #staticSources = new Map<string, readonly Pod[]>();
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

  /** Whether something of the pod may run, or is to. */
  mayRun(podUid: string): boolean {
    const state = this.#workers.get(podUid)?.state;
    return state === "syncing" || state === "terminating";
  }

  /** Images that pods use as volumes. */
  imageVolumes(): readonly string[] {
    const references = [...this.#workers.values()].flatMap(({ pod }) => (pod.spec.volumes ?? []).map((v) => v.image?.reference));
    return [...new Set(references.filter((r) => r !== undefined && r !== ""))] as readonly string[];
  }

  /** With their current statuses. */
  pods(): readonly Pod[] {
    return [...this.#desired.values()].map((pod) => {
      const status = this.#deps.statuses.get(pod.metadata.uid);
      return status ? { ...pod, status } : pod;
    });
  }

  /** As its specification asks. */
  desired(podUid: string): Pod | undefined {
    return this.#desired.get(podUid);
  }

  /** Why the pod would not fit with what it asks for now; undefined when it would. */
  refusal(pod: Pod): PodVerdict | undefined {
    const admission = this.#judge(pod, { ...this.#deps.nodeState(), mayPreempt: false });
    return admission.kind === "refused" ? admission.verdict : undefined;
  }

  /** The pod has been allocated something else. */
  reallocated(podUid: string): void {
    const pod = this.#desired.get(podUid);
    if (pod) this.#workers.get(podUid)?.update(this.#deps.allocations.allocatedPod(pod));
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
    if (!isStaticPod(pod)) return pod;
    // While one pod takes the place of another, the mirror is of one of them.
    const mirror = this.#mirrors.get(keyOf(pod));
    return mirror && mirror.metadata.annotations?.[configAnnotation.mirror] === pod.metadata.annotations?.[configAnnotation.hash]
      ? mirror
      : undefined;
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
    const before = this.#desired.get(pod.metadata.uid);
    if (before) this.#deps.onChanged?.(before, pod);
    this.#desired.set(pod.metadata.uid, pod);
    const allocated = this.#deps.allocations.allocatedPod(pod);
    worker.update(allocated);
    if (worker.active && pod.metadata.deletionTimestamp === undefined) this.#deps.resizes.seen(pod, allocated, "pod_updated");
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
    const shown = pod.metadata.annotations?.[configAnnotation.mirror];
    if (shown === this.#staticPods.get(key)?.metadata.annotations?.[configAnnotation.hash]) this.#deps.onMirrorDeleted(key);
    else this.#deps.onStaticPod(key);
  }

  /** All static pods that a source has now. */
  useStaticPods(source: string, found: readonly Pod[]): void {
    this.#staticSources.set(source, found);
    const wanted = this.#wantedStaticPods();
    for (const [key, pod] of this.#staticPods) {
      if (wanted.get(key)?.metadata.uid === pod.metadata.uid) continue;
      this.#staticPods.delete(key);
      this.#workers.get(pod.metadata.uid)?.remove();
      this.#deps.onStaticPod(key);
    }
    for (const [key, pod] of wanted) {
      if (this.#staticPods.has(key)) continue;
      this.#staticPods.set(key, pod);
      this.#startStaticPod(key);
      this.#deps.onStaticPod(key);
    }
  }

  /** By name: of two pods of one name the first counts. */
  #wantedStaticPods(): ReadonlyMap<string, Pod> {
    const wanted = new Map<string, Pod>();
    for (const [source, pods] of this.#staticSources)
      for (const pod of pods) {
        const key = keyOf(pod);
        if (!wanted.has(key)) {
          wanted.set(key, pod);
          continue;
        }
        const { name } = pod.metadata;
        const message = `Error validating pod ${podText(pod)} from ${source} due to duplicate pod name "${name}", ignoring`;
        this.#deps.recorder.record(pod, { type: "Warning", reason: "FailedValidation", message });
      }
    return wanted;
  }

  /** Once nothing is left of the one it replaces: two of a name must not run side by side. */
  #startStaticPod(key: string): void {
    const pod = this.#staticPods.get(key);
    if (!pod) return;
    const before = [...this.#workers.values()].some((w) => isStaticPod(w.pod) && keyOf(w.pod) === key);
    if (!before) this.#add(pod);
  }

  /** Nothing is left of the pod. */
  forget(podUid: string): void {
    const gone = this.#workers.get(podUid)?.pod;
    this.#workers.delete(podUid);
    this.#desired.delete(podUid);
    this.#deps.allocations.remove(podUid);
    this.#deps.resizes.forget(podUid);
    this.#deps.resizes.retry("pods_removed");
    this.#deps.objects.unregister(podUid);
    this.#deps.statuses.forget(podUid);
    if (gone && isStaticPod(gone)) this.#startStaticPod(keyOf(gone));
  }

  #add(asked: Pod): void {
    if (!this.#workerDeps) throw new Error(`pod ${keyOf(asked)} came before the kubelet was started`);
    const { allocations, resizes } = this.#deps;
    const { uid } = asked.metadata;
    const fresh = !this.#deps.inRuntime(uid);
    if (!fresh) allocations.adopt(asked);
    const pod = allocations.allocatedPod(asked);
    this.#desired.set(uid, asked);
    const worker = new PodWorker(pod, this.#workerDeps, { fresh, ...(fresh ? this.#admit(pod) : {}) });
    this.#workers.set(uid, worker);
    if (worker.active) {
      allocations.allocate(pod);
      resizes.adopt(asked);
      resizes.seen(asked, pod, "pods_added");
    }
    worker.wake();
  }

  /** A pod that already runs here, has ended, or is being deleted is not judged again. */
  #admit(pod: Pod): { readonly refused?: PodVerdict; readonly admission?: Promise<PodVerdict | undefined> } {
    if (isTerminalPhase(pod.status?.phase) || pod.metadata.deletionTimestamp !== undefined) return {};
    const admission = this.#judge(pod, this.#deps.nodeState());
    if (admission.kind === "refused" && admission.onlyLabels) return { admission: this.#judgeAnew(pod, admission) };
    if (admission.kind === "refused") return { refused: this.#refuse(pod, admission.verdict) };
    if (admission.kind === "admitted" && !this.#deps.managers()?.concerns(pod)) return {};
    return { admission: this.#settle(pod, admission) };
  }

  /** Makes room where that is needed, and gives the pod what is handed out piece by piece. */
  async #settle(pod: Pod, admission: Admission & { readonly kind: "admitted" | "preempts" }): Promise<PodVerdict | undefined> {
    if (admission.kind === "preempts") await this.#makeRoom(admission);
    const managers = this.#deps.managers();
    const verdict = managers?.concerns(pod) ? await managers.admit(pod) : undefined;
    return verdict && this.#refuse(pod, verdict);
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
    return await this.#settle(pod, admission);
  }

  #refuse(pod: Pod, verdict: PodVerdict): PodVerdict {
    const message = verdict.message.replace(/^Pod was rejected: /, "");
    this.#deps.onRefused?.(verdict.reason);
    this.#deps.recorder.record(pod, { type: "Warning", reason: verdict.reason, message });
    return verdict;
  }

  /** Ends pods so that a critical one can have their place. */
  async #makeRoom({ pods, lacking }: Admission & { readonly kind: "preempts" }): Promise<void> {
    const { reason, message } = preemptedVerdict;
    await Promise.all(
      pods.map(async (pod) => {
        this.#deps.recorder.record(podReference(pod), { type: "Warning", reason, message });
        const worker = this.#workers.get(pod.metadata.uid);
        if (worker && (await endPod(this.#deps, worker, { verdict: preemptedVerdict }))) this.#deps.onPreempted?.(lacking);
      }),
    );
  }
}

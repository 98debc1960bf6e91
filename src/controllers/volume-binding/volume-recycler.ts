// Empties volumes by pods, one for each volume at a time. Every look at a volume is a step: the first makes its pod, later ones
// look how far it is. A pod of that name that was there before (of an earlier process, or forged) is deleted, and the next try
// makes a new one. What is told of the pod in events is told of its volume too.
import type { New } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { events, pods } from "../../api/resources.generated.ts";
import type { Event, PersistentVolume, Pod } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText } from "../../base/log.ts";
import type { Informer, InformerOptions } from "../../client/informer.ts";
import type { ControllerContext } from "../controller.ts";
import { recyclerName } from "./recycler-pod.ts";

export type RecycleStep =
  | { readonly kind: "working" }
  | { readonly kind: "recycled" }
  /** `message`: what went wrong, in upstream's words. */
  | { readonly kind: "failed"; readonly message: string };

interface Recycling {
  readonly volumeUid: string;
  /** As it was created. */
  readonly pod: Pod;
  readonly stopListening: () => Promise<void>;
}

type RecyclerDeps = Pick<ControllerContext, "client" | "informers" | "recorder" | "logger"> & { readonly pods: Informer<Pod> };

const working: RecycleStep = { kind: "working" };
const failed = (message: string): RecycleStep => ({ kind: "failed", message });
const prefix = recyclerName("");

export class VolumeRecycler implements Running {
  readonly #deps: RecyclerDeps;
  /** By the volume's name: those that a pod of this process empties. */
  readonly #running = new Map<string, Recycling>();

  constructor(deps: RecyclerDeps) {
    this.#deps = deps;
  }

  /** The volume that a pod empties, by its name. */
  volumeOf({ metadata }: Pod): string | undefined {
    if (!metadata.name.startsWith(prefix)) return undefined;
    const volumeName = metadata.name.slice(prefix.length);
    return this.#running.get(volumeName)?.pod.metadata.uid === metadata.uid ? volumeName : undefined;
  }

  /** A pod is at work on the volume. */
  isRecycling(volumeName: string): boolean {
    return this.#running.has(volumeName);
  }

  /** `wanted`: the pod that empties the volume. */
  async step(volume: PersistentVolume, wanted: New<Pod>, signal: AbortSignal): Promise<RecycleStep> {
    const known = this.#running.get(volume.metadata.name);
    if (!known) return this.#begin(volume, wanted, signal);
    const outcome =
      known.volumeUid === volume.metadata.uid ? this.#outcomeOf(known.pod) : failed("failed to recycle volume: another volume");
    if (outcome.kind === "working") return outcome;
    const problem = await this.#end(volume.metadata.name, known, signal);
    return outcome.kind === "recycled" && problem !== undefined ? failed(`failed to delete recycler pod: ${problem}`) : outcome;
  }

  /** The volume is gone, or needs no emptying any longer: nor its pod. */
  async abandon(volumeName: string, signal: AbortSignal): Promise<void> {
    const known = this.#running.get(volumeName);
    if (known) await this.#end(volumeName, known, signal);
  }

  /** The pods stay, for the next process to find. */
  async stop(): Promise<void> {
    const all = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(all.map(({ stopListening }) => stopListening()));
  }

  async #begin(volume: PersistentVolume, wanted: New<Pod>, signal: AbortSignal): Promise<RecycleStep> {
    const { client } = this.#deps;
    let pod: Pod;
    try {
      pod = await client.create(pods, wanted, { signal });
    } catch (error) {
      if (!isStatus(error, "AlreadyExists")) return failed(`unexpected error creating recycler pod:  ${errorText(error)}`);
      const { namespace = "", name = "" } = wanted.metadata;
      const problem = await this.#delete(namespace, name, signal);
      if (problem === undefined) return failed("old recycler pod found, will retry later");
      return failed(`failed to delete old recycler pod ${namespace}/${name}: ${problem}`);
    }
    const { name, uid } = volume.metadata;
    this.#running.set(name, { volumeUid: uid, pod, stopListening: this.#listen(volume, pod) });
    return working;
  }

  #outcomeOf(created: Pod): RecycleStep {
    const { namespace, name, uid, resourceVersion } = created.metadata;
    const cached = this.#deps.pods.get(`${namespace}/${name}`);
    if (cached?.metadata.uid !== uid)
      return this.#deps.pods.isAtLeast(resourceVersion) ? failed("failed to recycle volume: recycler pod was deleted") : working;
    const { phase, message } = cached.status ?? {};
    if (phase === "Succeeded") return { kind: "recycled" };
    return phase === "Failed" ? failed(`failed to recycle volume: ${message || "pod failed, pod.Status.Message unknown"}`) : working;
  }

  async #end(volumeName: string, { pod, stopListening }: Recycling, signal: AbortSignal): Promise<string | undefined> {
    const { namespace = "", name } = pod.metadata;
    const problem = await this.#delete(namespace, name, signal);
    this.#running.delete(volumeName);
    await stopListening();
    return problem;
  }

  /** The problem, if there is one. */
  async #delete(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      await this.#deps.client.delete(pods, { namespace, name }, { signal });
      return undefined;
    } catch (error) {
      this.#deps.logger.info("A recycler pod could not be deleted", { pod: `${namespace}/${name}`, error }, 2);
      return errorText(error);
    }
  }

  /** Tells of the volume what is told of the pod, until the function that is returned is called. */
  #listen(volume: PersistentVolume, { metadata }: Pod): () => Promise<void> {
    const { informers, recorder } = this.#deps;
    const scope: InformerOptions = { namespace: metadata.namespace ?? "", fieldSelector: `involvedObject.name=${metadata.name}` };
    const informer = informers.informer(events, scope);
    const registration = informer.addHandler({
      onAdd: ({ involvedObject, type, message = "" }: Event) => {
        if (involvedObject.uid !== metadata.uid) return;
        recorder.record(volume, {
          type: type === "Warning" ? "Warning" : "Normal",
          reason: "RecyclerPod",
          message: `Recycler pod: ${message}`,
        });
      },
    });
    informer.start();
    return async () => {
      registration.remove();
      await informers.drop(events, scope);
    };
  }
}

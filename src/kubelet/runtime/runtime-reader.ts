// Reads what the runtime has of a pod, and lists all it has. Containers that have exited never change again: they are read
// once, with their termination message, and kept until the runtime forgets them.
import type { CriRuntime } from "../../cri/cri.ts";
import type { PodSandboxStatus } from "../../cri/generated/runtime-v1.ts";
import { isRpcError } from "../../rpc/rpc-error.ts";
import { terminationMessage } from "../status/termination-message.ts";
import { label } from "./labels.ts";
import { type RuntimeContainer, type RuntimePod, type RuntimeSandbox, readContainer, readSandbox } from "./runtime-pod.ts";

/** One pod in a listing: enough to see that something has changed. */
export interface ListedPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Ids with their states, sorted: equal text means nothing changed. */
  readonly fingerprint: string;
}

export class RuntimeReader {
  readonly #cri: CriRuntime;
  readonly #exited = new Map<string, RuntimeContainer>();

  constructor(cri: CriRuntime) {
    this.#cri = cri;
  }

  async read(pod: { readonly uid: string; readonly name: string; readonly namespace: string }): Promise<RuntimePod> {
    const labelSelector = { [label.podUid]: pod.uid };
    const [sandboxes, containers] = await Promise.all([
      this.#cri.listPodSandbox({ filter: { labelSelector } }),
      this.#cri.listContainers({ filter: { labelSelector } }),
    ]);
    const [sandboxStates, containerStates] = await Promise.all([
      Promise.all(sandboxes.items.map(({ id }) => this.#sandbox(id))),
      Promise.all(containers.containers.map(({ id }) => this.#container(id))),
    ]);
    return {
      uid: pod.uid,
      name: pod.name,
      namespace: pod.namespace,
      sandboxes: sandboxStates.filter((s) => s !== undefined).sort((a, b) => b.createdAtMs - a.createdAtMs || b.attempt - a.attempt),
      containers: containerStates
        .filter((c) => c !== undefined)
        .sort((a, b) => b.createdAtMs - a.createdAtMs || b.restartCount - a.restartCount),
    };
  }

  /** Everything the runtime has that belongs to pods. */
  async list(): Promise<ReadonlyMap<string, ListedPod>> {
    const [sandboxes, containers] = await Promise.all([this.#cri.listPodSandbox({}), this.#cri.listContainers({})]);
    const parts = new Map<string, { name: string; namespace: string; states: string[] }>();
    const present = new Set<string>();
    for (const item of [...sandboxes.items, ...containers.containers]) {
      const uid = item.labels[label.podUid];
      if (uid === undefined) continue;
      present.add(item.id);
      let pod = parts.get(uid);
      if (!pod) {
        pod = { name: item.labels[label.podName] ?? "", namespace: item.labels[label.podNamespace] ?? "", states: [] };
        parts.set(uid, pod);
      }
      pod.states.push(`${item.id}:${item.state}`);
    }
    for (const id of this.#exited.keys()) if (!present.has(id)) this.#exited.delete(id);
    return new Map(
      [...parts].map(([uid, { name, namespace, states }]) => [uid, { uid, name, namespace, fingerprint: states.sort().join() }]),
    );
  }

  async #sandbox(id: string): Promise<RuntimeSandbox | undefined> {
    const status: PodSandboxStatus | undefined = await orGone(async () => (await this.#cri.podSandboxStatus({ podSandboxId: id })).status);
    return status && readSandbox(status);
  }

  async #container(id: string): Promise<RuntimeContainer | undefined> {
    const known = this.#exited.get(id);
    if (known) return known;
    const status = await orGone(async () => (await this.#cri.containerStatus({ containerId: id })).status);
    if (!status) return undefined;
    const container = readContainer(status);
    if (container.state !== "exited") return container;
    const finished = { ...container, message: await terminationMessage(container) };
    this.#exited.set(id, finished);
    return finished;
  }
}

/** Undefined for what has been removed since it was listed. */
async function orGone<T>(get: () => Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (isRpcError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}

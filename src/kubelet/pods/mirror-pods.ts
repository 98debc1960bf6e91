// Mirror pods: for each static pod an object in the API server that shows it. The kubelet makes it, replaces it when the
// file changes or someone deletes it, and removes it with the file. One that someone deletes comes back after a second only:
// `kubectl delete` looks at the object, and then lists and watches it by its name alone. A mirror that has come back in
// between would be taken for the one that is to go, and kubectl would wait for ever.
import { isStatus } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { configAnnotation } from "../runtime/labels.ts";

export interface MirrorPodDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** By "namespace/name". */
  readonly staticPod: (key: string) => Pod | undefined;
  readonly mirror: (key: string) => Pod | undefined;
  readonly node: () => Node | undefined;
}

const callTimeoutMs = 30_000;
const comeBackMs = 1_000;

export class MirrorPods implements Running {
  readonly #deps: MirrorPodDependencies;
  readonly #queue: KeyedQueue<string>;
  /** When mirrors that someone deleted may come back, by key. */
  readonly #backAtMs = new Map<string, number>();

  constructor(deps: MirrorPodDependencies) {
    this.#deps = deps;
    const backoff = { baseMs: 200, maxMs: 10_000 };
    this.#queue = new KeyedQueue({ clock: deps.clock, backoff, work: (key, signal) => this.#reconcile(key, signal) });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** A static pod or a mirror of this name ("namespace/name") came, changed or went. */
  check(key: string): void {
    this.#queue.add(key);
  }

  /** Someone else has removed the mirror of this name. */
  removed(key: string): void {
    this.#backAtMs.set(key, this.#deps.clock.monotonic() + comeBackMs);
    this.check(key);
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<KeyOutcome> {
    const { client, clock, staticPod, mirror, node, logger } = this.#deps;
    const wanted = staticPod(key);
    const found = mirror(key);
    try {
      if (found && (!wanted || isOutdated(found, wanted))) {
        if (found.metadata.deletionTimestamp !== undefined) this.#backAtMs.set(key, clock.monotonic() + comeBackMs);
        const body = { gracePeriodSeconds: 0, preconditions: { uid: found.metadata.uid } };
        await client.delete(pods, found.metadata, { body, signal, timeoutMs: callTimeoutMs });
      }
      if (!wanted || (found && !isOutdated(found, wanted))) {
        this.#backAtMs.delete(key);
        return { kind: "done" };
      }
      const waitMs = (this.#backAtMs.get(key) ?? 0) - clock.monotonic();
      if (waitMs > 0) return { kind: "after", delayMs: waitMs };
      const owner = node();
      if (!owner) return { kind: "retry" };
      await client.create(pods, mirrorOf(wanted, owner), { signal, timeoutMs: callTimeoutMs });
      return { kind: "done" };
    } catch (error) {
      if (isStatus(error, "AlreadyExists", "NotFound")) return { kind: "after", delayMs: 1_000 };
      if (!signal.aborted) logger.info("Making a mirror pod failed", { pod: key, error: (error as Error).message }, 1);
      return { kind: "retry" };
    }
  }
}

function isOutdated(mirror: Pod, wanted: Pod): boolean {
  const shown = mirror.metadata.annotations?.[configAnnotation.mirror];
  return mirror.metadata.deletionTimestamp !== undefined || shown !== wanted.metadata.annotations?.[configAnnotation.hash];
}

function mirrorOf(pod: Pod, node: Node): Pod {
  const { uid: _uid, ...metadata } = pod.metadata;
  const { status: _status, ...rest } = pod;
  const hash = pod.metadata.annotations?.[configAnnotation.hash] ?? "";
  const owner = { apiVersion: "v1", kind: "Node", name: node.metadata.name, uid: node.metadata.uid, controller: true };
  return {
    ...rest,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [configAnnotation.mirror]: hash },
      ownerReferences: [owner],
    } as unknown as Pod["metadata"], // the uid is the server's to give
  };
}

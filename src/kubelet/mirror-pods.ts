// Mirror pods: for each static pod an object in the API server that shows it. The kubelet makes it, replaces it when the
// file changes or someone deletes it, and removes it with the file.
import { isStatus } from "../api/meta/status-error.ts";
import { pods } from "../api/resources.generated.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../base/keyed-queue.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { configAnnotation } from "./labels.ts";

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

export class MirrorPods implements Running {
  readonly #deps: MirrorPodDependencies;
  readonly #queue: KeyedQueue<string>;

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

  async #reconcile(key: string, signal: AbortSignal): Promise<KeyOutcome> {
    const { client, staticPod, mirror, node, logger } = this.#deps;
    const wanted = staticPod(key);
    const found = mirror(key);
    try {
      if (found && (!wanted || isOutdated(found, wanted))) {
        const body = { gracePeriodSeconds: 0, preconditions: { uid: found.metadata.uid } };
        await client.delete(pods, found.metadata, { body, signal, timeoutMs: callTimeoutMs });
      }
      if (!wanted || (found && !isOutdated(found, wanted))) return { kind: "done" };
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

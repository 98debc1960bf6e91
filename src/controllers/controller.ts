// The contract of a controller: a name (upstream's, as --controllers selects it), what it watches and how a change there
// maps to keys, and `reconcile`, which makes the world agree with the object of a key. Reconciling is level-based: it looks
// at the present state, never at the change that caused it. What to do is decided by pure functions (`plan…`); reconcile
// observes, asks, and acts.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import type { RequeueAfter } from "../client/work-queue.ts";
import type { ControllerMetrics } from "./controller-metrics.ts";
import type { ControllerOptions } from "./controller-options.ts";

/** What every controller gets. */
export interface ControllerContext {
  readonly client: Client;
  /** Informers asked for while the controller is created are synced before its first reconcile. */
  readonly informers: InformerFactory;
  readonly clock: Clock;
  /** Records under the controller's name. */
  readonly recorder: EventRecorder;
  readonly logger: Logger;
  readonly options: ControllerOptions;
  readonly metrics?: Pick<ControllerMetrics, "claims" | "own">;
  /** Adds a key to this controller's queue, at once or after a while. */
  enqueue(key: string, delayMs?: number): void;
}

/** For the context of one reconcile: pass `signal` to every call. */
export interface ReconcileContext {
  readonly signal: AbortSignal;
}

/** A source of keys. Made by `watch`. */
export interface Watched {
  start(enqueue: (key: string) => void): { remove(): void };
}

export interface ControllerLoop {
  readonly watches: readonly Watched[];
  /** Resolves when the key is done with, or with when to come again; throws to be tried again with back-off. */
  reconcile(key: string, context: ReconcileContext): Promise<RequeueAfter | undefined>;
  /** Starts what runs beside the queue (periodic work), once informers are synced. */
  start?(): Running;
}

export interface Controller {
  /** "replicaset-controller". */
  readonly name: string;
  /** Event source where it is not the name. */
  readonly component?: string;
  /** Its identity, an account in kube-system that its role system:controller:… is bound to; default the name. */
  readonly serviceAccount?: string;
  /** Acts with the identity of the manager itself: no account in the cluster may do what it does. */
  readonly actsAsManager?: boolean;
  /** Runs only where --controllers names it. */
  readonly isOffByDefault?: boolean;
  /** Keys worked on at a time, unless the options say otherwise. Default 5. */
  readonly workers?: number;
  /** For one key. Default 2 minutes. */
  readonly deadlineMs?: number;
  /** What has changed while a key was worked on is looked at after so long, all of it at once. Default at once. */
  readonly paceMs?: number;
  create(context: ControllerContext): ControllerLoop;
}

/**
 * Watches a resource: `keysOf` maps an object to the keys its change concerns. On an update it is asked for the old and the
 * new state, so that what an object has left is told as well as what it has joined.
 */
export function watch<T extends KubernetesObject>(informer: Informer<T>, keysOf: (object: T) => readonly string[]): Watched {
  return watchGathering(informer, keysOf, undefined);
}

/** The same, with the keys told after a while; `enqueueAfter` is undefined for at once. */
export function watchGathering<T extends KubernetesObject>(
  informer: Informer<T>,
  keysOf: (object: T) => readonly string[],
  enqueueAfter: ((key: string) => void) | undefined,
): Watched {
  return {
    start(enqueueAtOnce) {
      const enqueue = enqueueAfter ?? enqueueAtOnce;
      const tell = (object: T): void => {
        for (const key of keysOf(object)) enqueue(key);
      };
      return informer.addHandler({
        onAdd: tell,
        onUpdate(object, previous) {
          tell(object);
          tell(previous);
        },
        onDelete: tell,
      });
    },
  };
}

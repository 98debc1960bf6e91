// Reports pod statuses to the API server: one patch at a time per pod, the latest status wins, what did not change is not
// sent, failures are retried with back-off. When a pod that was to be deleted has ended and all of it is gone from the node,
// its object is deleted. A pod of the same name with another uid is never touched.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod, PodCondition, PodStatus } from "../../api/types/core-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import { KeyedQueue, type KeyOutcome } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { isTerminalPhase } from "../pods/pod-spec.ts";
import { isPassingCondition, isReportedByKubelet, withTransitionTimes } from "./pod-conditions.ts";

export interface StatusManagerDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The API object that shows a pod: itself, or the mirror of a static pod; undefined when there is none. */
  readonly apiPodOf: (podUid: string) => Pod | undefined;
  /** A status differs from the one before. */
  readonly onChanged?: (before: PodStatus, after: PodStatus) => void;
  /** One has been reported, so long after it changed. */
  readonly onReported?: (durationMs: number) => void;
}

interface Entry {
  readonly status: PodStatus;
  /** Nothing of the pod is left on this node. */
  readonly finished: boolean;
  /** What the API server last acknowledged, until the watch shows it. */
  readonly acknowledged?: PodStatus;
  /** When the first change was made that is not reported yet; absent where all are. */
  readonly changedAtMs?: number;
}

const workers = 8;
/** A pod that starts soon has more to tell. */
const pendingDelayMs = 50;
const callTimeoutMs = 30_000;

export class StatusManager implements Running {
  readonly #deps: StatusManagerDependencies;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: KeyedQueue<string>;

  constructor(deps: StatusManagerDependencies) {
    this.#deps = deps;
    this.#queue = new KeyedQueue({
      clock: deps.clock,
      workers,
      backoff: { baseMs: 200, maxMs: 30_000 },
      work: (uid, signal) => this.#report(uid, signal),
    });
  }

  start(): void {
    this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  /** What was last set, with its times. */
  get(podUid: string): PodStatus | undefined {
    return this.#entries.get(podUid)?.status;
  }

  /** Takes a computed status, completes its times, and reports it when it differs from what the API server has. */
  set(pod: Pod, computed: PodStatus, { finished = false }: { readonly finished?: boolean } = {}): PodStatus {
    const uid = pod.metadata.uid;
    const entry = this.#entries.get(uid);
    const previous = entry?.status ?? pod.status ?? {};
    const now = formatTime(this.#deps.clock.now());
    const status: PodStatus = {
      ...computed,
      startTime: previous.startTime ?? computed.startTime ?? now,
      ...(computed.conditions ? { conditions: withTransitionTimes(computed.conditions, previous.conditions, now) } : {}),
    };
    const done = finished || entry?.finished === true;
    const changed = !entry || !semanticallyEqual(entry.status, status);
    const changedAtMs = entry?.changedAtMs ?? (changed ? this.#deps.clock.monotonic() : undefined);
    this.#entries.set(uid, { ...entry, status, finished: done, ...(changedAtMs === undefined ? {} : { changedAtMs }) });
    if (changed) this.#deps.onChanged?.(previous, status);
    // Compared with the last one, not with the API server: a patch under way may have been for an older status.
    if (changed || finished) this.#queue.addAfter(uid, status.phase === "Pending" && !finished ? pendingDelayMs : 0);
    return status;
  }

  /** The API object was seen anew: someone may have overwritten the status, or asked for its deletion. */
  observed(podUid: string): void {
    const entry = this.#entries.get(podUid);
    if (!entry) return;
    const { acknowledged: _old, ...rest } = entry;
    this.#entries.set(podUid, rest);
    const current = this.#deps.apiPodOf(podUid);
    if (current && (entry.finished || statusPatch(current.status ?? {}, entry.status))) this.#queue.add(podUid);
  }

  /** Of a pod that is gone. */
  forget(podUid: string): void {
    this.#entries.delete(podUid);
  }

  #acknowledge(uid: string, { changedAtMs, ...entry }: Entry, acknowledged: PodStatus): void {
    if (changedAtMs !== undefined) this.#deps.onReported?.(this.#deps.clock.monotonic() - changedAtMs);
    this.#entries.set(uid, { ...entry, acknowledged });
  }

  async #report(uid: string, signal: AbortSignal): Promise<KeyOutcome> {
    const entry = this.#entries.get(uid);
    const target = this.#deps.apiPodOf(uid);
    if (!entry || !target) return { kind: "done" };
    const { namespace, name } = target.metadata;
    try {
      const changes = statusPatch(entry.acknowledged ?? target.status ?? {}, entry.status);
      if (changes) {
        const patch = { metadata: { uid: target.metadata.uid }, status: changes };
        const patchOptions = { type: "strategic", subresource: "status", signal, timeoutMs: callTimeoutMs } as const;
        const answer = await this.#deps.client.patch(pods, { namespace, name }, patch, patchOptions);
        const current = this.#entries.get(uid);
        if (current) this.#acknowledge(uid, current, answer.status ?? {});
      }
      if (entry.finished && target.metadata.deletionTimestamp !== undefined && isTerminalPhase(entry.status.phase)) {
        const body = { gracePeriodSeconds: 0, preconditions: { uid: target.metadata.uid } };
        await this.#deps.client.delete(pods, { namespace, name }, { body, signal, timeoutMs: callTimeoutMs });
      }
      return { kind: "done" };
    } catch (error) {
      // Gone, or another pod of this name: there is nothing to report to.
      if (isStatus(error, "NotFound", "Conflict") || isAboutUid(error)) return { kind: "done" };
      if (!signal.aborted)
        this.#deps.logger.warn("Reporting a pod's status failed", { pod: `${namespace}/${name}`, error: (error as Error).message });
      return { kind: "retry" };
    }
  }
}

/** How a patch is refused that is for a pod of another uid. */
function isAboutUid(error: unknown): boolean {
  return isStatus(error, "Invalid") && error.status.details?.causes?.some((cause) => cause.field === "metadata.uid") === true;
}

/**
 * A strategic merge patch of the status fields that differ, or undefined. Of the conditions only the kubelet's own are sent:
 * the list is merged by type, so others' conditions stay as the server has them.
 */
export function statusPatch(current: PodStatus, wanted: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  const before = current as Readonly<Record<string, unknown>>;
  const after = wanted as Readonly<Record<string, unknown>>;
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (key === "conditions") continue;
    if (semanticallyEqual(before[key], after[key]) && !isNewlyTold(before, after, key)) continue;
    const value = after[key];
    patch[key] = mergedLists.has(key) && Array.isArray(value) ? [...(value as unknown[]), { $patch: "replace" }] : (value ?? null);
  }
  const conditions = (wanted.conditions ?? []).filter(
    (c) => isReportedByKubelet(c) && !semanticallyEqual(findType(current.conditions, c.type), c),
  );
  const over = (current.conditions ?? []).filter((c) => isPassingCondition(c.type) && !findType(wanted.conditions, c.type));
  if (conditions.length + over.length > 0)
    patch.conditions = [
      ...conditions.map((c) => withRemovals(findType(current.conditions, c.type), c)),
      ...over.map(({ type }) => ({ $patch: "delete", type })),
    ];
  return Object.keys(patch).length > 0 ? patch : undefined;
}

/** A pod without requests and limits says so, with an empty object. */
function isNewlyTold(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>, key: string): boolean {
  return key === "resources" && (before[key] ?? undefined) === undefined && after[key] !== undefined;
}

/** Lists a strategic merge patch would merge by their items' keys: old addresses have to go. */
const mergedLists: ReadonlySet<string> = new Set(["podIPs", "hostIPs"]);

function findType(conditions: readonly PodCondition[] | undefined, type: string): PodCondition | undefined {
  return conditions?.find((c) => c.type === type);
}

/** Fields that a merged list item must lose are sent as null. */
function withRemovals(before: PodCondition | undefined, after: PodCondition): Record<string, unknown> {
  const gone = Object.keys(before ?? {}).filter((key) => !(key in after));
  return { ...after, ...Object.fromEntries(gone.map((key) => [key, null])) };
}

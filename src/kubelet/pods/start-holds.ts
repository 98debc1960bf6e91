// Containers whose start has failed are left alone for a while, whatever the runtime and the pod's status say in between:
// the failure itself changes both, and would else be tried again at once and for ever.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { PodActions } from "./pod-actions.ts";
import { isSidecar } from "./pod-spec.ts";

const defaultMs = 10_000;

export class StartHolds {
  readonly #clock: Clock;
  readonly #until = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `untilMs`: when a new try is worth it, where that is known. */
  add(containerName: string, untilMs: number | undefined): void {
    this.#until.set(containerName, untilMs ?? this.#clock.now() + defaultMs);
  }

  /** What the pod depends on has changed: everything may be tried. */
  clear(): void {
    this.#until.clear();
  }

  ends(): Iterable<number> {
    return this.#until.values();
  }

  /** The actions without the starts of containers that are held; init containers after one of those wait too. */
  without(actions: PodActions): PodActions {
    const now = this.#clock.now();
    for (const [name, untilMs] of this.#until) if (untilMs <= now) this.#until.delete(name);
    if (this.#until.size === 0) return actions;
    const free = ({ name }: Container): boolean => !this.#until.has(name);
    const stop = actions.init.findIndex((c) => !free(c) && !isSidecar(c));
    const init = stop < 0 ? actions.init : actions.init.slice(0, stop);
    return { ...actions, ephemeral: actions.ephemeral.filter(free), init: init.filter(free), regular: actions.regular.filter(free) };
  }
}

/** Whether two versions of a pod ask for the same: the specification counts its changes. */
export function onlyStatusDiffers(before: Pod, after: Pod): boolean {
  const { metadata: a } = before;
  const { metadata: b } = after;
  return (
    a.generation === b.generation &&
    a.deletionTimestamp === b.deletionTimestamp &&
    semanticallyEqual(a.labels, b.labels) &&
    semanticallyEqual(a.annotations, b.annotations)
  );
}

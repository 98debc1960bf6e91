// What the stages of a container's life take, and how often they fail: pulling its image, creating it, starting it, stopping it.
// Failures follow a seed, so that a run that went wrong can be repeated.
import type { Clock } from "../../base/clock.ts";
import { RpcError } from "../../rpc/rpc-error.ts";

export const stageNames = ["pull", "create", "start", "stop"] as const;
export type Stage = (typeof stageNames)[number];

export interface StageOptions {
  /** Milliseconds by stage; default 0. */
  readonly delays?: Partial<Readonly<Record<Stage, number>>>;
  /** Probabilities by stage, 0 to 1; default 0. A container that fails to stop is only stopped when its time is up. */
  readonly failures?: Partial<Readonly<Record<Stage, number>>>;
}

export class Stages {
  readonly #clock: Clock;
  readonly #defaults: StageOptions;
  readonly #random: () => number;

  constructor(clock: Clock, defaults: StageOptions, seed: number) {
    this.#clock = clock;
    this.#defaults = defaults;
    this.#random = randomFrom(seed);
  }

  delayMs(stage: Stage, own: StageOptions): number {
    return own.delays?.[stage] ?? this.#defaults.delays?.[stage] ?? 0;
  }

  fails(stage: Stage, own: StageOptions): boolean {
    const probability = own.failures?.[stage] ?? this.#defaults.failures?.[stage] ?? 0;
    return probability > 0 && this.#random() < probability;
  }

  /** Lets the stage's time pass. Throws an RpcError when it is to fail; `what` says for whom. */
  async pass(stage: Stage, own: StageOptions, { what, signal }: { readonly what: string; readonly signal?: AbortSignal }): Promise<void> {
    const delayMs = this.delayMs(stage, own);
    if (delayMs > 0) await this.#clock.sleep(delayMs, signal);
    if (this.fails(stage, own)) throw new RpcError("UNKNOWN", `simulated failure: ${stage} of ${what}`);
  }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

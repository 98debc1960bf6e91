// One probe of one running container: runs it every period from the initial delay on, and settles a result once so many
// runs in a row agree. A failed liveness probe and a decided startup probe end it: the container is replaced, or started.
import type { Probe } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { ProbeResult } from "../pods/pod-actions.ts";
import type { ProbeOutcome } from "./prober.ts";

export type ProbeKind = "Liveness" | "Readiness" | "Startup";

export interface ContainerProbeOptions {
  readonly kind: ProbeKind;
  readonly probe: Probe;
  readonly clock: Clock;
  /** When the container started, milliseconds since 1970. */
  readonly startedAtMs: number;
  readonly initial: ProbeResult;
  readonly run: () => Promise<ProbeOutcome>;
  /** A run failed, or could not be made (`error`); for events. */
  readonly onBad: (outcome: ProbeOutcome | { readonly error: unknown }) => void;
  /** The settled result has changed. */
  readonly onChange: (result: ProbeResult) => void;
}

const triesPerRun = 3;

export class ContainerProbe {
  readonly #options: ContainerProbeOptions;
  #result: ProbeResult;
  #last: "success" | "failure" | undefined;
  #inARow = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: ContainerProbeOptions) {
    this.#options = options;
    this.#result = options.initial;
  }

  get result(): ProbeResult {
    return this.#result;
  }

  get kind(): ProbeKind {
    return this.#options.kind;
  }

  start(): void {
    const { clock, probe, startedAtMs } = this.#options;
    this.#schedule(startedAtMs + (probe.initialDelaySeconds ?? 0) * 1000 - clock.now());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#options.clock.after(Math.max(0, delayMs), () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const { clock, probe } = this.#options;
    const begunMs = clock.monotonic();
    const outcome = await this.#runWithRetries();
    if (this.#stopped) return;
    if ("error" in outcome) this.#options.onBad(outcome);
    else {
      if (outcome.result !== "success") this.#options.onBad(outcome);
      this.#count(outcome.result === "failure" ? "failure" : "success");
    }
    if (!this.#stopped) this.#schedule((probe.periodSeconds ?? 10) * 1000 - (clock.monotonic() - begunMs));
  }

  async #runWithRetries(): Promise<ProbeOutcome | { readonly error: unknown }> {
    let error: unknown;
    for (let i = 0; i < triesPerRun && !this.#stopped; i++) {
      try {
        return await this.#options.run();
      } catch (caught) {
        error = caught;
      }
    }
    return { error };
  }

  #count(result: "success" | "failure"): void {
    const { probe, kind } = this.#options;
    this.#inARow = this.#last === result ? this.#inARow + 1 : 1;
    this.#last = result;
    const threshold = result === "failure" ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1);
    if (this.#inARow < threshold) return;
    if (kind === "Startup" || (kind === "Liveness" && result === "failure")) this.stop();
    if (this.#result === result) return;
    this.#result = result;
    this.#options.onChange(result);
  }
}

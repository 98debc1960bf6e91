// Whether the mirror of a resource can be read. Readers wait while it is read for the first time or anew; once an attempt to read
// it has failed they are refused, with what was wrong, until one succeeds: whoever waited would wait for as long as, say, the key
// of an encrypted object is missing.
import type { Clock } from "../../base/clock.ts";

/** The mirror could not be read from the store; it is tried again. */
export class CacheNotReadyError extends Error {
  /** Since when it is not there. */
  readonly downMs: number;

  constructor(problem: string, downMs: number) {
    super(`storage is (re)initializing: ${problem}`);
    this.name = "CacheNotReadyError";
    this.downMs = downMs;
  }
}

export class Readiness {
  readonly #clock: Pick<Clock, "monotonic">;
  /** What is read, in messages. */
  readonly #what: string;
  #sinceMs: number;
  #isReady = false;
  #stopped = false;
  #problem: string | undefined;
  #changed: Promise<void> | undefined;
  #release = (): void => undefined;

  constructor(clock: Pick<Clock, "monotonic">, what: string) {
    this.#clock = clock;
    this.#what = what;
    this.#sinceMs = clock.monotonic();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when the mirror can be read, or is kept no longer. Throws CacheNotReadyError. */
  async wait(): Promise<void> {
    while (!this.#isReady && !this.#stopped) {
      if (this.#problem !== undefined) throw new CacheNotReadyError(this.#problem, this.#clock.monotonic() - this.#sinceMs);
      this.#changed ??= new Promise((resolve) => (this.#release = resolve));
      await this.#changed;
    }
  }

  succeeded(): void {
    this.#isReady = true;
    this.#problem = undefined;
    this.#tell();
  }

  failed(error: unknown): void {
    this.#problem = `failed to list ${this.#what}: ${error instanceof Error ? error.message : String(error)}`;
    this.#tell();
  }

  /** The mirror has to be read anew. */
  lost(): void {
    this.#isReady = false;
    this.#sinceMs = this.#clock.monotonic();
  }

  stop(): void {
    this.#stopped = true;
    this.#tell();
  }

  #tell(): void {
    this.#release();
    this.#changed = undefined;
  }
}

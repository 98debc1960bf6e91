// The members of an etcd cluster as one: calls go to one member as long as it answers, and to the next when it does not.
// Reads are tried again, within a deadline; a write is tried again only where it is certain that nothing has happened.
import type { Clock } from "../../base/clock.ts";
import type { Input } from "../../rpc/protocol.ts";
import { Endpoint, type EtcdTls, type UnaryCall } from "./endpoint.ts";
import { isRetriable, wasRefused } from "./errors.ts";
import type { UnaryCalls } from "./protocol.ts";

/** A call fails after so long, all attempts together. etcd itself gives up after 7 s. */
const callTimeoutMs = 10_000;
/** A read that got no answer for so long asks another member. */
const readAttemptMs = 3000;
const connectTimeoutMs = 2000;
const retryDelayMs = 100;

export interface ClusterOptions {
  readonly servers: readonly string[];
  readonly tls: EtcdTls;
}

export class Cluster {
  readonly #clock: Clock;
  readonly #endpoints: readonly Endpoint[];
  readonly #listeners = new Set<(failed: Endpoint) => void>();
  #current = 0;
  #closed = false;

  constructor(clock: Clock, { servers, tls }: ClusterOptions) {
    if (servers.length === 0) throw new Error("no etcd servers are given");
    this.#clock = clock;
    this.#endpoints = servers.map((url) => new Endpoint(url, tls));
  }

  get all(): readonly Endpoint[] {
    return this.#endpoints;
  }

  get current(): Endpoint {
    return this.#endpoints[this.#current] as Endpoint;
  }

  /** A connected member; throws UNAVAILABLE when none is found in time. */
  async connected(timeoutMs = callTimeoutMs): Promise<Endpoint> {
    const untilMs = this.#clock.monotonic() + timeoutMs;
    for (;;) {
      const endpoint = this.current;
      try {
        await endpoint.ready(Math.max(1, Math.min(connectTimeoutMs, untilMs - this.#clock.monotonic())));
        return endpoint;
      } catch (error) {
        this.fail(endpoint);
        if (this.#closed || this.#clock.monotonic() + retryDelayMs >= untilMs) throw error;
        await this.#clock.sleep(retryDelayMs);
      }
    }
  }

  /** Further calls go to another member, and so do the watches of this one. */
  fail(endpoint: Endpoint): void {
    if (this.current === endpoint) this.#current = (this.#current + 1) % this.#endpoints.length;
    if (this.#endpoints.length === 1) return;
    for (const listener of this.#listeners) listener(endpoint);
  }

  onFailure(listener: (failed: Endpoint) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** A call that changes nothing. */
  read<C extends UnaryCall>(call: C, message: Input<UnaryCalls[C]["request"]>): Promise<UnaryCalls[C]["response"]> {
    return this.#call(call, message, { attemptMs: this.#endpoints.length > 1 ? readAttemptMs : callTimeoutMs, mayRepeat: isRetriable });
  }

  write<C extends UnaryCall>(call: C, message: Input<UnaryCalls[C]["request"]>): Promise<UnaryCalls[C]["response"]> {
    return this.#call(call, message, { attemptMs: callTimeoutMs, mayRepeat: wasRefused });
  }

  close(): void {
    this.#closed = true;
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #call<C extends UnaryCall>(
    call: C,
    message: Input<UnaryCalls[C]["request"]>,
    options: CallPolicy,
  ): Promise<UnaryCalls[C]["response"]> {
    const untilMs = this.#clock.monotonic() + callTimeoutMs;
    for (;;) {
      const endpoint = await this.connected(untilMs - this.#clock.monotonic());
      try {
        return await endpoint.call(call, message, Math.max(1, Math.min(options.attemptMs, untilMs - this.#clock.monotonic())));
      } catch (error) {
        if (isRetriable(error)) this.fail(endpoint);
        if (this.#closed || !options.mayRepeat(error) || this.#clock.monotonic() + retryDelayMs >= untilMs) throw error;
        await this.#clock.sleep(retryDelayMs);
      }
    }
  }
}

interface CallPolicy {
  readonly attemptMs: number;
  readonly mayRepeat: (error: unknown) => boolean;
}

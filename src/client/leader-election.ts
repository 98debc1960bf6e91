// Lets one of several running copies of a component act at a time, by a Lease object, with upstream's protocol and
// figures: the holder renews every 2 s and gives up when it could not for 10 s; others take over when the lease has not
// changed for 15 s by their own clock. On stop the lease is released, so that a successor need not wait.
import type { New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { leases } from "../api/resources.generated.ts";
import type { Lease, LeaseSpec } from "../api/types/coordination-v1.ts";
import { type Clock, formatMicroTime } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "./client.ts";

export interface LeaderElectionOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default "kube-system". */
  readonly namespace?: string;
  /** Of the lease: "kube-controller-manager". */
  readonly name: string;
  /** Unique to this copy: host name and a random part. */
  readonly identity: string;
  /** Others wait so long after the last renewal. Default 15 s. */
  readonly leaseDurationMs?: number;
  /** The holder gives up after so long without a renewal. Default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Between two tries. Default 2 s. */
  readonly retryPeriodMs?: number;
  /** Begins to act; what it returns is stopped when the lease is lost or released. */
  readonly lead: () => Promise<Running>;
  /** The lease was lost while leading, and what was led has been stopped. */
  readonly onLost?: () => void;
}

/** By how much the pause between two tries may be longer than was asked for. */
export const jitterFactor = 1.2;

export class LeaderElector implements Running {
  readonly #options: LeaderElectionOptions;
  readonly #namespace: string;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #abort = new AbortController();
  /** The lease as last seen, and when by our own clock: clocks of different machines are never compared. */
  #observed: { readonly lease: Lease; readonly atMs: number } | undefined;
  #running: Promise<void> | undefined;
  #leading = false;
  #renewedMs = 0;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#namespace = options.namespace ?? "kube-system";
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#leaseDurationMs <= this.#renewDeadlineMs) throw new Error("leaseDuration must be greater than renewDeadline");
    if (this.#renewDeadlineMs <= this.#retryPeriodMs * jitterFactor) throw new Error("renewDeadline must be greater than retryPeriod*1.2");
  }

  get isLeader(): boolean {
    return this.#leading;
  }

  /** The identity that holds the lease as far as is known; "" when nobody does. */
  get leader(): string {
    return this.#observed?.lease.spec.holderIdentity ?? "";
  }

  /** Whether it leads although the lease has run out: then something keeps it from noticing. */
  isLeadingBeyond(graceMs: number): boolean {
    return this.#leading && this.#options.clock.monotonic() - this.#renewedMs > this.#leaseDurationMs + graceMs;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops leading, then releases the lease. */
  async stop(): Promise<void> {
    this.#abort.abort(new Error("leader election is stopped"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { logger, name } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      if (!(await this.#tryOnce(this.#renewDeadlineMs))) {
        await this.#pause(this.#retryPeriodMs * (1 + (jitterFactor - 1) * this.#options.clock.random()));
        continue;
      }
      logger.info("Acquired the lease", { lease: `${this.#namespace}/${name}`, identity: this.#options.identity });
      this.#leading = true;
      this.#renewedMs = this.#options.clock.monotonic();
      let led: Running;
      try {
        led = await this.#options.lead();
      } catch (error) {
        logger.error("Failed to start leading", { lease: `${this.#namespace}/${name}`, error });
        this.#leading = false;
        await this.#pause(this.#renewDeadlineMs);
        continue;
      }
      const lost = await this.#renewUntilLost();
      this.#leading = false;
      await led.stop();
      if (lost) {
        logger.warn("Lost the lease", { lease: `${this.#namespace}/${name}` });
        this.#options.onLost?.();
      }
    }
    await this.#release();
  }

  /** Resolves with true when the lease is lost, false when we are to stop. */
  async #renewUntilLost(): Promise<boolean> {
    const { clock } = this.#options;
    const { signal } = this.#abort;
    this.#renewedMs = clock.monotonic();
    for (;;) {
      await this.#pause(this.#retryPeriodMs);
      if (signal.aborted) return false;
      const leftMs = this.#renewDeadlineMs - (clock.monotonic() - this.#renewedMs);
      if (leftMs <= 0) return true;
      if (await this.#tryOnce(leftMs)) this.#renewedMs = clock.monotonic();
      else if (this.#observed?.lease.spec.holderIdentity !== this.#options.identity) return true;
    }
  }

  /** Acquires or renews; false when someone else holds the lease, or the server did not agree. */
  async #tryOnce(timeoutMs: number): Promise<boolean> {
    const { logger, name } = this.#options;
    try {
      return await this.#acquireOrRenew(timeoutMs);
    } catch (error) {
      if (!this.#abort.signal.aborted)
        logger.info("Failed to acquire or renew the lease", { lease: `${this.#namespace}/${name}`, error }, 2);
      return false;
    }
  }

  async #acquireOrRenew(timeoutMs: number): Promise<boolean> {
    const { client, clock, identity, name } = this.#options;
    const call = { signal: this.#abort.signal, timeoutMs };
    const at = { namespace: this.#namespace, name };
    const now = formatMicroTime(clock.now());
    let lease: Lease;
    try {
      lease = await client.get(leases, at, call);
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      const first: New<Lease> = { metadata: at, spec: this.#spec(now, now, 0) };
      this.#observe(await client.create(leases, first, call));
      return true;
    }
    this.#observe(lease);
    const held = lease.spec.holderIdentity === identity;
    if (!held && lease.spec.holderIdentity && this.#observedAgeMs() < this.#leaseDurationMs) return false;
    const transitions = lease.spec.leaseTransitions ?? 0;
    const spec = held ? this.#spec(lease.spec.acquireTime ?? now, now, transitions) : this.#spec(now, now, transitions + 1);
    this.#observe(await client.update(leases, { ...lease, spec: { ...lease.spec, ...spec } }, call));
    return true;
  }

  #spec(acquireTime: string, renewTime: string, leaseTransitions: number): LeaseSpec {
    const leaseDurationSeconds = Math.max(1, Math.floor(this.#leaseDurationMs / 1000));
    return { holderIdentity: this.#options.identity, leaseDurationSeconds, acquireTime, renewTime, leaseTransitions };
  }

  #observe(lease: Lease): void {
    if (this.#observed?.lease.metadata.resourceVersion === lease.metadata.resourceVersion) return;
    this.#observed = { lease, atMs: this.#options.clock.monotonic() };
  }

  #observedAgeMs(): number {
    return this.#observed ? this.#options.clock.monotonic() - this.#observed.atMs : 0;
  }

  async #release(): Promise<void> {
    const { client, identity, logger, name } = this.#options;
    const lease = this.#observed?.lease;
    if (!lease || lease.spec.holderIdentity !== identity) return;
    const call = { timeoutMs: this.#renewDeadlineMs };
    try {
      try {
        await client.update(leases, this.#released(lease), call);
      } catch (error) {
        if (!isStatus(error, "Conflict")) throw error;
        // A renewal whose answer nobody waited for has been written.
        const current = await client.get(leases, { namespace: this.#namespace, name }, call);
        if (current.spec.holderIdentity === identity) await client.update(leases, this.#released(current), call);
      }
    } catch (error) {
      logger.warn("Failed to release the lease", { lease: `${this.#namespace}/${name}`, error });
    }
  }

  #released(lease: Lease): Lease {
    const now = formatMicroTime(this.#options.clock.now());
    const spec = { ...this.#spec(now, now, lease.spec.leaseTransitions ?? 0), holderIdentity: "", leaseDurationSeconds: 1 };
    return { ...lease, spec: { ...lease.spec, ...spec } };
  }

  async #pause(delayMs: number): Promise<void> {
    const { signal } = this.#abort;
    await this.#options.clock.sleep(delayMs, signal).catch((reason: unknown) => {
      if (!signal.aborted) throw reason;
    });
  }
}

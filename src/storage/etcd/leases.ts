// Leases for keys that expire. Keys written within a short while of each other share one, as upstream's API server does it
// (thousands of events an hour would be as many leases): a key may live 5 %, at most a minute, longer than it was given.
import type { Clock } from "../../base/clock.ts";
import type { Cluster } from "./cluster.ts";

const maxKeysPerLease = 1000;
const maxExtraSeconds = 60;
const extraShare = 0.05;

export class Leases {
  readonly #clock: Clock;
  readonly #cluster: Cluster;
  #id = 0n;
  #expiresAtMs = 0;
  #keys = 0;
  #asking: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, cluster: Cluster) {
    this.#clock = clock;
    this.#cluster = cluster;
  }

  /** The lease for a key that shall live so long from now. Asked one after another, so that those at once share one. */
  leaseFor(ttlSeconds: number): Promise<bigint> {
    const lease = this.#asking.then(() => this.#leaseFor(ttlSeconds));
    this.#asking = lease.catch(() => undefined);
    return lease;
  }

  /** Forgets a lease that etcd no longer knows. */
  forget(id: bigint): void {
    if (this.#id === id) this.#expiresAtMs = 0;
  }

  async #leaseFor(ttlSeconds: number): Promise<bigint> {
    const nowMs = this.#clock.monotonic();
    const extraSeconds = Math.min(maxExtraSeconds, Math.floor(extraShare * ttlSeconds));
    const lastsLongEnough = nowMs + ttlSeconds * 1000 < this.#expiresAtMs;
    const notTooLong = nowMs + (ttlSeconds + extraSeconds) * 1000 > this.#expiresAtMs;
    this.#keys++;
    if (lastsLongEnough && notTooLong && this.#keys <= maxKeysPerLease) return this.#id;
    const ttl = Math.ceil(ttlSeconds) + extraSeconds;
    const { id } = await this.#cluster.write("LeaseGrant", { ttl });
    this.#id = id;
    this.#expiresAtMs = nowMs + ttl * 1000;
    this.#keys = 1;
    return id;
  }
}

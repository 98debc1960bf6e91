// Who the other API servers of the store are, by their identity leases: those in kube-system with upstream's label. A server that
// has started again has another holder in its lease.
import { leases } from "../../api/resources.generated.ts";
import type { Lease } from "../../api/types/coordination-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { isIdentityLease } from "../peers/identity-lease.ts";

export interface PeerLeaseListener {
  /** A peer has appeared, started again or gone. */
  onChange(): void;
}

/** More API servers than that no store has. */
const maxPeers = 100;

export class PeerLeases implements Running {
  readonly #reader: AdmissionReader;
  readonly #own: string;
  readonly #listener: PeerLeaseListener;
  /** By identity: who holds the lease. */
  readonly #holders = new Map<string, string>();
  #registration: { remove(): void } | undefined;

  constructor(reader: AdmissionReader, own: string, listener: PeerLeaseListener) {
    this.#reader = reader;
    this.#own = own;
    this.#listener = listener;
  }

  /** Resolves when what is there is known. */
  async start(): Promise<void> {
    const informer = this.#reader.informer(leases);
    informer.start();
    this.#registration = informer.addHandler({
      onAdd: (lease) => this.#put(lease),
      onUpdate: (lease) => this.#put(lease),
      onDelete: (lease) => this.#remove(lease),
    });
    await informer.synced();
  }

  identities(): Iterable<string> {
    return this.#holders.keys();
  }

  /** Undefined where there is no such server. */
  holder(identity: string): string | undefined {
    return this.#holders.get(identity);
  }

  async stop(): Promise<void> {
    this.#registration?.remove();
  }

  #put(lease: Lease): void {
    // Those of nodes are many, and are renewed all the time.
    if (!isIdentityLease(lease)) return this.#remove(lease);
    const { name } = lease.metadata;
    const holder = lease.spec?.holderIdentity;
    if (name === this.#own || !holder || this.#holders.get(name) === holder) return;
    if (!this.#holders.has(name) && this.#holders.size >= maxPeers) return;
    this.#holders.set(name, holder);
    this.#listener.onChange();
  }

  #remove({ metadata: { namespace, name } }: Lease): void {
    if (namespace === "kube-system" && this.#holders.delete(name)) this.#listener.onChange();
  }
}

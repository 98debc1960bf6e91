// The node's heartbeat: a Lease in kube-node-lease, renewed every quarter of its duration. Controllers take the node for
// lost when it is not renewed.
import { isStatus } from "../../api/meta/status-error.ts";
import { leases } from "../../api/resources.generated.ts";
import type { Lease } from "../../api/types/coordination-v1.ts";
import { type Clock, formatMicroTime, type Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";

export interface NodeLeaseOptions {
  readonly nodeName: string;
  /** Default 40. */
  readonly durationSeconds?: number;
  /** The lease goes when the node goes; undefined while the node is not known. */
  readonly nodeUid: () => string | undefined;
}

const namespace = "kube-node-lease";
const firstRetryMs = 200;
const maxRetryMs = 7_000;

export class NodeLease implements Running {
  readonly #deps: { readonly client: Client; readonly clock: Clock; readonly logger: Logger };
  readonly #options: NodeLeaseOptions;
  readonly #durationSeconds: number;
  readonly #abort = new AbortController();
  #held: Lease | undefined;
  #timer: Timer | undefined;
  #renewing: Promise<void> | undefined;
  #failures = 0;

  constructor(deps: { readonly client: Client; readonly clock: Clock; readonly logger: Logger }, options: NodeLeaseOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#durationSeconds = options.durationSeconds ?? 40;
  }

  start(): void {
    this.#renewing = this.#renew();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    try {
      this.#held = await this.#write();
      this.#failures = 0;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#failures++;
      // What we hold may be outdated: the next try reads it.
      this.#held = undefined;
      this.#deps.logger.info("Renewing the node's lease failed", { node: this.#options.nodeName, error: (error as Error).message }, 2);
    }
    if (this.#abort.signal.aborted) return;
    const delayMs = this.#failures === 0 ? this.#durationSeconds * 250 : Math.min(firstRetryMs * 2 ** (this.#failures - 1), maxRetryMs);
    this.#timer = this.#deps.clock.after(delayMs, () => {
      this.#renewing = this.#renew();
    });
  }

  async #write(): Promise<Lease> {
    const { client } = this.#deps;
    const { nodeName } = this.#options;
    const call = { signal: this.#abort.signal, timeoutMs: 10_000 };
    const held = this.#held ?? (await this.#read(call));
    if (!held) return await client.create(leases, { metadata: { name: nodeName, namespace, ...this.#owner() }, spec: this.#spec() }, call);
    const owner = held.metadata.ownerReferences?.length ? {} : this.#owner();
    return await client.update(
      leases,
      { ...held, metadata: { ...held.metadata, ...owner }, spec: { ...held.spec, ...this.#spec() } },
      call,
    );
  }

  async #read(call: { readonly signal: AbortSignal }): Promise<Lease | undefined> {
    try {
      return await this.#deps.client.get(leases, { namespace, name: this.#options.nodeName }, call);
    } catch (error) {
      if (isStatus(error, "NotFound")) return undefined;
      throw error;
    }
  }

  #spec(): Lease["spec"] {
    const renewTime = formatMicroTime(this.#deps.clock.now());
    return { holderIdentity: this.#options.nodeName, leaseDurationSeconds: this.#durationSeconds, renewTime };
  }

  #owner(): Pick<Lease["metadata"], "ownerReferences"> {
    const uid = this.#options.nodeUid();
    return uid === undefined ? {} : { ownerReferences: [{ apiVersion: "v1", kind: "Node", name: this.#options.nodeName, uid }] };
  }
}

// One etcd watch over the store's whole key range, from a revision on, for as long as it is wanted: it goes on from where
// it was after the connection, or the member, is lost. As it sees every write of the range, it has reached a revision when
// the write of that revision arrives; only for a revision made by a write elsewhere it has to ask etcd how far it is (or,
// where etcd is too old to answer that reliably, to write a key of its own into the range).
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { backoffDelay } from "../../base/backoff.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { Input } from "../../rpc/protocol.ts";
import { CompactedError, type StoreEvent } from "../store.ts";
import type { Cluster } from "./cluster.ts";
import type { Endpoint } from "./endpoint.ts";
import { toEvent } from "./key-value.ts";
import type { EtcdEvent, WatchRequest, WatchResponse } from "./protocol.ts";

/** So long a write of the range may be on its way before etcd is asked how far the watch is. */
const nudgeAfterMs = 1000;
/** Then the member is given up. */
const giveUpAfterMs = 1500;

export interface FeedOptions {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly log: Logger;
  readonly start: string;
  readonly end: string;
  readonly withPrevious: boolean;
  /** Begin after this revision. */
  readonly after: number;
  /** Whole revisions, in order. */
  readonly onEvents: (events: readonly StoreEvent[], position: number) => void;
  /** An expected revision has been reached. */
  readonly onProgress: (position: number) => void;
  /** The feed has ended: CompactedError. */
  readonly onEnd: (error: unknown) => void;
  /** Whether etcd answers progress requests truthfully. */
  readonly canAskProgress: () => Promise<boolean>;
  /** Makes the revision advance by a write inside the range, unless one at or after `revision` is there to come. */
  readonly writeProgress: (revision: number) => Promise<void>;
}

type Stream = ClientDuplexStream<Input<WatchRequest>, WatchResponse>;

export class Feed {
  readonly #options: FeedOptions;
  readonly #removeListener: () => void;
  #position: number;
  #expected = 0;
  #stream: Stream | undefined;
  #endpoint: Endpoint | undefined;
  #fragments: EtcdEvent[] = [];
  #failures = 0;
  /** etcd has begun the watch: what it reaches from now on is not lost to a compaction. */
  #established = false;
  #stopped = false;
  #timer: Timer | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#position = options.after;
    this.#removeListener = options.cluster.onFailure((failed) => {
      if (failed === this.#endpoint) this.#restart();
    });
    void this.#connect();
  }

  /** Everything up to it has been delivered. */
  get position(): number {
    return this.#position;
  }

  /** Calls onProgress when the revision has been reached. */
  expect(revision: number): void {
    if (this.#stopped) return;
    this.#expected = Math.max(this.#expected, revision);
    if (this.#established && this.#position >= this.#expected) this.#options.onProgress(this.#position);
    else this.#timer ??= this.#options.clock.after(nudgeAfterMs, () => void this.#nudge());
  }

  stop(): void {
    this.#stopped = true;
    this.#removeListener();
    this.#timer?.cancel();
    this.#drop();
  }

  async #connect(): Promise<void> {
    const { cluster, log } = this.#options;
    while (!this.#stopped) {
      try {
        const endpoint = await cluster.connected();
        if (!this.#stopped) this.#open(endpoint);
        return;
      } catch (error) {
        log.warn("No etcd server can be reached for a watch", { error });
        await this.#pause();
      }
    }
  }

  #open(endpoint: Endpoint): void {
    const { start, end, withPrevious } = this.#options;
    const stream = endpoint.watch();
    this.#stream = stream;
    this.#endpoint = endpoint;
    this.#fragments = [];
    stream.on("data", (response: WatchResponse) => {
      if (this.#stream === stream) this.#receive(response);
    });
    stream.on("error", (error) => {
      if (this.#stream === stream) this.#lost(error);
    });
    stream.on("end", () => {
      if (this.#stream === stream) this.#lost(undefined);
    });
    const startRevision = this.#position + 1;
    stream.write({
      createRequest: { key: start, rangeEnd: end, startRevision, progressNotify: true, prevKv: withPrevious, fragment: true },
    });
  }

  #receive(response: WatchResponse): void {
    if (response.compactRevision > 0) return this.#end(new CompactedError(response.compactRevision));
    if (response.canceled) return this.#lost(new Error(`etcd has cancelled a watch: ${response.cancelReason}`));
    this.#failures = 0;
    if (response.created) {
      this.#established = true;
      this.#reached();
      return;
    }
    if (response.fragment || this.#fragments.length > 0) this.#fragments.push(...response.events);
    if (response.fragment) return;
    const found = this.#fragments.length > 0 ? this.#fragments : response.events;
    this.#fragments = [];
    if (found.length > 0) this.#deliver(found);
    else void this.#progressed(response.header?.revision ?? 0);
  }

  #deliver(found: readonly EtcdEvent[]): void {
    const events = found.map((event) => toEvent(event)).filter((event) => event.revision > this.#position);
    const last = events.at(-1);
    if (!last) return;
    this.#position = last.revision;
    this.#options.onEvents(events, this.#position);
    this.#reached();
  }

  /** A notification of etcd's, which an old one may send before the events that it covers. */
  async #progressed(revision: number): Promise<void> {
    const stream = this.#stream;
    if (!(await this.#options.canAskProgress().catch(() => false)) || this.#stream !== stream) return;
    this.#position = Math.max(this.#position, revision);
    this.#reached();
  }

  #reached(): void {
    if (this.#stopped || this.#expected === 0 || this.#position < this.#expected) return;
    this.#expected = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#options.onProgress(this.#position);
  }

  /** What was expected has not come: ask for it, and give the member up when nothing comes of that. */
  async #nudge(): Promise<void> {
    const { canAskProgress, writeProgress, clock, cluster, log } = this.#options;
    const endpoint = this.#endpoint;
    this.#timer = clock.after(giveUpAfterMs, () => {
      this.#timer = undefined;
      if (this.#stopped || this.#position >= this.#expected) return;
      if (endpoint && endpoint === this.#endpoint) {
        cluster.fail(endpoint);
        if (endpoint === this.#endpoint) this.#restart();
      }
      this.expect(this.#expected);
    });
    try {
      if (await canAskProgress()) this.#stream?.write({ progressRequest: {} });
      else await writeProgress(this.#expected);
    } catch (error) {
      log.warn("Asking etcd for the progress of a watch failed", { error });
    }
  }

  #restart(): void {
    if (this.#stopped) return;
    this.#drop();
    void this.#connect();
  }

  #lost(error: unknown): void {
    this.#options.log.info("An etcd watch was interrupted and goes on", { error, position: this.#position }, 2);
    const endpoint = this.#endpoint;
    this.#drop();
    if (endpoint) this.#options.cluster.fail(endpoint);
    void this.#pause().then(() => (this.#stream ? undefined : this.#connect()));
  }

  #pause(): Promise<void> {
    const { clock } = this.#options;
    return clock.sleep(backoffDelay(this.#failures++, { baseMs: 50, maxMs: 2000, jitter: 0.5 }, clock.random()));
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#endpoint = undefined;
    stream?.cancel();
  }

  #end(error: unknown): void {
    this.stop();
    this.#options.onEnd(error);
  }
}

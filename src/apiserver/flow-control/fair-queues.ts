// The queues of one priority level. A request occupies seats while it is served; when none are left it waits in one of the
// queues of its flow's hand. Which queue is served next is decided by fair queuing in virtual time: the queues share the seats
// as if each were served a sliver at a time, and the request that would be finished first in that picture goes first. Its
// measure is work in seats times milliseconds; a request is guessed to take 3 ms and set right when it has ended.
//
// A request that finds a seat costs a few additions and a look-up of its flow's hand: nothing is waited for, no timer is made.
import type { Clock } from "../../base/clock.ts";
import { SeatDemandMeter } from "./seat-demand.ts";
import { HandDealer } from "./shuffle-shard.ts";

export interface QueueSettings {
  /** 0: nothing waits, what finds no seat is refused. */
  readonly queues: number;
  readonly handSize: number;
  /** Requests that may wait in one queue. */
  readonly queueLengthLimit: number;
}

/** What a request is expected to take. */
export interface WorkEstimate {
  readonly seats: number;
  /** Held after the answer, while watchers are served; 0 for most. */
  readonly finalSeats: number;
  readonly additionalMs: number;
}

export interface Arrival {
  /** What tells this flow from others: schema and distinguisher. */
  readonly flow: string;
  readonly work: WorkEstimate;
  readonly maxWaitMs: number;
  /** Only asked for when it has to wait. */
  signal(): AbortSignal;
  /** Told how many wait in its queue with it, also where it need not wait. */
  onQueue?(length: number): void;
  /** Told when it begins to wait. */
  onWait?(): void;
}

export type RefusalReason = "queue-full" | "concurrency-limit" | "time-out" | "cancelled";

/** A request was not given a seat. */
export class SeatsRefused extends Error {
  readonly reason: RefusalReason;
  constructor(reason: RefusalReason) {
    super(`no seat: ${reason}`);
    this.name = "SeatsRefused";
    this.reason = reason;
  }
}

export interface LevelCounts {
  dispatched: number;
  rejected: number;
  timedOut: number;
  cancelled: number;
}

interface Waiting<A extends Arrival> {
  readonly arrival: A;
  readonly queue: Queue<A>;
  readonly arrivedR: number;
  readonly arrivedAtMs: number;
  begin(): void;
}

export class Queue<A extends Arrival = Arrival> {
  readonly index: number;
  readonly waiting: Waiting<A>[] = [];
  waitingSeats = 0;
  executing = 0;
  seatsInUse = 0;
  nextDispatchR = 0;
  constructor(index: number) {
    this.index = index;
  }
}

/** Until it is known how long a request took. */
export const guessedServiceMs = 3;
const noSettings: QueueSettings = { queues: 0, handSize: 0, queueLengthLimit: 0 };

export class FairQueues<A extends Arrival = Arrival> {
  readonly demand: SeatDemandMeter;
  readonly counts: LevelCounts = { dispatched: 0, rejected: 0, timedOut: 0, cancelled: 0 };
  readonly #clock: Clock;
  #settings: QueueSettings = noSettings;
  #dealer = new HandDealer(1, 0);
  #limit = Number.POSITIVE_INFINITY;
  #queues: Queue<A>[] = [];
  #waiting = 0;
  #waitingSeats = 0;
  #executing = 0;
  #seatsInUse = 0;
  /** Queues in which something waits or from which something is served. */
  #active = 0;
  /** Virtual time, and the real time it was reckoned at. */
  #currentR = 0;
  #atMs: number;
  #lastServed = -1;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonic();
    this.demand = new SeatDemandMeter(clock);
  }

  get limit(): number {
    return this.#limit;
  }

  get queues(): readonly Queue<A>[] {
    return this.#queues;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get waitingSeats(): number {
    return this.#waitingSeats;
  }

  get executing(): number {
    return this.#executing;
  }

  get seatsInUse(): number {
    return this.#seatsInUse;
  }

  /** The virtual time, in seconds of a seat. */
  get virtualSeconds(): number {
    this.#syncTime();
    return this.#currentR / 1000;
  }

  get isIdle(): boolean {
    return this.#waiting === 0 && this.#executing === 0;
  }

  /** What waits stays where it is; queues that are no longer dealt empty themselves. */
  configure(settings: QueueSettings): void {
    const { queues, handSize } = settings;
    if (queues !== this.#settings.queues || handSize !== this.#settings.handSize) {
      this.#dealer = new HandDealer(Math.max(1, queues), handSize);
      while (this.#queues.length < queues) this.#queues.push(new Queue(this.#queues.length));
      while (this.#queues.length > queues && isIdle(this.#queues.at(-1))) this.#queues.pop();
    }
    this.#settings = settings;
  }

  /** Infinity for levels that are exempt. */
  setLimit(seats: number): void {
    this.#syncTime();
    this.#limit = seats;
    if (this.#waiting > 0) this.#dispatch();
  }

  /** The seats, given back by calling the result; at once where they are free. Rejects or throws SeatsRefused. */
  enter(arrival: A): (() => void) | Promise<() => void> {
    this.#syncTime();
    const { queues, queueLengthLimit } = this.#settings;
    const queue = queues === 0 ? undefined : this.#choose(arrival.flow);
    const begins = this.#waiting === 0 && this.#fits(seatsOf(arrival.work)) && (!queue || this.#limit > 0);
    if (!begins && !queue) return this.#refuse("concurrency-limit");
    if (!begins && queue && queue.waiting.length >= queueLengthLimit) return this.#refuse("queue-full");
    if (queue && isIdle(queue)) {
      queue.nextDispatchR = this.#currentR;
      this.#active++;
    }
    if (queue) arrival.onQueue?.(queue.waiting.length + 1);
    return begins || !queue ? this.#begin(arrival, queue) : this.#wait(arrival, queue);
  }

  #refuse(reason: RefusalReason): never {
    this.counts.rejected++;
    throw new SeatsRefused(reason);
  }

  #choose(flow: string): Queue<A> {
    let best: Queue<A> | undefined;
    for (const index of this.#dealer.hand(flow)) {
      const queue = this.#queues[index];
      if (queue && (!best || queue.waitingSeats + queue.seatsInUse < best.waitingSeats + best.seatsInUse)) best = queue;
    }
    if (!best) throw new Error(`a hand of ${this.#settings.handSize} of ${this.#queues.length} queues is empty`);
    return best;
  }

  /** A request wider than the whole level waits until it is alone. */
  #fits(seats: number): boolean {
    return seats > this.#limit ? this.#seatsInUse === 0 : this.#seatsInUse + seats <= this.#limit;
  }

  #wait(arrival: A, queue: Queue<A>): Promise<() => void> {
    const seats = seatsOf(arrival.work);
    const signal = arrival.signal();
    return new Promise((resolve, reject) => {
      const leave = (reason: RefusalReason): void => {
        const at = queue.waiting.indexOf(entry);
        if (at < 0) return;
        this.#syncTime();
        queue.waiting.splice(at, 1);
        this.#left(queue, seats);
        if (isIdle(queue)) this.#active--;
        done();
        this.#changed();
        if (reason === "time-out") this.counts.timedOut++;
        else this.counts.cancelled++;
        reject(new SeatsRefused(reason));
        // What waited behind a wide request may fit now.
        this.#dispatch();
      };
      const onAbort = (): void => leave("cancelled");
      const timer = this.#clock.after(arrival.maxWaitMs, () => leave("time-out"));
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", onAbort);
      };
      const begin = (): void => {
        done();
        resolve(this.#begin(arrival, queue));
      };
      const entry: Waiting<A> = { arrival, queue, arrivedR: this.#currentR, arrivedAtMs: this.#clock.now(), begin };
      queue.waiting.push(entry);
      queue.waitingSeats += seats;
      this.#waiting++;
      this.#waitingSeats += seats;
      this.#changed();
      arrival.onWait?.();
      if (signal.aborted) return leave("cancelled");
      signal.addEventListener("abort", onAbort, { once: true });
      this.#dispatch();
    });
  }

  #left(queue: Queue<A>, seats: number): void {
    queue.waitingSeats -= seats;
    this.#waiting--;
    this.#waitingSeats -= seats;
  }

  #begin(arrival: A, queue: Queue<A> | undefined): () => void {
    const { work } = arrival;
    const seats = seatsOf(work);
    const startMs = this.#atMs;
    this.#executing++;
    this.#seatsInUse += seats;
    this.counts.dispatched++;
    if (queue) {
      queue.executing++;
      queue.seatsInUse += seats;
      queue.nextDispatchR += workOf(work);
    }
    this.#changed();
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const end = (): void => this.#end(queue, work, startMs);
      if (work.additionalMs > 0 && work.finalSeats > 0) this.#clock.after(work.additionalMs, end);
      else end();
    };
  }

  #end(queue: Queue<A> | undefined, work: WorkEstimate, startMs: number): void {
    this.#syncTime();
    const seats = seatsOf(work);
    this.#executing--;
    this.#seatsInUse -= seats;
    if (queue) {
      queue.executing--;
      queue.seatsInUse -= seats;
      queue.nextDispatchR += work.seats * (this.#atMs - startMs - work.additionalMs - guessedServiceMs);
      if (isIdle(queue)) this.#active--;
    }
    this.#changed();
    if (this.#waiting > 0) this.#dispatch();
  }

  #changed(): void {
    this.demand.set(this.#seatsInUse + this.#waitingSeats, this.#atMs);
  }

  #dispatch(): void {
    while (this.#waiting > 0) {
      const queue = this.#next();
      const [entry] = queue.waiting;
      // Without seats, what may wait waits, where a level without queues serves one request at a time.
      if (!entry || this.#limit === 0 || !this.#fits(seatsOf(entry.arrival.work))) return;
      queue.waiting.shift();
      this.#left(queue, seatsOf(entry.arrival.work));
      this.#lastServed = queue.index;
      // Service does not begin before its arrival: idle capacity is not saved up.
      if (queue.nextDispatchR < entry.arrivedR) queue.nextDispatchR = entry.arrivedR;
      entry.begin();
    }
  }

  /** The queue whose oldest request ends first in virtual time; of equals the next one round. */
  #next(): Queue<A> {
    let best: Queue<A> | undefined;
    let bestR = Number.POSITIVE_INFINITY;
    const { length } = this.#queues;
    for (let i = 1; i <= length; i++) {
      const queue = this.#queues[(this.#lastServed + i + length) % length];
      const oldest = queue?.waiting[0];
      if (!queue || !oldest) continue;
      const finishR = Math.max(queue.nextDispatchR, oldest.arrivedR) + workOf(oldest.arrival.work);
      if (finishR < bestR) [best, bestR] = [queue, finishR];
    }
    if (!best) throw new Error(`${this.#waiting} requests wait in no queue`);
    return best;
  }

  /** Moves virtual time on: as fast as the seats in use are shared by the queues that have work. */
  #syncTime(): void {
    const nowMs = this.#clock.monotonic();
    const passedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (passedMs <= 0 || this.#active === 0) return;
    this.#currentR += (passedMs * Math.min(this.#seatsInUse + this.#waitingSeats, this.#limit)) / this.#active;
  }
}

const isIdle = (queue: { readonly executing: number; readonly waiting: readonly unknown[] } | undefined): boolean =>
  queue?.executing === 0 && queue.waiting.length === 0;

/** Held all the time: what the request needs in either of its phases. */
const seatsOf = ({ seats, finalSeats }: WorkEstimate): number => (finalSeats > seats ? finalSeats : seats);

const workOf = ({ seats, finalSeats, additionalMs }: WorkEstimate): number => seats * guessedServiceMs + finalSeats * additionalMs;

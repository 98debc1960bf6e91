// Shuffle sharding: every flow is dealt a hand of queues by a hash of its name, and each of its requests goes to the least
// loaded of them, so that one flow that fills its queues leaves nearly every other flow at least one queue it does not share.
import { createHash } from "node:crypto";
import { LruMap } from "../../base/lru-map.ts";

/** Hands of recent flows are kept: dealing one costs a hash. */
const maxHands = 1024;
/** A flow may be named after the namespace in a path, which need not be one. */
const maxKnownFlow = 512;

export class HandDealer {
  readonly #queues: number;
  readonly #handSize: number;
  readonly #hands = new LruMap<string, readonly number[]>(maxHands);

  constructor(queues: number, handSize: number) {
    this.#queues = queues;
    this.#handSize = Math.min(handSize, queues);
  }

  /** Indexes of distinct queues, the same for the same flow. */
  hand(flow: string): readonly number[] {
    let hand = this.#hands.get(flow);
    if (!hand) {
      hand = this.#deal(flow);
      if (flow.length <= maxKnownFlow) this.#hands.set(flow, hand);
    }
    return hand;
  }

  /** As cards off a deck: each is drawn by the next digits of the hash from those that are left. */
  #deal(flow: string): readonly number[] {
    let entropy = createHash("sha256").update(flow).digest().readBigUInt64LE();
    const hand: number[] = [];
    for (let i = 0; i < this.#handSize; i++) {
      const left = BigInt(this.#queues - i);
      let card = Number(entropy % left);
      entropy /= left;
      for (const drawn of [...hand].sort((a, b) => a - b)) if (drawn <= card) card++;
      hand.push(card);
    }
    return hand;
  }
}

// Parts that many objects have in common, as the pods of a template their specification. Whoever finds that an object has a part
// that others have too gives them all the same value and marks it; what is found out about such a part (its defaults, its problems,
// its text) is found out once. Objects are immutable, so a part that is the same value is the same for good.

const shared = new WeakSet<object>();

/** Says that several objects have this very value. */
export function markShared<P extends object>(part: P): P {
  shared.add(part);
  return part;
}

export const isShared = (part: object): boolean => shared.has(part);

/** `compute`, for parts that are shared computed once; gives nothing that depends on anything but the part. */
export function oncePerPart<P extends object, R extends NonNullable<unknown>>(compute: (part: P) => R): (part: P) => R {
  const known = new WeakMap<P, R>();
  return (part) => {
    if (!shared.has(part)) return compute(part);
    let answer = known.get(part);
    if (answer === undefined) known.set(part, (answer = compute(part)));
    return answer;
  };
}

/** The same for what makes another part of it: what a shared part becomes is shared as well. */
export function oncePerPartShared<P extends object>(compute: (part: P) => P): (part: P) => P {
  return oncePerPart((part) => (shared.has(part) ? markShared(compute(part)) : compute(part)));
}

/** As oncePerPartShared, where something else counts besides the part: remembered for the last of it. */
export class PartsWith<P extends object, C> {
  readonly #known = new WeakMap<P, { readonly context: C; readonly part: P }>();

  /** `compute` is called for another context, and for parts that are not shared. */
  of(part: P, context: C, compute: () => P): P {
    if (!shared.has(part)) return compute();
    const known = this.#known.get(part);
    if (known && known.context === context) return known.part;
    const made = markShared(compute());
    this.#known.set(part, { context, part: made });
    return made;
  }
}

export interface RepeatedPartsOptions {
  /** Texts that are remembered. Default 256. */
  readonly maxTexts?: number;
  /** Of longer ones nothing is remembered. Default 8192. */
  readonly maxLength?: number;
}

/** Finds the parts that come again: from its second time on, a part is the one that was marked as shared. */
export class RepeatedParts<P extends object> {
  readonly #maxTexts: number;
  readonly #maxLength: number;
  /** By the JSON of a part; undefined for what has come once. */
  readonly #known = new Map<string, P | undefined>();

  constructor({ maxTexts = 256, maxLength = 8192 }: RepeatedPartsOptions = {}) {
    this.#maxTexts = maxTexts;
    this.#maxLength = maxLength;
  }

  /** The part, or the equal one that all have. It must be plain JSON: what its text does not say is lost. */
  find(part: P): P {
    if (shared.has(part)) return part;
    const text = JSON.stringify(part);
    if (text.length > this.#maxLength) return part;
    const known = this.#known.get(text);
    if (known) return known;
    if (this.#known.has(text)) {
      this.#known.set(text, markShared(part));
      return part;
    }
    if (this.#known.size >= this.#maxTexts) this.#forgetHalf();
    this.#known.set(text, undefined);
    return part;
  }

  /** One by one they would be searched for behind the gaps of those that have gone before. */
  #forgetHalf(): void {
    let left = this.#maxTexts >> 1;
    for (const text of this.#known.keys()) {
      if (left-- <= 0) return;
      this.#known.delete(text);
    }
  }
}

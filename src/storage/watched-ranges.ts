// Which watches a changed key concerns.

interface Watched {
  readonly options: { readonly start: string; readonly end: string };
}

/** Finds the watches that a key concerns without asking each: those of an API server hardly overlap, one per resource. */
export class WatchedRanges<W extends Watched> {
  readonly #byStart: W[];
  /** The greatest end of this and all ranges before. */
  readonly #greatestEnd: string[] = [];

  constructor(watchers: Iterable<W>) {
    this.#byStart = [...watchers].sort(({ options: a }, { options: b }) => (a.start < b.start ? -1 : Number(a.start > b.start)));
    let greatest = "";
    for (const { options } of this.#byStart) {
      if (options.end > greatest) greatest = options.end;
      this.#greatestEnd.push(greatest);
    }
  }

  containing(key: string): W[] {
    const found: W[] = [];
    let low = 0;
    let high = this.#byStart.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#byStart[middle] as W).options.start <= key) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i >= 0 && (this.#greatestEnd[i] as string) > key; i--) {
      const watcher = this.#byStart[i] as W;
      if (watcher.options.end > key) found.push(watcher);
    }
    return found;
  }
}

// Which group versions that cannot be discovered are worth a line in the log: extension servers take a while to come up, so
// one is news when it has stayed away for some time, and then once until it has come back.

/** How long a group version may be away before it is news. */
const patienceMs = 120_000;

export class StaleVersions {
  /** Since when they are away; undefined where that has been told. */
  #since: ReadonlyMap<string, number | undefined> = new Map();

  /** Those of `stale`, what cannot be discovered now, that are news. `nowMs` is of a clock that never goes back. */
  news(stale: readonly string[], nowMs: number): readonly string[] {
    const news: string[] = [];
    const since = new Map<string, number | undefined>();
    for (const version of stale) {
      const fromMs = this.#since.has(version) ? this.#since.get(version) : nowMs;
      const isNews = fromMs !== undefined && nowMs - fromMs >= patienceMs;
      if (isNews) news.push(version);
      since.set(version, isNews ? undefined : fromMs);
    }
    this.#since = since;
    return news;
  }
}

// Does a number of like things in batches that double from one on, and stops after the first batch with a failure: where
// all would fail for one reason (a quota), few are tried.

/** Runs `action` up to `count` times; throws the first failure after its batch has ended. */
export async function slowStart(count: number, action: () => Promise<void>): Promise<void> {
  let left = count;
  for (let size = 1; left > 0; size *= 2) {
    const batch = Math.min(size, left);
    const results = await Promise.allSettled(Array.from({ length: batch }, action));
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    left -= batch;
  }
}

/** The same for each of a list, in its order. */
export async function slowStartEach<T>(items: readonly T[], action: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await slowStart(items.length, async () => {
    const next = left.next();
    if (!next.done) await action(next.value);
  });
}

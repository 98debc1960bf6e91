import { afterEach, expect, it } from "vitest";
import { configmaps } from "../../api/resources.generated.ts";
import { VirtualClock } from "../../base/clock.ts";
import { createMemoryStore } from "../../storage/memory.ts";
import type { RangeOptions, RangeResult, Store, WatchOptions } from "../../storage/store.ts";
import { createFixture, type Fixture } from "../registry/request-fixture.ts";

let server: Fixture | undefined;
afterEach(() => server?.stop());

const path = "/api/v1/namespaces/default/configmaps";

it("a watch that begins while the mirror is read anew ends, as it would miss what has happened meanwhile", async () => {
  const inner = createMemoryStore({ clock: new VirtualClock() });
  const watches: WatchOptions[] = [];
  let held: Promise<void> | undefined;
  const store = Object.assign(Object.create(inner) as Store, {
    watch: (options: WatchOptions) => {
      watches.push(options);
      return inner.watch(options);
    },
    range: async (options: RangeOptions): Promise<RangeResult> => {
      await held;
      return inner.range(options);
    },
    ...Object.fromEntries(
      (["currentRevision", "get", "transact", "requestProgress", "compact", "close"] as const).map((name) => [
        name,
        (inner[name] as (...args: never[]) => unknown).bind(inner),
      ]),
    ),
  });
  server = createFixture({ store });
  await server.send("POST", path, { body: { metadata: { name: "a" } } });
  const listed = await server.send("GET", path);
  const { cache } = server.stores.forType(configmaps);
  let release = (): void => undefined;
  held = new Promise((resolve) => {
    release = resolve;
  });
  // The store's watch breaks, an object comes, and a watch begins where it need not wait for the mirror any more.
  watches.find(({ start }) => start.endsWith("/configmaps/"))?.onError(new Error("broken"));
  await server.store.transact({
    conditions: [],
    operations: [{ type: "delete", key: `${watches.find(({ start }) => start.endsWith("/configmaps/"))?.start}default/a` }],
  });
  const watcher = cache.watch({ prefix: "" }, { afterRevision: Number(listed.body.metadata.resourceVersion) });
  let ended = false;
  const following = (async () => {
    for await (const _ of watcher.batches());
    ended = true;
  })();
  expect(ended).toBe(false);
  release();
  await following;
  expect((await server.send("GET", path)).body.items).toEqual([]);
});

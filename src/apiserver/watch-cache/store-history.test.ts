import { afterEach, expect, it } from "vitest";
import type { WatchOptions } from "../../storage/store.ts";
import { createFixture, type Fixture } from "../registry/request-fixture.ts";

const servers: Fixture[] = [];
afterEach(async () => {
  for (const server of servers.splice(0).reverse()) await server.stop();
});

const path = "/api/v1/namespaces/default/configmaps";

function fixture(options: Parameters<typeof createFixture>[0] = {}): Fixture {
  const server = createFixture(options);
  servers.push(server);
  return server;
}

/** The revisions at which watches on the store begin. */
function begins(server: Fixture): number[] {
  const found: number[] = [];
  const watch = server.store.watch.bind(server.store);
  server.store.watch = (options: WatchOptions) => {
    if (options.start.endsWith("/configmaps/")) found.push(options.afterRevision);
    return watch(options);
  };
  return found;
}

it("what many watches have missed of a server's start is read once", async () => {
  const before = fixture();
  const revisions: string[] = [];
  for (let i = 0; i < 20; i++) {
    const { body } = await before.send("POST", path, { body: { metadata: { name: `c-${i}` } } });
    revisions.push(body.metadata.resourceVersion ?? "");
  }
  const after = fixture({ store: before.store });
  const found = begins(before);
  const watches = await Promise.all(
    Array.from({ length: 100 }, (_, i) => after.watch(`${path}?watch=true&resourceVersion=${revisions[i % 10]}`)),
  );
  await before.send("POST", path, { body: { metadata: { name: "last" } } });
  for (const [i, { events }] of watches.entries())
    await expect
      .poll(() => events.map(({ object }) => object.metadata.name), { timeout: 60_000 })
      .toEqual([...Array.from({ length: 19 - (i % 10) }, (_, j) => `c-${(i % 10) + 1 + j}`), "last"]);
  expect(found).toHaveLength(2);
});

it("watches that ask for more than there is are told so, the others go on", async () => {
  const before = fixture();
  const revisions: string[] = [];
  for (let i = 0; i < 10; i++) {
    const { body } = await before.send("POST", path, { body: { metadata: { name: `c-${i}` } } });
    revisions.push(body.metadata.resourceVersion ?? "");
  }
  await before.store.compact(Number(revisions[4]));
  const after = fixture({ store: before.store });
  const watches = await Promise.all(revisions.map((revision) => after.watch(`${path}?watch=true&resourceVersion=${revision}`)));
  await expect.poll(() => watches.slice(0, 3).map(({ events }) => events[0]?.object.code), { timeout: 60_000 }).toEqual([410, 410, 410]);
  await expect.poll(() => watches.slice(5, 9).map(({ events }) => events.length), { timeout: 60_000 }).toEqual([4, 3, 2, 1]);
});

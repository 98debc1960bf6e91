// The etcd store against a real etcd server: the stores' conformance suite, and watches beside other writers.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realClock } from "../../src/base/clock.ts";
import { EtcdStore } from "../../src/storage/etcd/etcd-store.ts";
import { testStore } from "../../src/storage/testsuite.ts";
import { put, record } from "../../src/storage/testsuite-kit.ts";
import { type EtcdProcess, startEtcd, whyNoEtcd } from "./etcd-process.ts";

const reason = await whyNoEtcd();
if (reason) console.log(`the etcd store is not tried: ${reason}`);

describe.runIf(reason === undefined)("on a server", () => {
  let servers: readonly EtcdProcess[] = [];
  beforeAll(async () => {
    servers = await startEtcd();
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  const urls = (): string[] => servers.map((server) => server.url);

  testStore(
    "etcd store",
    async () => {
      const store = new EtcdStore({ clock: realClock }, { servers: urls(), prefix: "/suite/" });
      return { store, dispose: () => store.close() };
    },
    { inProcess: false },
  );

  test("reports progress past writes that lie outside its prefix", async () => {
    const mine = new EtcdStore({ clock: realClock }, { servers: urls(), prefix: "/mine/" });
    const other = new EtcdStore({ clock: realClock }, { servers: urls(), prefix: "/other/" });
    try {
      const recording = record(mine, "/mine/", await mine.currentRevision());
      const revision = await put(other, "/other/a", "1");
      await recording.reached(revision);
      expect(recording.events().every((event) => event.key.startsWith("/mine/coracle/"))).toBe(true);
    } finally {
      await mine.close();
      await other.close();
    }
  });
});

import { mkdtemp, open as openFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VirtualClock } from "../base/clock.ts";
import { DirectoryLockedError } from "./directory-lock.ts";
import { createLmdbStore } from "./lmdb.ts";
import { checkLmdbFile } from "./lmdb-pages.ts";
import { CompactedError, type Store, StoreFullError } from "./store.ts";
import { testStore } from "./testsuite.ts";
import { bytes, line, put, putIf, record, remove, text } from "./testsuite-kit.ts";

testStore(
  "lmdb store",
  async () => {
    const clock = new VirtualClock();
    const dir = await mkdtemp(join(tmpdir(), "coracle-lmdb-"));
    const store = await createLmdbStore({ dir, clock });
    return {
      store,
      advance: (byMs) => clock.advance(byMs),
      async dispose() {
        await store.close();
        await rm(dir, { recursive: true });
      },
    };
  },
  { inProcess: true },
);

describe("lmdb store on its directory", () => {
  let parent: string;
  let dir: string;
  let clock: VirtualClock;
  let opened: Store[];
  const open = async (options?: { maxBytes?: number }): Promise<Store> => {
    const store = await createLmdbStore({ dir, clock }, options);
    opened.push(store);
    return store;
  };

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), "coracle-lmdb-"));
    dir = join(parent, "store");
    clock = new VirtualClock();
    opened = [];
  });
  afterEach(async () => {
    for (const store of opened) await store.close();
    await rm(parent, { recursive: true });
  });

  test("has keys, history and revision after it was closed and opened again", async () => {
    const first = await open();
    const base = await first.currentRevision();
    await put(first, "/a", "1");
    await put(first, "/a", "2");
    await put(first, "/b", "x");
    await remove(first, "/b");
    await put(first, "/c", "y");
    await first.close();

    const second = await open();
    expect(await second.currentRevision()).toBe(base + 5);
    expect(await second.get("/a")).toMatchObject({ createRevision: base + 1, modRevision: base + 2, version: 2 });
    expect(text((await second.get("/a", { revision: base + 1 }))?.value)).toBe("1");
    expect(await second.get("/b")).toBeUndefined();
    const recording = record(second, "/", base);
    expect(await put(second, "/a", "3")).toBe(base + 6);
    await recording.reached(base + 6);
    expect(recording.events().map((event) => line(event, "/", base))).toEqual([
      "put a@1=1",
      "put a@2=2 was 1=1",
      "put b@3=x",
      "delete b@4 was 3=x",
      "put c@5=y",
      "put a@6=3 was 2=2",
    ]);
  });

  test("remembers what was compacted, and its revision when nothing is left", async () => {
    const first = await open();
    const base = await first.currentRevision();
    await put(first, "/a", "1");
    await put(first, "/b", "1");
    await put(first, "/a", "2");
    await first.compact(base + 2);
    await first.close();

    const second = await open();
    await expect(second.get("/a", { revision: base + 1 })).rejects.toThrow(CompactedError);
    expect(text((await second.get("/a", { revision: base + 2 }))?.value)).toBe("1");
    await remove(second, "/a");
    await second.compact(await remove(second, "/b"));
    await second.close();

    const third = await open();
    expect(await third.currentRevision()).toBe(base + 5);
    expect(await put(third, "/a", "3")).toBe(base + 6);
    expect(await third.get("/a")).toMatchObject({ createRevision: base + 6, version: 1 });
  });

  test("lets keys expire that were written before it was opened", async () => {
    const first = await open();
    await put(first, "/soon", "1", { ttlSeconds: 60 });
    await put(first, "/later", "1", { ttlSeconds: 3600 });
    const base = await first.currentRevision();
    await first.close();
    await clock.advance(30_000);

    const second = await open();
    const recording = record(second, "/", base);
    await clock.advance(31_000);
    await recording.until(() => recording.events().length > 0);
    expect(recording.events().map((event) => line(event, "/", base))).toEqual(["delete soon@1 was -1=1"]);
    expect(await second.get("/later")).toBeDefined();
  });

  test("is for its owner's eyes only", async () => {
    await put(await open(), "/secret", "1");
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    const files = await readdir(dir);
    expect(files).toContain("data.mdb");
    for (const file of files) expect([file, (await stat(join(dir, file))).mode & 0o777]).toEqual([file, 0o600]);
  });

  test("is refused while it is open, and free after close()", async () => {
    const first = await open();
    await expect(open()).rejects.toThrow(DirectoryLockedError);
    await put(first, "/a", "1");
    await first.close();
    expect(await (await open()).get("/a")).toBeDefined();
  });

  test("is not opened when its data is damaged, and is free again", async () => {
    await (await open()).close();
    await writeFile(join(dir, "data.mdb"), "not a database, but long enough to be looked at".repeat(1000));
    await expect(open()).rejects.toThrow(`opening the store in ${dir} failed`);
    await rm(join(dir, "data.mdb"));
    expect(await (await open()).get("/a")).toBeUndefined();
  });

  describe("of which a part is damaged", () => {
    const file = (): string => join(dir, "data.mdb");
    const fill = async (): Promise<void> => {
      const store = await open();
      for (let i = 0; i < 20; i++)
        await Promise.all(Array.from({ length: 50 }, (_, j) => put(store, `/key-${i}-${j}`, "x".repeat(j === 0 ? 20_000 : 1500))));
      await store.compact((await store.currentRevision()) - 10);
      await store.close();
    };

    test.each([8192, 12_288, 500_000, 1_000_000])("is not opened, and no signal ends the process, when %d bytes are left", async (left) => {
      await fill();
      await truncate(file(), left);
      await expect(open()).rejects.toMatchObject({ cause: { message: expect.stringContaining("is damaged") } });
      await expect(open()).rejects.toThrow(`opening the store in ${dir} failed`);
    });

    test("is told apart from one whose pages are all there", async () => {
      await fill();
      expect(() => checkLmdbFile(file(), true)).not.toThrow();
      // Somebody died while it was being opened, of something else.
      await writeFile(join(dir, "opening"), "");
      const store = await open();
      expect((await store.range({ start: "/key-", end: "/key." })).count).toBe(1000);
      expect(await readdir(dir)).not.toContain("opening");
    });

    test.each(["all of it", "all but its header"])("is not opened when the page of free pages was overwritten, %s", async (what) => {
      await fill();
      const handle = await openFile(file(), "r+");
      const metadata = Buffer.alloc(8192);
      await handle.read(metadata, 0, metadata.length, 0);
      const [first, second] = [metadata.subarray(24), metadata.subarray(4096 + 24)];
      const newest = second.readBigUInt64LE(128) > first.readBigUInt64LE(128) ? second : first;
      const start = Number(newest.readBigUInt64LE(64)) * 4096 + (what === "all of it" ? 0 : 24);
      await handle.write(Buffer.alloc(4096 - (start % 4096), 0x5a), 0, 4096 - (start % 4096), start);
      await handle.close();
      await expect(open()).rejects.toMatchObject({ cause: { message: expect.stringContaining("is damaged: page") } });
    });

    test("is looked through when somebody died while opening it", async () => {
      await fill();
      const handle = await openFile(file(), "r+");
      await handle.write(Buffer.alloc(300 * 4096, 0x5a), 0, 300 * 4096, 40 * 4096);
      await handle.close();
      await writeFile(join(dir, "opening"), "");
      await expect(open()).rejects.toMatchObject({ cause: { message: expect.stringContaining("is damaged: page") } });
    });
  });

  test("refuses puts beyond its size, until deletes and compaction have made room", async () => {
    const store = await open({ maxBytes: 300_000 });
    const value = bytes("x".repeat(1000));
    let written = 0;
    const fill = async (): Promise<void> => {
      for (; written < 1000; written++) await store.transact({ conditions: [], operations: [{ type: "put", key: `/${written}`, value }] });
    };
    await expect(fill()).rejects.toThrow(StoreFullError);
    expect(written).toBeGreaterThan(50);
    const revision = await store.currentRevision();
    await expect(store.transact(putIf("/0", 0, "1"))).rejects.toThrow(StoreFullError);
    expect(await store.currentRevision()).toBe(revision);
    for (let i = 0; i < written; i++) await remove(store, `/${i}`);
    await store.compact(await store.currentRevision());
    await put(store, "/again", "1");
    expect(text((await store.get("/again"))?.value)).toBe("1");
  });

  test("reads values from the disk when nobody holds them any more", async () => {
    const first = await open();
    const long = "x".repeat(100_000);
    await put(first, "/long", long);
    await put(first, "/empty", "");
    await first.close();
    const second = await open();
    expect(text((await second.get("/long"))?.value)).toBe(long);
    expect((await second.get("/empty"))?.value).toHaveLength(0);
    const held = (await second.get("/long"))?.value;
    expect((await second.get("/long"))?.value).toBe(held);
  });
});

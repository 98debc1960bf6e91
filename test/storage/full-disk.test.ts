// A disk that is really full: an lmdb store on a file system of 8 MB. The write that finds no room is refused as such, what
// was acknowledged stays, and when there is room again writing goes on. Needs the right to mount; skipped without it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { realClock } from "../../src/base/clock.ts";
import { createLmdbStore } from "../../src/storage/lmdb.ts";
import { StoreFullError } from "../../src/storage/store.ts";
import { put, record, text } from "../../src/storage/testsuite-kit.ts";

let disk: string;
let mounted: boolean;

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), "coracle-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], { stdio: "ignore" });
    mounted = true;
  } catch {
    mounted = false;
  }
});

afterEach(() => {
  if (mounted) execFileSync("umount", ["-l", disk]);
  rmSync(disk, { recursive: true });
});

test("a full disk refuses writes whole and loses none, and takes writes again when there is room", async ({ skip }) => {
  skip(!mounted, "mounting a file system is not permitted here");
  const dir = join(disk, "store");
  const store = await createLmdbStore({ dir, clock: realClock });
  const base = await store.currentRevision();
  const recording = record(store, "/", base);
  const filler = "x".repeat(1000);
  let written = 0;
  let failure: unknown;
  while (failure === undefined) {
    // Several at once, so that some fail in company.
    const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => put(store, `/${i}`, `${written} ${filler}`)));
    written += results.filter((r) => r.status === "fulfilled").length;
    failure = results.find((r) => r.status === "rejected")?.reason;
  }
  expect(failure).toBeInstanceOf(StoreFullError);
  expect(await store.currentRevision()).toBe(base + written);
  await expect(put(store, "/large", filler.repeat(2000))).rejects.toThrow("is full: the write has not happened");

  execFileSync("mount", ["-o", "remount,size=16m", disk]);
  expect(await put(store, "/after", "1")).toBe(base + written + 1);
  await recording.reached(base + written + 1);
  expect(recording.events().map((event) => event.revision)).toEqual(Array.from({ length: written + 1 }, (_, i) => base + i + 1));
  await store.close();

  const again = await createLmdbStore({ dir, clock: realClock });
  expect(await again.currentRevision()).toBe(base + written + 1);
  expect(text((await again.get("/after"))?.value)).toBe("1");
  await again.close();
});

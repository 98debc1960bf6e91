import { link, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { diskUsage, fileSystemSpace, isMountPoint, TooManyFilesError } from "./disk-usage.ts";
import { runCommand } from "./run-command.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-du-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("diskUsage() counts what du counts, hard links once", async () => {
  await mkdir(join(directory, "a", "b"), { recursive: true });
  await writeFile(join(directory, "a", "big"), Buffer.alloc(100_000, 1));
  await writeFile(join(directory, "a", "b", "small"), "x");
  await link(join(directory, "a", "big"), join(directory, "again"));
  const { bytes, inodes } = await diskUsage(directory);
  const { stdout } = await runCommand("du", ["-s", "--block-size=1", directory]);
  expect(bytes).toBe(Number.parseInt(stdout, 10));
  expect(inodes).toBe(5);
});

test("diskUsage() of nothing is zero, and gives up where there is too much", async () => {
  expect(await diskUsage(join(directory, "missing"))).toEqual({ bytes: 0, inodes: 0 });
  for (const name of ["1", "2", "3"]) await writeFile(join(directory, name), "");
  await expect(diskUsage(directory, { maxEntries: 2 })).rejects.toBeInstanceOf(TooManyFilesError);
  const abort = new AbortController();
  abort.abort(new Error("enough"));
  await expect(diskUsage(directory, { signal: abort.signal })).rejects.toThrow("enough");
});

test("fileSystemSpace() and isMountPoint() tell of file systems", async () => {
  const space = await fileSystemSpace(directory);
  expect(space?.capacityBytes).toBeGreaterThan(space?.availableBytes ?? 0);
  expect(await fileSystemSpace(join(directory, "missing"))).toBeUndefined();
  expect(await isMountPoint("/proc")).toBe(true);
  expect(await isMountPoint(directory)).toBe(false);
});

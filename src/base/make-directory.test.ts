import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeDirectory } from "./make-directory.ts";

describe("makeDirectory()", () => {
  let place: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), "make-directory-"));
  });
  afterEach(() => rmSync(place, { recursive: true }));

  test("makes what is missing, and leaves what is there", () => {
    const path = join(place, "a", "b", "c");
    makeDirectory(path, 0o700);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    makeDirectory(path, 0o700);
    expect(statSync(join(place, "a")).mode & 0o777).toBe(0o700);
  });

  test("refuses what is a file, or lies below one", () => {
    writeFileSync(join(place, "file"), "");
    expect(() => makeDirectory(join(place, "file"), 0o700)).toThrow("EEXIST");
    expect(() => makeDirectory(join(place, "file", "below"), 0o700)).toThrow("ENOTDIR");
  });

  test.runIf(existsSync("/proc/self"))("ends where the file system takes no directory", () => {
    expect(() => makeDirectory("/proc/coracle", 0o700)).toThrow("ENOENT");
    expect(() => makeDirectory("/proc/coracle/below", 0o700)).toThrow("ENOENT");
  });
});

import { mkdtemp, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type PayloadFile, writePayload } from "./atomic-writer.ts";
import { resolveSubPath } from "./sub-path.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-volume-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const file = (text: string, mode = 0o644): PayloadFile => ({ data: Buffer.from(text), mode });
const write = (files: Record<string, PayloadFile>): Promise<boolean> =>
  writePayload(directory, new Map(Object.entries(files)), { nowMs: Date.UTC(2026, 10, 22, 13, 45, 8) });
const read = (path: string): Promise<string> => readFile(join(directory, path), "utf8");

describe("writePayload()", () => {
  it("shows files through ..data with their modes", async () => {
    await write({ color: file("red", 0o400), "dir/size": file("big") });
    expect(await read("color")).toBe("red");
    expect(await read("dir/size")).toBe("big");
    expect(await readlink(join(directory, "color"))).toBe("..data/color");
    expect(await readlink(join(directory, "..data"))).toMatch(/^\.\.2026_11_22_13_45_08\./);
    expect((await stat(join(directory, "color"))).mode & 0o777).toBe(0o400);
  });

  it("writes nothing when nothing changed", async () => {
    expect(await write({ color: file("red") })).toBe(true);
    const before = await readlink(join(directory, "..data"));
    expect(await write({ color: file("red") })).toBe(false);
    expect(await readlink(join(directory, "..data"))).toBe(before);
  });

  it("replaces everything at once and leaves nothing old", async () => {
    await write({ color: file("red"), size: file("big") });
    await write({ color: file("blue"), "dir/x": file("1") });
    expect(await read("color")).toBe("blue");
    expect((await readdir(directory)).filter((name) => !name.startsWith("..")).sort()).toEqual(["color", "dir"]);
    expect((await readdir(directory)).filter((name) => name.startsWith("..2026"))).toHaveLength(1);
  });

  it.each(["../x", "/x", "..x", "a/../../x", ""])("refuses the path %j", async (path) => {
    await expect(write({ [path]: file("") })).rejects.toThrow(/path/);
  });
});

describe("resolveSubPath()", () => {
  it("makes missing directories and refuses to leave the volume", async () => {
    expect(await resolveSubPath(directory, "a/b")).toBe(join(directory, "a/b"));
    expect((await stat(join(directory, "a/b"))).isDirectory()).toBe(true);
    await expect(resolveSubPath(directory, "../x")).rejects.toThrow("must not contain '..'");
    await expect(resolveSubPath(directory, "/etc")).rejects.toThrow("must not be an absolute path");
    const { symlink } = await import("node:fs/promises");
    await symlink("/etc", join(directory, "out"));
    await expect(resolveSubPath(directory, "out/passwd")).rejects.toThrow("is outside of the volume");
  });
});
